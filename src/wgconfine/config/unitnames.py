"""Names of the services that a tunnel may confine: systemd.unit(5)."""

from wgconfine.config.escape import quote
from wgconfine.config.values import WrongValueError, show
from wgconfine.model.settings import UnitName

__all__ = ["SUFFIXES", "parse_service"]

_MAX = 255 - len(".wgconfine-probe@.service.new") + len(".service")
"""NAME_MAX, and UNIT_NAME_MAX of systemd less the NUL: each service has a unit of ours by that
name, which is written aside and renamed."""
_LONG_HINT = "Give the unit a shorter name: that of wgconfine-probe@UNIT.service must fit, too"
_CHARACTERS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@",
)
_TRIGGERS = ("socket", "timer", "path")
_OTHER_TYPES = ("target", "mount", "automount", "swap", "slice", "scope", "device")
SUFFIXES = frozenset(("service", *_TRIGGERS, *_OTHER_TYPES))
"""What a name has behind its last dot where it is that of a unit."""


def parse_service(value: object) -> UnitName:
    """Read the full name of a system service; an instance is one, a bare template is not."""
    if not isinstance(value, str) or not value:
        raise WrongValueError(f"{show(value)} is not the name of a service")
    stem, dot, suffix = value.rpartition(".")
    prefix, at, instance = stem.partition("@")
    if not _CHARACTERS.issuperset(value) or value.startswith((".", "@")):
        raise WrongValueError(f"{show(value)} is not the name of a service")
    if dot and suffix in _TRIGGERS:
        hint = f"Name the service it starts: {quote(stem + '.service')}"
        raise WrongValueError(f"{show(value)} is not a service", hint)
    if dot and suffix in _OTHER_TYPES:
        raise WrongValueError(f"{show(value)} is not a service")
    if suffix != "service":
        raise WrongValueError(f"{show(value)} has no suffix", f"Write {quote(value + '.service')}")
    if at and not instance:
        hint = f"Name each instance: {quote(prefix + '@INSTANCE.service')}"
        raise WrongValueError(f"{show(value)} is a template, not a service", hint)
    if len(value) > _MAX:
        raise WrongValueError(f"{show(value)} is longer than {_MAX} characters", _LONG_HINT)
    if value.startswith("wgconfine"):
        raise WrongValueError(f"{show(value)} is a unit of wgconfine itself")
    return UnitName(value)
