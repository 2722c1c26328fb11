"""Other tools that put things into tunnels: are they here, and has one of them a key of ours?"""

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from wgconfine.doctor.asked import Answers, ask, json_of, succeeded
from wgconfine.model.doctor import Finding, Grade, Subject
from wgconfine.model.settings import ConfFile, Settings, TunnelName
from wgconfine.render.record import host_link
from wgconfine.runtime import paths
from wgconfine.system.offers import conf_of, key_of

__all__ = ["QUESTIONS", "ROOT_QUESTIONS", "OtherFacts", "OtherUnit", "judge_others", "look"]

PATTERNS = {
    "wg-quick@*.service": "wg-quick",
    "wg-netns@*.service": "wg-netns",
    "netns@*.service": "the NixOS recipe or systemd-named-netns",
    "namespaced-openvpn*.service": "namespaced-openvpn",
    "vopono*.service": "vopono",
}
PROCESSES = {
    "vopono": "vopono",
    "gluetun-entrypoint": "gluetun",
    "namespaced-openvpn": "namespaced-openvpn",
}
COMM = 15
"""As much of a program's name as the kernel keeps: proc_pid_comm(5)."""
LINKS = {"vo_": "vopono", "veth-": "VPN-Confinement"}
"""Beginnings of names of links that they make in the host's namespace."""
QUESTIONS = {
    "others": (
        *("systemctl", "show", "--property=Id,ActiveState,LoadState", "--"),
        *PATTERNS,
    ),
    "addresses": ("ip", "-j", "address", "show"),
}
ROOT_QUESTIONS = {"keys": ("wg", "show", "all", "public-key")}


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherUnit:
    """A unit of another tool; `twin` is the tunnel whose key or file its .conf has, or empty."""

    name: str
    tool: str
    active: bool = False
    enabled: bool = False
    twin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherFacts:
    """`links` are those of the host with the key of a tunnel, by their names.

    `tools` were seen by a process or a link; `namespaces` have a name that we did not give.
    """

    units: tuple[OtherUnit, ...] = ()
    links: Mapping[str, str] | None = None
    tools: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


def look(root: Path, answers: Answers, tunnels: Iterable[Settings]) -> OtherFacts:
    """Keys are compared here and not kept; who is not root can't read them."""
    confs = {
        each.name: each.wireguard.path for each in tunnels if isinstance(each.wireguard, ConfFile)
    }
    keys = {name: key for name, path in confs.items() if (key := key_of(path))}
    answer = answers.get("others")
    loaded = parse_units(answer.output if answer is not None and succeeded(answer) else "")
    units = with_enabled({each.name: each for each in loaded}, enabled_units(root))
    shown = json_of(answers.get("addresses"))
    links = [str(each.get("ifname")) for each in shown]
    return OtherFacts(
        units=tuple(with_twin(each, confs, keys) for each in units),
        links=links_with(keys, answers),
        tools=tuple(tools_seen(root, links)),
        namespaces=tuple(foreign_namespaces(root)),
    )


def parse_units(text: str) -> Iterator[OtherUnit]:
    for block in text.split("\n\n"):
        shown = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        name = shown.get("Id", "")
        tool = tool_of(name)
        if tool and shown.get("LoadState") == "loaded":
            yield OtherUnit(
                name=name,
                tool=tool,
                active=shown.get("ActiveState") in {"active", "activating", "reloading"},
            )


def enabled_units(root: Path) -> Iterator[str]:
    """Give the units that a target wants at the next boot; a stopped one is not loaded."""
    wanted = (root / "etc/systemd/system").glob("*.wants/*.service")
    yield from (each.name for each in wanted if tool_of(each.name))


def with_enabled(loaded: Mapping[str, OtherUnit], enabled: Iterable[str]) -> list[OtherUnit]:
    wanted = {
        name: replace(loaded.get(name, OtherUnit(name=name, tool=tool_of(name))), enabled=True)
        for name in enabled
    }
    return [each for _, each in sorted({**loaded, **wanted}.items())]


def tool_of(name: str) -> str:
    return next((each for pattern, each in PATTERNS.items() if is_of(name, pattern)), "")


