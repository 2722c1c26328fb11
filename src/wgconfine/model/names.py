"""Names of tunnels and of units, as types. Imports nothing: `status` is asked often."""

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from typing import NewType

    TunnelName = NewType("TunnelName", str)
    """`[a-z0-9][a-z0-9-]{0,30}`: what stands before `.toml`."""
    UnitName = NewType("UnitName", str)
    """Full name of a system service, with its suffix; an instance, never a template."""
else:
    TunnelName = UnitName = str

__all__ = ["TunnelName", "UnitName"]
