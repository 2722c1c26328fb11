"""The command line: one file per command; builds the rest and returns a result."""