def is_of(name: str, pattern: str) -> bool:
    before, _, after = pattern.partition("*")
    return name.startswith(before) and name.endswith(after)


def with_twin(
    unit: OtherUnit, confs: Mapping[TunnelName, PurePosixPath], keys: Mapping[TunnelName, str]
) -> OtherUnit:
    if unit.tool != "wg-quick":
        return unit
    path = conf_of(unit.name)
    key = key_of(path) if keys else None
    twins = (
        name for name in confs if confs[name] == path or (key is not None and keys.get(name) == key)
    )
    return replace(unit, twin=next(twins, ""))


def links_with(keys: Mapping[TunnelName, str], answers: Answers) -> dict[str, str] | None:
    """Give the links of the host, whoever made them, that have the key of a tunnel."""
    answer = answers.get("keys")
    if answer is None or not succeeded(answer):
        return None
    public = dict(line.split("\t")[:2] for line in answer.output.splitlines() if "\t" in line)
    if not public or not keys:
        return {}
    # Private keys go by standard input alone.
    ours = {
        name: ask({"public": ("wg", "pubkey")}, f"{key}\n")["public"].output.strip()
        for name, key in keys.items()
    }
    return {
        link: name
        for link, key in public.items()
        for name, own in ours.items()
        if own and key == own and link != host_link(name)  # what wireguard-go made for us
    }


def tools_seen(root: Path, links: Iterable[str]) -> Iterator[str]:
    running = {name[:COMM]: tool for name, tool in PROCESSES.items()}
    found = {running[each] for each in commands(root) if each in running}
    for link in links:
        found |= {
            tool
            for begin, tool in LINKS.items()
            if link.startswith(begin) and (tool != "VPN-Confinement" or link.endswith("-br"))
        }
    yield from sorted(found)


def commands(root: Path) -> Iterator[str]:
    with suppress(OSError):
        for each in (root / "proc").iterdir():
            if each.name.isdecimal():
                with suppress(OSError):
                    yield (each / "comm").read_text(errors="replace").strip()


def foreign_namespaces(root: Path) -> Iterator[str]:
    """Give the names below /run/netns that none of our own records stands beside."""
    named, records = (
        str(root / each("").strip("/"))
        for each in (paths.named_namespace, paths.record_of_namespace)
    )
    with suppress(OSError):
        yield from sorted({*os.listdir(named)} - {*listed(records)})  # noqa: PTH208 — names


def listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 — names
    except OSError:
        return []


finding = partial(Finding, subject=Subject.OTHERS)


def judge_others(facts: OtherFacts) -> Iterator[Finding]:
    """Two links with one key cut each other off; other things of theirs are no hindrance."""
    told = set()
    for unit in facts.units:
        if unit.twin and (unit.active or unit.enabled):
            told.add(unit.twin)
            when = "is up" if unit.active else "comes up with the next boot"
            yield finding(
                name="same-key",
                grade=Grade.BROKEN,
                words=f"{unit.name} has the .conf or the key of {unit.twin}, and {when}: a server "
                "answers only the one of the two that it heard last",
                mend=f"systemctl disable --now {shlex.quote(unit.name)}",
            )
    for link, name in (facts.links or {}).items():
        if name not in told:
            yield finding(
                name="same-key",
                grade=Grade.BROKEN,
                words=f"the link {link} of this machine has the key of {name}: a server answers "
                "only the one of the two that it heard last. Have whatever made it let go of it",
            )
    beside = [each.name for each in facts.units if each.active and not each.twin]
    for words in (beside, facts.tools):
        if words:
            yield finding(
                name="beside",
                grade=Grade.NOTE,
                words=f"{', '.join(words)}: beside wgconfine, and none of its tunnels is in the "
                "way; docs/migration.md says how to come from there",
            )
    if facts.namespaces:
        yield finding(
            name="namespaces",
            grade=Grade.NOTE,
            words=f"network namespaces of others: {', '.join(facts.namespaces)}. A tunnel can't "
            "have such a name",
        )
    if facts == OtherFacts(links=facts.links) and not facts.links:
        yield finding(name="none", grade=Grade.OK, words="none was seen")
