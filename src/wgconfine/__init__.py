"""Confine systemd services to a WireGuard tunnel, and prove it on the running system."""

__version__ = "0.1.0"
