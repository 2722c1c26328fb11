"""The copy of a provider's `.conf` that wgconfine keeps: text in, text out.

What would be refused or ignored is a comment there, with the reason on its line. Lines keep their
numbers, so that a message about the copy holds for what it was made from, too.
"""

from dataclasses import dataclass

from wgconfine.config.entries import NO_SPACES, SPACES
from wgconfine.config.literal import parse_decimal
from wgconfine.config.wgquick import HOOKS

__all__ = ["ConfCopy", "LeftOut", "copy_conf"]

_PORT_MAX = 0xFFFF
_NEVER_RUN = "no command of a .conf is run; wgconfine itself is the kill switch"
_REASONS = {
    **{key: (name, _NEVER_RUN) for key, name in HOOKS.items()},
    "table": ("Table", "the tunnel has routes of its own, which are the AllowedIPs"),
    "saveconfig": ("SaveConfig", "wgconfine never writes to a .conf"),
    "listenport": ("ListenPort", "its place is listen-port in the settings"),
    "fwmark": ("FwMark", "its place is fwmark in the settings"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A key of the `.conf` that the copy has as a comment. Its value is nobody's to see."""

    line: int
    key: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfCopy:
    """The text of the copy; `listen_port` is what the `.conf` said, if that is a port."""

    text: str
    left_out: tuple[LeftOut, ...]
    listen_port: int | None


def copy_conf(text: str) -> ConfCopy:
    """Give the copy of a `.conf`: UTF-8 without a byte order mark, lines that end at LF alone.

    Whether the rest of it is right is for the parser to say.
    """
    lines: list[str] = []
    left_out: list[LeftOut] = []
    port = None
    plain = text.removeprefix("\ufeff").removesuffix("\n")
    for number, line in enumerate(plain.split("\n"), start=1):
        kept = line.removesuffix("\r")
        key, _, value = kept.partition("#")[0].strip(SPACES).partition("=")
        name, why = _REASONS.get(key.translate(NO_SPACES).lower(), ("", ""))
        if name:
            left_out.append(LeftOut(line=number, key=name, why=why))
            kept = f"# (left out by wgconfine: {why}) {kept}"
        if name == "ListenPort":
            port = parse_decimal(value.translate(NO_SPACES), 1, _PORT_MAX)
        lines.append(kept)
    return ConfCopy(text="\n".join(lines) + "\n", left_out=tuple(left_out), listen_port=port)
