"""Settings and facts become a desired state, and two states a list of changes. Pure."""
