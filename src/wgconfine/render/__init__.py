"""The desired state as the exact text of files: units, drop-ins, NAME.json. Pure."""
