"""The words of a WireGuard configuration: addresses, networks, endpoints, host names, keys.

The runtime imports this module, so it imports nothing: `ipaddress` alone would cost 3 ms of the
start of a tunnel, `socket` 6 ms. What inet_pton(3) refuses is refused here.
"""

from __future__ import annotations

__all__ = [
    "canonical_address",
    "canonical_ip",
    "canonical_network",
    "is_host_name",
    "is_key",
    "parse_decimal",
    "parse_endpoint",
    "parse_hex",
    "parse_ip",
]

_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdefABCDEF")
_LABEL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_BASE64_LAST = frozenset("AEIMQUYcgkosw048")  # 32 bytes leave two bits of the last character zero
_IPV6_BYTES = 16
_PORT_MAX = 65535


def parse_decimal(text: str, low: int, high: int) -> int | None:
    """Read a decimal number from `low` to `high`; leading zeros are allowed, as in strtoul(3)."""
    significant = text.lstrip("0") or text[-1:]
    # int() refuses over 4300 digits, and takes digits of other scripts, signs and underscores.
    if not significant or len(significant) > len(str(high)) or not _DIGITS.issuperset(text):
        return None
    number = int(significant)
    return number if low <= number <= high else None


def parse_hex(text: str, high: int) -> int | None:
    """Read a hexadecimal number up to `high`, without `0x`."""
    if not text or not _HEX.issuperset(text):
        return None
    number = int(text, 16)
    return number if number <= high else None


def parse_ip(text: str) -> bytes | None:
    """Read an IPv4 (4 bytes) or IPv6 (16 bytes) address, as inet_pton(3) does; no zone."""
    return _parse_ipv6(text) if ":" in text else _parse_ipv4(text)


def canonical_ip(text: str) -> str | None:
    """Give an IP address in the text of RFC 5952, or None if it is none.

    An IPv4-mapped address stays in groups, `::ffff:102:304`, as `ipaddress` had it before 3.13.
    """
    packed = parse_ip(text)
    return None if packed is None else _format(packed)


def canonical_address(text: str) -> str | None:
    """Give `IP/PREFIX`, host bits kept, for `IP/PREFIX` or a single `IP` (then /32 or /128)."""
    parsed = _parse_prefixed(text)
    return None if parsed is None else f"{_format(parsed[0])}/{parsed[1]}"


def canonical_network(text: str) -> str | None:
    """Give `IP/PREFIX`, host bits cleared as wg(8) does, for `IP/PREFIX` or a single `IP`."""
    parsed = _parse_prefixed(text)
    if parsed is None:
        return None
    packed, prefix = parsed
    host_bits = len(packed) * 8 - prefix
    cleared = int.from_bytes(packed, "big") >> host_bits << host_bits
    return f"{_format(cleared.to_bytes(len(packed), 'big'))}/{prefix}"


def parse_endpoint(text: str) -> tuple[str, int] | str:
    """Read `HOST:PORT` or `[IPV6]:PORT`; as wg(8) does, brackets are taken anywhere and nowhere.

    On failure it gives what is wrong, in words that follow the quoted value.
    """
    bracketed = text.startswith("[")
    name, colon, port_text = text[1:].partition("]:") if bracketed else text.rpartition(":")
    if not colon:
        return "is not of the form [IPV6]:PORT" if bracketed else "has no port"
    host = canonical_ip(name) or (name if is_host_name(name) else None)
    if host is None:
        return "has neither an IP address nor a host name before its port"
    port = parse_decimal(port_text, 1, _PORT_MAX)
    if port is None:
        # getaddrinfo(3) would look a service name up in the /etc/services of the machine it is on.
        return f"has no port number from 1 to {_PORT_MAX}"
    return host, port


def is_host_name(text: str) -> bool:
    """Tell whether `text` has the form of RFC 1123; underscores and a closing dot are allowed.

    A last label of digits alone is refused: getaddrinfo(3) takes `1.2.3` for an address.
    """
    name = text.removesuffix(".")
    labels = name.split(".")
    return (
        len(name) <= 253  # noqa: PLR2004 - RFC 1035, 2.3.4, as text
        and not _DIGITS.issuperset(labels[-1])
        and all(
            1 <= len(label) <= 63  # noqa: PLR2004 - RFC 1035, 2.3.4
            and _LABEL.issuperset(label)
            and label[0] != "-"
            and label[-1] != "-"
            for label in labels
        )
    )


def is_key(text: str) -> bool:
    """Tell whether `text` is the base64 of 32 bytes, exactly as wg(8) writes it."""
    return (
        len(text) == 44  # noqa: PLR2004 - ceil(32 / 3) * 4
        and text[43] == "="
        and text[42] in _BASE64_LAST
        and _BASE64.issuperset(text[:42])
    )


def _parse_ipv4(text: str) -> bytes | None:
    octets = [_octet(part) for part in text.split(".")]
    if len(octets) != 4:  # noqa: PLR2004 - a dotted quad
        return None
    known = [octet for octet in octets if octet is not None]
    return bytes(known) if len(known) == len(octets) else None


def _octet(text: str) -> int | None:
    # A leading zero means octal to inet_aton(3): refused, as inet_pton(3) does.
    return None if len(text) > 1 and text[0] == "0" else parse_decimal(text, 0, 255)


def _parse_ipv6(text: str) -> bytes | None:
    head, gap, tail = text.partition("::")
    left = _groups(head, dotted=not gap)
    right = _groups(tail, dotted=True)
    if left is None or right is None:
        return None
    missing = _IPV6_BYTES - len(left) - len(right)
    if (missing <= 0) if gap else (missing != 0):  # both sides are even: 2 bytes are one group
        return None
    return left + bytes(missing) + right


def _groups(text: str, *, dotted: bool) -> bytes | None:
    """Read `1:2:3`, whose last group may be a dotted quad; the empty text is no group at all."""
    packed = b""
    groups = text.split(":") if text else []
    for position, group in enumerate(groups, start=1):
        if dotted and position == len(groups) and "." in group:
            quad = _parse_ipv4(group)
            if quad is None:
                return None
            packed += quad
        elif 1 <= len(group) <= 4 and _HEX.issuperset(group):  # noqa: PLR2004 - 16 bits in hex
            packed += int(group, 16).to_bytes(2, "big")
        else:
            return None
    return packed


def _parse_prefixed(text: str) -> tuple[bytes, int] | None:
    address, slash, prefix_text = text.partition("/")
    packed = parse_ip(address)
    if packed is None:
        return None
    bits = len(packed) * 8
    prefix = parse_decimal(prefix_text, 0, bits) if slash else bits
    return None if prefix is None else (packed, prefix)


def _format(packed: bytes) -> str:
    if len(packed) != _IPV6_BYTES:
        return ".".join(map(str, packed))
    groups = [int.from_bytes(packed[at : at + 2], "big") for at in range(0, _IPV6_BYTES, 2)]
    start, length = _longest_zeros(groups)
    text = [f"{group:x}" for group in groups]
    if length < 2:  # noqa: PLR2004 - RFC 5952, 4.2.2: a single group of zeros is not shortened
        return ":".join(text)
    return f"{':'.join(text[:start])}::{':'.join(text[start + length :])}"


def _longest_zeros(groups: list[int]) -> tuple[int, int]:
    """Give start and length of the longest run of zeros; the first of equals (RFC 5952, 4.2.3)."""
    best, run = (0, 0), 0
    for position, group in enumerate(groups, start=1):
        run = 0 if group else run + 1
        if run > best[1]:
            best = (position - run, run)
    return best
