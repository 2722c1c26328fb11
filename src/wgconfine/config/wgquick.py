"""The wg-quick `.conf`: text in, a `Conf` or every problem at once out.

The runtime that systemd executes imports this module: nothing outside of config/ is imported, and
there only what imports nothing in its turn. A `.conf` is data from a stranger (invariant 9):
nothing of it is executed, and a line that is not understood is named by its number only. The
syntax is that of wireguard-tools' src/config.c and src/wg-quick/linux.bash: a `#` begins a comment
wherever it stands, lines end at LF alone, letter case and white space do not count in names.
"""

from __future__ import annotations

from wgconfine.config.conf import MTU_MIN_IPV6, Conf, ConfError, ConfPeer, ConfProblem
from wgconfine.config.entries import ENTRIES, NO_SPACES, SPACES, SPELLING, Draft
from wgconfine.config.escape import holds_key
from wgconfine.config.literal import canonical_address, canonical_network, parse_ip

TYPE_CHECKING = False  # saves importing typing: 7.5 ms
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "HOOKS",
    "MAX_BYTES",
    "Conf",
    "ConfError",
    "ConfPeer",
    "ConfProblem",
    "canonical_address",
    "canonical_network",
    "decode",
    "parse",
    "parse_ip",
]

HOOKS = {name.lower(): name for name in ("PreUp", "PostUp", "PreDown", "PostDown")}
"""The keys whose value is a command, from small letters to the spelling of wg-quick(8)."""
MAX_BYTES = 1 << 20
_UTF_8 = "Save the file as UTF-8"
_AMNEZIA = frozenset((
    "jc", "jmin", "jmax", "s1", "s2", "s3", "s4", "h1", "h2", "h3", "h4", "i1", "i2", "i3",
    "i4", "i5", "j1", "j2", "j3", "itime", "advancedsecurity",
))  # fmt: skip
_WORD_MAX = 24  # a longer name of an unknown key is not a word: it may be a piece of a secret


_NO_LINE = "the line is neither a heading nor KEY = VALUE"


def decode(data: bytes, where: str) -> str:
    """Turn the bytes of a file, UTF-8 with or without byte order mark, into text, or ConfError."""
    if len(data) > MAX_BYTES:
        raise ConfError(where, [_too_long()])
    text = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
    # Raised outside of the handler: the UnicodeDecodeError holds the whole file, secrets and all.
    raise ConfError(where, [ConfProblem(line, "the file is not UTF-8 text here", _UTF_8)])


def parse(
    text: str,
    where: str,
    *,
    need_private_key: bool = True,
    repeated: Iterable[str] = (),
) -> Conf:
    """Read a wg-quick configuration; `where` is the file's name for messages.

    `repeated` are those of "ListenPort" and "FwMark" that the settings decide themselves: that the
    file's are ignored is then no warning. Raises ConfError with every problem.
    """
    if len(text) > MAX_BYTES:
        raise ConfError(where, [_too_long()])
    if "\0" in text:  # C programs would see another line than we do
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ConfError(where, [ConfProblem(line, "the line holds a NUL byte", _UTF_8)])
    draft = Draft(frozenset(repeated))
    reader = _Reader(draft)
    for number, content in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        reader.read_line(number, content)
    if reader.is_of_something_else():
        hint = "Name the file for WireGuard that your provider gave you"
        what = "there is neither [Interface] nor [Peer]: it is no configuration of WireGuard"
        raise ConfError(where, [ConfProblem(0, what, hint)])
    reader.check_interface(need_private_key=need_private_key)
    reader.check_peers()
    if draft.problems:
        raise ConfError(where, draft.problems)
    return draft.conf


