"""The single values of the settings: read strictly, nothing is guessed or coerced.

Every function takes what TOML gives and returns the model's value, or raises `WrongValueError` with
words for a person.
"""

import re
from enum import StrEnum
from ipaddress import ip_address, ip_interface, ip_network
from os import fspath
from pathlib import PurePosixPath
from typing import TypeVar

from wgconfine.config.escape import holds_key, quote
from wgconfine.config.holes import is_plain, shut_name, shut_path
from wgconfine.config.literal import (
    canonical_address,
    canonical_ip,
    canonical_network,
    is_key,
    parse_endpoint,
)
from wgconfine.model.settings import (
    Backend,
    Endpoint,
    EndpointOrder,
    Hardening,
    IPAddress,
    IPInterface,
    IPNetwork,
    OnLeak,
    Ready,
    TunnelName,
)

__all__ = [
    "WrongValueError",
    "read_absolute_path",
    "read_address",
    "read_backend",
    "read_boolean",
    "read_bus_name",
    "read_credential",
    "read_endpoint",
    "read_endpoint_order",
    "read_fwmark",
    "read_handshake_age",
    "read_hardening",
    "read_interval",
    "read_keepalive",
    "read_mtu",
    "read_network",
    "read_on_leak",
    "read_port",
    "read_public_key",
    "read_ready",
    "read_ready_timeout",
    "read_resolver",
    "read_run_path",
    "read_tunnel_name",
    "show",
]

_MTU_MIN = 576
_UINT16_MAX = 0xFFFF
_UINT32_MAX = 0xFFFFFFFF
_CREDENTIAL_MAX = 255
_CREDENTIAL_CHARACTERS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+@,=~"
)
"""Of what systemd allows, what stands in a unit without quotes."""
_LONGEST_NUMBER = 20
_TUNNEL_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}", re.ASCII)
_SPAN = re.compile(r"([1-9][0-9]{0,5})(s|min|h|d)", re.ASCII)
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_BUS_NAME = re.compile(r"[A-Za-z_-][A-Za-z0-9_-]*(\.[A-Za-z_-][A-Za-z0-9_-]*)+", re.ASCII)
_BUS_NAME_MAX = 255
_Choice = TypeVar("_Choice", bound=StrEnum)


class WrongValueError(ValueError):
    """A value that is not what its key wants."""

    def __init__(self, what: str, hint: str = "") -> None:
        self.what, self.hint = what, hint
        super().__init__(what)


