"""Network namespaces beside the tunnel's that processes are in, or hold sockets of."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from wgconfine.runtime.process import ENVIRONMENT, find

__all__ = ["Link", "Network", "Networks"]

_MOST = 16
_ASK_SECONDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link of such a namespace; `kind` is iproute2's word, empty for a device of the machine.

    `leads_to` names the namespace in which its other end is: empty for the same one, `?` for one
    without a name.
    """

    name: str
    kind: str
    leads_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """`links` are those beside loopback; None where they can't be seen."""

    inode: int
    links: tuple[Link, ...] | None


class Networks:
    """Keeps a descriptor of each, so that it can be looked into when its process has ended."""

    def __init__(self) -> None:
        self._kept: dict[int, int] = {}
        self.unseen: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._kept.values():
            os.close(descriptor)

    def keep(self, inode: int, opened: Callable[[], int]) -> None:
        if inode in self._kept:
            return
        if len(self._kept) >= _MOST:
            self.unseen.add(f"more than {_MOST} network namespaces")
            return
        descriptor = opened()
        if os.fstat(descriptor).st_ino == inode:
            self._kept[inode] = descriptor
        else:
            os.close(descriptor)

    def descriptors(self) -> tuple[int, ...]:
        return tuple(self._kept.values())

    def describe(self) -> Iterator[Network]:
        for inode, descriptor in self._kept.items():
            yield Network(inode=inode, links=_links(descriptor))


def _links(descriptor: int) -> tuple[Link, ...] | None:
    try:
        shown = json.loads(_ip(descriptor, "-details", "link", "show") or "[]")
        numbers = json.loads(_ip(descriptor, "netns", "list-id") or "[]")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    names = {each["nsid"]: each["name"] for each in numbers if each.get("name")}
    return tuple(_link(each, names) for each in shown if each.get("link_type") != "loopback")


def _link(shown: dict[str, object], names: dict[object, str]) -> Link:
    number = shown.get("link_netnsid")
    info = shown.get("linkinfo")
    kind = info.get("info_kind", "") if isinstance(info, dict) else ""
    leads_to = "" if number is None else names.get(number, "?")
    return Link(name=str(shown.get("ifname")), kind=str(kind), leads_to=leads_to)


def _ip(descriptor: int, *arguments: str) -> str:
    # Only the network namespace is entered: the program and every file are the host's.
    command = [find("nsenter"), f"--net=/proc/self/fd/{descriptor}", find("ip"), "-json"]
    done = subprocess.run(
        [*command, *arguments],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        pass_fds=[descriptor],
        timeout=_ASK_SECONDS,
        check=True,
        text=True,
        errors="replace",
    )
    return done.stdout
