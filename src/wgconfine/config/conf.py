"""What a wg-quick `.conf` says, and what is wrong with one.

The runtime imports this module. Plain classes: `dataclasses` alone would cost 13 ms of the start of
a tunnel. No repr shows a key.
"""

from __future__ import annotations

from wgconfine.config.escape import HIDDEN

__all__ = ["MTU_MIN_IPV6", "Conf", "ConfError", "ConfPeer", "ConfProblem"]

MTU_MIN_IPV6 = 1280
"""Bytes. With less than this the kernel takes IPv6 off a link (RFC 8200, 5)."""


class ConfProblem:
    """One thing wrong at `line` (0: with the whole); `word` is the unknown key, if that is it."""

    __slots__ = ("hint", "line", "what", "word")

    def __init__(self, line: int, what: str, hint: str = "", word: str = "") -> None:
        self.line, self.what, self.hint, self.word = line, what, hint, word

    def __str__(self) -> str:
        return f"{self.what}." + (f" {self.hint}." if self.hint else "")

    def __repr__(self) -> str:
        return f"ConfProblem({self.line}, {self.what!r}, {self.hint!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConfProblem) and (self.line, str(self)) == (other.line, str(other))

    def __hash__(self) -> int:
        return hash((self.line, self.what))


class ConfError(Exception):
    """The text is no configuration; `problems` are all there are, in the order of their lines."""

    def __init__(self, where: str, problems: list[ConfProblem]) -> None:
        self.where = where
        self.problems = sorted(problems, key=_line)
        places = [f"{where}:{found.line}" if found.line else where for found in self.problems]
        lines = [f"{at}: {found}" for at, found in zip(places, self.problems, strict=True)]
        super().__init__("\n".join(lines))


class ConfPeer:
    """One `[Peer]`; `persistent_keepalive` is in seconds, None for off; `line` is its heading's."""

    __slots__ = (
        "allowed_ips",
        "endpoint",
        "line",
        "persistent_keepalive",
        "preshared_key",
        "public_key",
    )

    def __init__(self, line: int) -> None:
        self.line = line
        self.public_key = ""
        self.preshared_key: str | None = None
        self.allowed_ips: list[str] = []
        self.endpoint: tuple[str, int] | None = None
        self.persistent_keepalive: int | None = None

    def __repr__(self) -> str:
        return f"ConfPeer(line={self.line}, keys={HIDDEN})"


class Conf:
    """A whole configuration.

    `addresses` are `IP/PREFIX`, `dns` IP addresses, both canonical; `mtu` is in bytes. `lines` says
    where each key of `[Interface]` (as in `ENTRIES`) stands: a list first, another key last.
    `warnings` are no reason to stop.
    """

    __slots__ = (
        "addresses",
        "dns",
        "fwmark",
        "lines",
        "listen_port",
        "mtu",
        "peers",
        "private_key",
        "search",
        "warnings",
    )

    def __init__(self) -> None:
        self.private_key: str | None = None
        self.addresses: list[str] = []
        self.dns: list[str] = []
        self.search: list[str] = []
        self.mtu: int | None = None
        self.listen_port: int | None = None
        self.fwmark: int | None = None
        self.peers: list[ConfPeer] = []
        self.lines: dict[str, int] = {}
        self.warnings: list[ConfProblem] = []

    def __repr__(self) -> str:
        return f"Conf(addresses={self.addresses}, peers={self.peers}, private_key={HIDDEN})"


def _line(problem: ConfProblem) -> int:
    return problem.line
