"""What wgconfine promises, shown and checked on a Debian machine of its own."""
