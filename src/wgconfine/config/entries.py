"""The keys of a wg-quick `.conf` and how the value of each is read. The runtime has it: no imports.

The semantics are those of wireguard-tools' src/config.c (white space in a value does not count) and
src/wg-quick/linux.bash (white space separates like a comma).
"""

from __future__ import annotations

from wgconfine.config.conf import Conf, ConfPeer, ConfProblem
from wgconfine.config.escape import HIDDEN, quote
from wgconfine.config.literal import (
    canonical_address,
    canonical_ip,
    canonical_network,
    is_host_name,
    is_key,
    parse_decimal,
    parse_endpoint,
    parse_hex,
)

TYPE_CHECKING = False  # saves importing typing: 7.5 ms
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ENTRIES", "NO_SPACES", "SPACES", "SPELLING", "Draft", "Entry"]

SPACES = " \t\n\v\f\r"
"""isspace(3) in the C locale; str.split() would know more."""
NO_SPACES = str.maketrans("", "", SPACES)
_TO_COMMAS = str.maketrans(dict.fromkeys(SPACES, ","))
_QUOTABLE = frozenset((
    "Address", "AllowedIPs", "DNS", "Endpoint", "FwMark", "ListenPort", "MTU",
    "PersistentKeepalive", "Table",
))  # fmt: skip
_MTU_MIN, _UINT16_MAX, _UINT32_MAX = 576, 0xFFFF, 0xFFFFFFFF


class Draft:
    """A configuration in the making: its values so far, what is wrong, and the line being read."""

    __slots__ = ("conf", "hidden", "line", "peer", "problems", "repeated")

    def __init__(self, repeated: frozenset[str]) -> None:
        self.conf = Conf()
        self.peer = ConfPeer(0)
        self.problems: list[ConfProblem] = []
        self.repeated = repeated
        self.line = 0
        self.hidden = False  # the value being read may hold a key, so no piece of it is quoted

    def wrong(self, what: str, hint: str = "", word: str = "") -> None:
        self.problems.append(ConfProblem(self.line, what, hint, word))

    def warn(self, what: str, hint: str = "") -> None:
        self.conf.warnings.append(ConfProblem(self.line, what, hint))

    def refuse(self, name: str, value: str, what: str, hint: str = "") -> None:
        """Say what is wrong with a value, quoting it only for the keys where that is allowed."""
        shown = HIDDEN if self.hidden else quote(value)
        if name in _QUOTABLE:
            self.wrong(f"{name} {shown} {what}", hint)
        else:
            self.wrong(f"{name} {what}", hint)


def _read_private_key(draft: Draft, name: str, value: str) -> None:
    draft.conf.private_key = _key(draft, name, value)


def _read_public_key(draft: Draft, name: str, value: str) -> None:
    draft.peer.public_key = _key(draft, name, value) or ""


def _read_preshared_key(draft: Draft, name: str, value: str) -> None:
    draft.peer.preshared_key = _key(draft, name, value)


def _key(draft: Draft, name: str, value: str) -> str | None:
    key = value.translate(NO_SPACES)
    if is_key(key):
        return key
    draft.refuse(name, value, "is not a key: 44 characters of base64 with '=' at the end")
    return None


def _read_address(draft: Draft, name: str, value: str) -> None:
    for item in _items(value):
        address = canonical_address(item)
        if address is None:
            draft.refuse(name, item, "is not an IP address with a prefix length")
        else:
            _append(draft.conf.addresses, address)


def _read_dns(draft: Draft, name: str, value: str) -> None:
    for item in _items(value):
        address = canonical_ip(item)
        if address is not None:
            _append(draft.conf.dns, address)
        elif is_host_name(item):
            _append(draft.conf.search, item)
        else:
            draft.refuse(name, item, "is neither an IP address nor a search domain")


def _read_mtu(draft: Draft, name: str, value: str) -> None:
    draft.conf.mtu = _number(draft, name, value, _MTU_MIN, _UINT16_MAX) if value else None


def _read_listen_port(draft: Draft, name: str, value: str) -> None:
    draft.conf.listen_port = _number(draft, name, value.translate(NO_SPACES), 0, _UINT16_MAX)
    _ignore(draft, name, "Write listen-port in the settings if it matters")