def show(value: object) -> str:
    """Name a TOML value in a message: text and numbers as they are, the rest by its kind."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER * 3:
        return "this number"  # str() refuses over 4300 digits, which TOML's hexadecimals may have
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else "a date or time"


def read_boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise WrongValueError(f"{show(value)} is neither true nor false")
    return value


def read_backend(value: object) -> Backend:
    return _one_of(Backend, value)


def read_hardening(value: object) -> Hardening:
    return _one_of(Hardening, value)


def read_on_leak(value: object) -> OnLeak:
    return _one_of(OnLeak, value)


def read_ready(value: object) -> Ready:
    return _one_of(Ready, value)


def read_endpoint_order(value: object) -> EndpointOrder:
    return _one_of(EndpointOrder, value)


def _one_of(choices: type[_Choice], value: object) -> _Choice:
    if not isinstance(value, str) or value not in tuple(choices):
        raise WrongValueError(f"{show(value)} is none of {', '.join(choices)}")
    return choices(value)


def read_interval(value: object) -> int | None:
    """Read how often something is done, in seconds; None for `off`."""
    return _span(value, "1min", "31d", "Write '15min', '6h' or 'off'")


def read_handshake_age(value: object) -> int | None:
    """Read how old a handshake may be, in seconds; None for `off`.

    A tunnel that carries something has one every two minutes (REKEY_AFTER_TIME of WireGuard).
    """
    return _span(value, "150s", "1d", "Write '180s', '5min' or 'off'")


def read_ready_timeout(value: object) -> int:
    """Read how long services wait for a handshake, in seconds."""
    hint = "Write '90s' or '5min'"
    seconds = None if value == "off" else _span(value, "5s", "1h", hint)
    if seconds is None:
        raise WrongValueError(f"{show(value)} is not a time span", hint)
    return seconds


def _span(value: object, low: str, high: str, hint: str) -> int | None:
    """Read a time span of one unit as systemd.time(7) has it, in seconds; None for `off`."""
    if value == "off":
        return None
    seconds = _seconds(value) if isinstance(value, str) else None
    if seconds is None:
        raise WrongValueError(f"{show(value)} is not a time span", hint)
    if not (_seconds(low) or 0) <= seconds <= (_seconds(high) or 0):
        raise WrongValueError(f"{show(value)} is not from '{low}' to '{high}'")
    return seconds


def _seconds(text: str) -> int | None:
    found = _SPAN.fullmatch(text)
    return int(found[1]) * _SECONDS[found[2]] if found else None


def read_absolute_path(value: object) -> PurePosixPath:
    # A key may begin with a '/': put here by mistake, it would go on into units and records.
    if not isinstance(value, str) or not value.isprintable() or is_key(value):
        raise WrongValueError(f"{show(value)} is not a path")
    path = PurePosixPath(value)
    if not path.is_absolute():
        raise WrongValueError(f"{show(value)} is not an absolute path")
    if fspath(path) != value or value.startswith("//") or ".." in path.parts or not path.name:
        raise WrongValueError(
            f"{show(value)} is not a plain path", "Write it without '.', '..' and double '/'"
        )
    return path


def read_run_path(value: object) -> PurePosixPath:
    """Read a path that a confined service does not see: it has a /run of its own, no more."""
    path = read_absolute_path(value)
    if path.parts[:2] != ("/", "run") or path == PurePosixPath("/run"):
        raise WrongValueError(
            f"{show(value)} is not below /run",
            "Leave it out: of the host's files only those of /run are hidden",
        )
    if not is_plain(fspath(path)):
        raise WrongValueError(f"{show(value)} has characters that can't stand in a unit")
    if why := shut_path(fspath(path)):
        raise WrongValueError(f"{show(value)} can't be opened: {why}")
    return path


def read_bus_name(value: object) -> str:
    """Read a well-known bus name: D-Bus specification, "Valid Names"."""
    if (
        not isinstance(value, str)
        or not _BUS_NAME.fullmatch(value)
        or len(value) > _BUS_NAME_MAX
        or holds_key(value)
    ):
        raise WrongValueError(f"{show(value)} is not a name on a bus, such as 'org.example.Name'")
    if why := shut_name(value):
        raise WrongValueError(f"{show(value)} can't be opened: {why}")
    return value


def read_credential(value: object) -> str:
    """Read the name of a systemd credential: a file name and an fd name, systemd.exec(5)."""
    if not isinstance(value, str) or value in ("", ".", "..") or len(value) > _CREDENTIAL_MAX:
        raise WrongValueError(f"{show(value)} is not the name of a credential")
    if not _CREDENTIAL_CHARACTERS.issuperset(value) or holds_key(value):
        raise WrongValueError(f"{show(value)} is not the name of a credential")
    return value


def read_tunnel_name(value: object) -> TunnelName:
    """Read the name of a tunnel, `[a-z0-9][a-z0-9-]{0,30}`."""
    if not isinstance(value, str) or not _TUNNEL_NAME.fullmatch(value) or holds_key(value):
        raise WrongValueError(
            f"{show(value)} is not the name of a tunnel",
            "Use small letters, digits and '-', at most 31, and no '-' at the beginning",
        )
    return TunnelName(value)


def read_address(value: object) -> IPInterface:
    text = canonical_address(value) if isinstance(value, str) else None
    if text is None:
        raise WrongValueError(f"{show(value)} is not an IP address with a prefix length")
    return ip_interface(text)


def read_network(value: object) -> IPNetwork:
    text = canonical_network(value) if isinstance(value, str) else None
    if text is None:
        raise WrongValueError(f"{show(value)} is not an IP network")
    return ip_network(text)


def read_resolver(value: object) -> IPAddress:
    text = canonical_ip(value) if isinstance(value, str) else None
    if text is None:
        raise WrongValueError(f"{show(value)} is not an IP address")
    return ip_address(text)


def read_endpoint(value: object) -> Endpoint:
    if not isinstance(value, str):
        raise WrongValueError(f"{show(value)} is not of the form 'HOST:PORT'")
    parsed = parse_endpoint(value)
    if isinstance(parsed, str):
        raise WrongValueError(f"{show(value)} {parsed}")
    # wg(8) takes the last group for the port, which the writer may have forgotten.
    if (":" in parsed[0]) != value.startswith("["):
        raise WrongValueError(
            f"{show(value)} must have an IPv6 address, and only that, in brackets"
        )
    return Endpoint(host=parsed[0], port=parsed[1])


def read_public_key(value: object) -> str:
    # Never quoted: it may be the private one.
    if not isinstance(value, str) or not is_key(value):
        raise WrongValueError("it is not a key: 44 characters of base64 with '=' at the end")
    return value


def read_keepalive(value: object) -> int | None:
    if value == "off":
        return None
    return _number(value, 0, _UINT16_MAX) or None


def read_mtu(value: object) -> int:
    return _number(value, _MTU_MIN, _UINT16_MAX)


def read_port(value: object) -> int:
    return _number(value, 1, _UINT16_MAX)


def read_fwmark(value: object) -> int:
    return _number(value, 0, _UINT32_MAX)


def _number(value: object, low: int, high: int) -> int:
    # True is an int to Python, and not to the owner of the settings.
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise WrongValueError(f"{show(value)} is not a whole number from {low} to {high}")
    return value
