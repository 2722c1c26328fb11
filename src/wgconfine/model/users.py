"""What the machine says of the user that a service runs as."""

from dataclasses import dataclass

__all__ = ["UserFacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFacts:
    """A user of the machine; `outside` are its processes in no namespace of the tunnel's, by PID.

    `lingers` says that it has a user manager whether it is logged in or not (`loginctl
    enable-linger`).
    """

    name: str
    uid: int
    groups: tuple[str, ...] = ()
    lingers: bool = False
    outside: tuple[int, ...] = ()
