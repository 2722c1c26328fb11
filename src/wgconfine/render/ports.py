"""The names of the units that carry `publish` and `reach`."""

import hashlib

from wgconfine.model.ports import Publish, Reach
from wgconfine.model.settings import Settings, TunnelName

__all__ = ["port_sockets", "publish_stem", "reach_stem"]

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.-")
_LONGEST = 100
"""Of an instance: a unit's name has at most 255 bytes, and so has a file name with a suffix."""


def publish_stem(name: TunnelName, entry: Publish) -> str:
    """Give the name of its `.socket` and `.service`, such as `wgconfine-publish@vpn.8080`."""
    return f"wgconfine-publish@{name}.{_instance(entry.where)}"


def reach_stem(name: TunnelName, entry: Reach) -> str:
    """Give the name of its `.socket` and `.service`: `wgconfine-reach@vpn.127.0.0.1:5432`."""
    return f"wgconfine-reach@{name}.{_instance(str(entry.listen))}"


def port_sockets(settings: Settings) -> tuple[str, ...]:
    """Give the `.socket` units of a tunnel, those of `publish` first."""
    stems = [publish_stem(settings.name, each) for each in settings.publish]
    stems += [reach_stem(settings.name, each) for each in settings.reach]
    return tuple(f"{stem}.socket" for stem in stems)


def _instance(where: str) -> str:
    """Leave an address as it is but for brackets; what is long, or has odd signs, is hashed."""
    text = where.replace("[", "").replace("]", "").replace("/", "-")
    if _PLAIN.issuperset(text) and len(text) <= _LONGEST and "-" not in where:
        return text
    return hashlib.sha256(where.encode()).hexdigest()[:16]
