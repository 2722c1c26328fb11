"""Effects behind small protocols: systemctl, files, the host as it is."""
