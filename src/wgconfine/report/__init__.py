"""Results become words, tables and JSON."""
