"""What `share/` has: man pages, completions and the schema of the settings, made from the rest.

`make pages` writes it anew, and a test compares.
"""