class _Reader:
    """Reads line after line; knows the section it is in and where its keys stood (Conf.lines)."""

    __slots__ = ("draft", "peers", "section", "seen")

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.section: str | None = None  # "" below a heading that is no section
        self.seen: dict[str, int] = {}
        self.peers: list[tuple[ConfPeer, dict[str, int]]] = []

    def read_line(self, number: int, line: str) -> None:
        self.draft.line = number
        content = line.partition("#")[0].strip(SPACES)
        if content.startswith("["):
            self.read_heading(content.translate(NO_SPACES).lower())
        elif content:
            name, sign, value = content.partition("=")
            self.read_entry(name.translate(NO_SPACES), value.strip(SPACES) if sign else None)

    def read_heading(self, heading: str) -> None:
        draft = self.draft
        if heading == "[peer]":
            self.section = "Peer"
            self.seen = {}
            draft.peer = ConfPeer(draft.line)
            draft.conf.peers.append(draft.peer)
            self.peers.append((draft.peer, self.seen))
        elif heading == "[interface]":
            self.section = "Interface"
            self.seen = draft.conf.lines
            self.seen.setdefault("[Interface]", draft.line)
        else:
            self.section = ""
            draft.wrong("the heading is neither [Interface] nor [Peer]")

    def is_of_something_else(self) -> bool:
        """Tell whether there is no heading and no known key: a problem for each line says less."""
        problems = self.draft.problems
        strange = bool(problems) and all(each.what == _NO_LINE or each.word for each in problems)
        return self.section is None and strange

    def read_entry(self, name: str, value: str | None) -> None:
        known = name.lower() if name.isascii() else ""  # the Kelvin sign, too, is a small k
        if known in HOOKS:
            self.draft.wrong(
                f"{HOOKS[known]} is refused, for a command of a .conf is never run",
                "Remove the line: wgconfine itself is the kill switch",
            )
        elif known in SPELLING:
            self.read_known(SPELLING[known], value)
        elif known in _AMNEZIA:
            self.draft.wrong(
                f"{name} belongs to AmneziaWG, which WireGuard cannot talk to",
                "Get a configuration for plain WireGuard",
            )
        elif not value or not _is_word(name):
            # It may be the second half of a key that was broken over two lines.
            self.draft.wrong(_NO_LINE)
        elif self.section != "":
            self.draft.wrong(f"the key {name} is unknown", word=name)

    def read_known(self, name: str, value: str | None) -> None:
        draft, entry = self.draft, ENTRIES[name]
        if self.section == "":
            return  # the heading above was reported
        if self.section is None:
            draft.wrong(f"{name} stands before any section", f"Put it below [{entry.section}]")
        elif entry.section != self.section:
            draft.wrong(f"{name} stands below [{self.section}]", f"Put it below [{entry.section}]")
        elif value or (value is not None and entry.may_be_empty):
            if entry.single and name in self.seen:
                # A reader who looks at the first would be misled.
                draft.warn(
                    f"{name} is given again, after line {self.seen[name]}", "The last counts"
                )
            if entry.single or name not in self.seen:
                self.seen[name] = draft.line
            draft.hidden = holds_key(value)
            entry.read(draft, name, value)
        else:
            self.seen.setdefault(name, draft.line)  # it is not missing, too
            draft.wrong(f"{name} has no value")

    def check_interface(self, *, need_private_key: bool) -> None:
        draft, conf = self.draft, self.draft.conf
        draft.line = conf.lines.get("[Interface]", 0)
        if not draft.line:
            draft.wrong("there is no [Interface]")
        else:
            if need_private_key and "PrivateKey" not in conf.lines:
                draft.wrong("[Interface] has no PrivateKey")
            if not conf.addresses and not any(map(_is_of_address, draft.problems)):
                draft.wrong("[Interface] has no Address")
        if conf.mtu is not None and conf.mtu < MTU_MIN_IPV6 and any(map(_is_ipv6, conf.addresses)):
            draft.line = conf.lines["MTU"]
            draft.wrong(f"MTU '{conf.mtu}' is less than {MTU_MIN_IPV6}, which IPv6 needs")

    def check_peers(self) -> None:
        draft = self.draft
        draft.line = 0
        if not self.peers:
            draft.wrong("there is no [Peer], so nothing can be reached")
        keys: dict[str, int] = {}
        owners: dict[str, int] = {}
        for peer, seen in self.peers:
            draft.line = peer.line
            if "PublicKey" not in seen:
                draft.wrong("[Peer] has no PublicKey")
            elif peer.public_key and keys.setdefault(peer.public_key, peer.line) != peer.line:
                first = keys[peer.public_key]
                draft.wrong(f"[Peer] has the PublicKey of the one on line {first}")
            if not peer.allowed_ips:
                draft.warn("[Peer] has no AllowedIPs, so nothing is ever sent to it")
            for network in peer.allowed_ips:
                if network in owners:
                    draft.warn(
                        f"AllowedIPs '{network}' is also of the [Peer] on line {owners[network]}",
                        "The last one gets it",
                    )
                owners[network] = peer.line


def _is_word(name: str) -> bool:
    return name.isascii() and name.isalnum() and len(name) <= _WORD_MAX and not name[0].isdigit()


def _is_of_address(problem: ConfProblem) -> bool:
    return problem.what.startswith("Address ")


def _is_ipv6(address: str) -> bool:
    return ":" in address


def _too_long() -> ConfProblem:
    return ConfProblem(0, "the file is over 1 MiB long, which no configuration is")
