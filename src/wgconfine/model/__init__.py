"""Frozen values that every other layer speaks in. No I/O, and no import of another layer."""
