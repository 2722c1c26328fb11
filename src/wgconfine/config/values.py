"""The single values of the settings: read strictly, nothing is guessed or coerced.

Every function takes what TOML gives and returns the model's value, or raises `WrongValueError` with
words for a person.
"""

from ipaddress import ip_address, ip_interface, ip_network
from os import fspath
from pathlib import PurePosixPath

from wgconfine.config.escape import holds_key, quote
from wgconfine.config.literal import (
    canonical_address,
    canonical_ip,
    canonical_network,
    is_key,
    parse_endpoint,
)
from wgconfine.model.settings import Backend, Endpoint, IPAddress, IPInterface, IPNetwork

__all__ = [
    "MTU_MIN_IPV6",
    "WrongValueError",
    "read_absolute_path",
    "read_address",
    "read_backend",
    "read_boolean",
    "read_credential",
    "read_endpoint",
    "read_fwmark",
    "read_keepalive",
    "read_mtu",
    "read_network",
    "read_port",
    "read_public_key",
    "read_resolver",
    "show",
]

MTU_MIN_IPV6 = 1280
"""RFC 8200, 5: below it the kernel takes IPv6 off the link."""
_MTU_MIN = 576
_UINT16_MAX = 0xFFFF
_UINT32_MAX = 0xFFFFFFFF
_CREDENTIAL_MAX = 255
_CREDENTIAL_CHARACTERS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+@,=~"
)
"""Of what systemd allows, what stands in a unit without quotes."""
_LONGEST_NUMBER = 20


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
    if not isinstance(value, str) or value not in tuple(Backend):
        raise WrongValueError(f"{show(value)} is none of {', '.join(Backend)}")
    return Backend(value)


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


def read_credential(value: object) -> str:
    """Read the name of a systemd credential: a file name and an fd name, systemd.exec(5)."""
    if not isinstance(value, str) or value in ("", ".", "..") or len(value) > _CREDENTIAL_MAX:
        raise WrongValueError(f"{show(value)} is not the name of a credential")
    if not _CREDENTIAL_CHARACTERS.issuperset(value) or holds_key(value):
        raise WrongValueError(f"{show(value)} is not the name of a credential")
    return value


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