def _read_fwmark(draft: Draft, name: str, value: str) -> None:
    text = value.translate(NO_SPACES)
    if text.lower() == "off":
        draft.conf.fwmark = 0
    elif text.startswith("0x"):
        draft.conf.fwmark = parse_hex(text[2:], _UINT32_MAX)
        if draft.conf.fwmark is None:
            draft.refuse(name, value, f"is not a number from 0x0 to {_UINT32_MAX:#x}")
    else:
        draft.conf.fwmark = _number(draft, name, text, 0, _UINT32_MAX)
    _ignore(draft, name, "Write fwmark in the settings if it matters")


def _read_table(draft: Draft, name: str, _value: str) -> None:
    _ignore(draft, name, "The tunnel has routes of its own, which are the AllowedIPs")


def _read_save_config(draft: Draft, name: str, _value: str) -> None:
    _ignore(draft, name, "The file is never written to")


def _ignore(draft: Draft, name: str, hint: str) -> None:
    if name not in draft.repeated:
        draft.warn(f"{name} is ignored", hint)


def _read_allowed_ips(draft: Draft, name: str, value: str) -> None:
    networks = draft.peer.allowed_ips
    for item in value.translate(NO_SPACES).split(","):
        text = item[1:] if item[:1] in ("+", "-") else item
        network = canonical_network(text)
        if network is None:
            draft.refuse(name, item, "is not an IP network")
        elif item.startswith("-"):
            networks[:] = [kept for kept in networks if kept != network]
        else:
            _append(networks, network)
            if network != canonical_address(text):
                draft.warn(f"{name} {quote(text)} has host bits set and is read as {network}")


def _read_endpoint(draft: Draft, name: str, value: str) -> None:
    text = value.translate(NO_SPACES)
    endpoint = parse_endpoint(text)
    if isinstance(endpoint, str):
        draft.refuse(name, text, endpoint)
        return
    draft.peer.endpoint = host, port = endpoint
    if ":" in host and not text.startswith("["):
        draft.warn(
            f"{name} {quote(text)} is read as [{host}]:{port}", "Put the address in brackets"
        )


def _read_persistent_keepalive(draft: Draft, name: str, value: str) -> None:
    text = value.translate(NO_SPACES)
    off = text.lower() == "off"
    seconds = 0 if off else _number(draft, name, text, 0, _UINT16_MAX)
    draft.peer.persistent_keepalive = seconds or None


def _number(draft: Draft, name: str, value: str, low: int, high: int) -> int | None:
    number = parse_decimal(value, low, high)
    if number is None:
        draft.refuse(name, value, f"is not a whole number from {low} to {high}")
    return number


def _items(value: str) -> list[str]:
    """Split a list of wg-quick(8), which takes commas and spaces alike and lets items be empty."""
    return [item for item in value.translate(_TO_COMMAS).split(",") if item]


def _append(values: list[str], value: str) -> None:
    if value not in values:
        values.append(value)


class Entry:
    """A key: its section, whether it is single, whether it may stand without a value, its draft."""

    __slots__ = ("may_be_empty", "read", "section", "single")

    def __init__(
        self,
        section: str,
        read: Callable[[Draft, str, str], None],
        *,
        single: bool = True,
        may_be_empty: bool = False,
    ) -> None:
        self.section, self.read = section, read
        self.single, self.may_be_empty = single, may_be_empty


ENTRIES = {
    "PrivateKey": Entry("Interface", _read_private_key),
    "Address": Entry("Interface", _read_address, single=False, may_be_empty=True),
    "DNS": Entry("Interface", _read_dns, single=False, may_be_empty=True),
    "MTU": Entry("Interface", _read_mtu, may_be_empty=True),
    "ListenPort": Entry("Interface", _read_listen_port),
    "FwMark": Entry("Interface", _read_fwmark),
    "Table": Entry("Interface", _read_table, may_be_empty=True),
    "SaveConfig": Entry("Interface", _read_save_config, may_be_empty=True),
    "PublicKey": Entry("Peer", _read_public_key),
    "PresharedKey": Entry("Peer", _read_preshared_key),
    "AllowedIPs": Entry("Peer", _read_allowed_ips, single=False),
    "Endpoint": Entry("Peer", _read_endpoint),
    "PersistentKeepalive": Entry("Peer", _read_persistent_keepalive),
}
SPELLING = {name.lower(): name for name in ENTRIES}
"""From a key in small letters to its spelling in wg(8) and wg-quick(8)."""
