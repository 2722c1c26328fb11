"""Is the tunnel's namespace what was declared: its name, links, routes, rules, firewall, peers?

Everything is seen from inside of our own record of the namespace: the name may be somebody else's.
"""

import json
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wgconfine.model.state import UnitState, judge
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.runtime import firewall as rules_of
from wgconfine.runtime import link, paths
from wgconfine.runtime.namespace import identity, is_namespace
from wgconfine.runtime.netns import FIRST_PROCESS
from wgconfine.runtime.resolver import resolv_conf
from wgconfine.runtime.sysctl import SETTINGS
from wgconfine.system.inside import Answer, ask_all, opened
from wgconfine.system.lock import between_writers
from wgconfine.verify.expected import Expected, read_expected
from wgconfine.verify.firewall import judge_firewall, judge_foreign_tables, parse_ruleset
from wgconfine.verify.inhabitants import judge_inhabitants, read_inhabitants
from wgconfine.verify.links import (
    judge_addresses,
    judge_link,
    judge_links,
    judge_routes,
    judge_rules,
)
from wgconfine.verify.outer import check_outer, links_on_the_way
from wgconfine.verify.peers import judge_device, parse_dump
from wgconfine.verify.subject import Subject

__all__ = ["check_structure"]

check = partial(Check, area=Area.STRUCTURE)

Identity = tuple[int, int] | None

IP = "address show\nroute show table all\n"
PATIENCE = 5.0
"""Seconds for a reload that is under way: what is half done is nothing to be alarmed about."""
SYSCTLS = "/proc/sys/net/"
IRRELEVANT = ("promote_secondaries", "ping_group_range")
"""They say how addresses are deleted and who may ping."""
DANGEROUS = ("ip_forward", "forwarding", "accept_redirects", "accept_ra")
SCRATCH = ("unshare", "--net", "--", "/bin/sh", "-c", "nft -f - && nft -j list ruleset")
"""A ruleset as nft(8) would print it: loaded in a namespace that is thrown away."""


def check_structure(subject: Subject) -> list[Check]:
    """Compare the namespace and what is in it with what the tunnel was configured with."""
    name = subject.name
    tunnel = subject.states[f"wgconfine@{name}.service"]
    if judge(tunnel) == "not-found":
        return [judge_tunnel(tunnel)]
    record, named = paths.record_of_namespace(name), paths.named_namespace(name)
    found = [
        judge_tunnel(tunnel),
        *judge_namespace(name, seen(record), seen(named), identity(FIRST_PROCESS)),
    ]
    if seen(record) is None:
        return found
    up = judge(tunnel) == "running"
    with between_writers(name, PATIENCE), opened(record) as namespace:
        expected = read_expected(name)
        inside = os.fstat(namespace).st_dev, os.fstat(namespace).st_ino
        if inside == identity(FIRST_PROCESS):
            return found
        found += judge_inhabitants(read_inhabitants(inside), subject.settings.services)
        found += check_inside(subject, namespace, expected, up=up)
        found += judge_configuration(name, expected) if up else []
    return found


def seen(path: str) -> Identity:
    """Give the identity of the namespace at `path`, None where there is none."""
    return identity(path) if is_namespace(path) else None


def judge_tunnel(state: UnitState) -> Check:
    """Say of a tunnel that is not up that it is not: closed, and of no use."""
    word = judge(state)
    if word == "running":
        return check(name="tunnel", verdict=Verdict.OK, evidence="up")
    evidence = {"stopped": "down", "not-found": "not applied"}.get(word, word)
    mend = f"systemctl start {state.name}" if word == "stopped" else f"journalctl -u {state.name}"
    return check(
        name="tunnel",
        verdict=Verdict.BROKEN,
        evidence=f"{evidence}: nothing gets out, and its services do not run",
        mend="wgconfine apply" if word == "not-found" else mend,
    )


def judge_namespace(
    name: str, record: Identity, named: Identity, host: Identity
) -> tuple[Check, Check]:
    """Compare our record of the namespace and its name with one another and with the host's."""
    mend = f"systemctl restart wgconfine-netns@{name}.service"
    own = partial(check, name="namespace")
    if record is None:
        own_check = own(verdict=Verdict.BROKEN, evidence="there is none", mend=mend)
    elif host is None:
        own_check = own(verdict=Verdict.UNKNOWN, evidence=f"{FIRST_PROCESS} can't be seen")
    elif record == host:
        evidence = "it is the host's"
        own_check = own(verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=mend)
    else:
        own_check = own(verdict=Verdict.OK, evidence=f"net:[{record[1]}], not the host's")
    path = paths.named_namespace(name)
    by_name = partial(check, name="namespace-name")
    if named == record:
        name_check = by_name(verdict=Verdict.OK, evidence=f"{path} is it")
        if record is None:
            name_check = by_name(verdict=Verdict.BROKEN, evidence=f"{path} is not there", mend=mend)
    elif named is None:
        name_check = by_name(verdict=Verdict.BROKEN, evidence=f"{path} is gone", mend=mend)
    else:
        evidence = f"another namespace has taken the name {path}"
        name_check = by_name(
            verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=f"umount -l {path}"
        )
    return own_check, name_check


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the tools said of the inside; an answer that failed has a status that is not 0."""

    ip: Answer
    rules4: Answer
    rules6: Answer
    nft: Answer
    sysctls: Answer
    wg: Answer
    expected_nft: Answer


def look_inside(namespace: int, expected: Expected, *, up: bool) -> Seen:
    policy = expected.policy if up else rules_of.Policy()
    wg_name = expected.record.wg_name if expected.record is not None else paths.LINK
    scratch = ask_all([SCRATCH], namespace=None, stdin=rules_of.ruleset(policy))
    answers = ask_all(
        [
            ("ip", "-j", "-d", "-batch", "-"),
            ("ip", "-j", "-4", "rule", "show"),
            ("ip", "-j", "-6", "rule", "show"),
            ("nft", "-j", "list", "ruleset"),
            ("grep", "-sH", "", *(f"{SYSCTLS}{key}" for key in SETTINGS)),
            ("wg", "show", wg_name, "dump"),
        ],
        namespace=namespace,
        stdin=IP,
    )
    ip, rules4, rules6, nft, sysctls, wg = answers
    return Seen(
        ip=ip,
        rules4=rules4,
        rules6=rules6,
        nft=nft,
        sysctls=sysctls,
        wg=wg,
        expected_nft=scratch[0],
    )


def check_inside(subject: Subject, namespace: int, expected: Expected, *, up: bool) -> list[Check]:
    told = look_inside(namespace, expected, up=up)
    found = [*check_links(subject, told, expected, up=up), check_rules(told)]
    found += check_firewall(told, mend_tunnel(subject.name, up=up))
    found += [judge_sysctls(parse_sysctls(told.sysctls.output), subject.name)]
    if up and expected.conf is not None:
        found += check_device(subject, told.wg, expected)
    return found


def mend_tunnel(name: str, *, up: bool) -> str:
    """Give the command that configures a tunnel anew without a restart of its services."""
    if up:
        return f"systemctl reload wgconfine@{name}.service"
    return f"systemctl restart wgconfine-netns@{name}.service"


def unknown(name: str, program: str, answer: Answer) -> Check:
    evidence = f"{program}: {answer.complaint or f'exit status {answer.status}'}"
    return check(name=name, verdict=Verdict.UNKNOWN, evidence=evidence)


def check_links(subject: Subject, told: Seen, expected: Expected, *, up: bool) -> list[Check]:
    lines = told.ip.output.splitlines()
    if told.ip.status != 0 or len(lines) != len(IP.splitlines()):
        return [unknown("links", "ip", told.ip)]
    links, routes = map(json.loads, lines)
    found = [judge_links(links, up=up, on_the_way=links_on_the_way(subject.carried))]
    if not up:
        return found
    userspace = expected.record is not None and expected.record.userspace
    ours = holds_link(subject, expected) if userspace else None
    found.append(judge_link(links, userspace=userspace, ours=ours))
    if expected.conf is not None:
        ipv6 = link.has_ipv6()
        addresses = link.wanted_addresses(expected.conf, ipv6=ipv6)
        networks = link.wanted_routes(expected.conf, ipv6=ipv6)
        allowed = {each for peer in expected.conf.peers for each in peer.allowed_ips}
        found += [judge_addresses(links, addresses), judge_routes(routes, networks, allowed)]
    return found


def holds_link(subject: Subject, expected: Expected) -> bool | None:
    """Tell whether this tunnel's wireguard-go answers on its socket and holds the link inside."""
    pid = subject.states[f"wgconfine-wireguard@{subject.name}.service"].main_pid
    if not pid or expected.record is None:
        return False
    listener = pid_that_listens(f"/run/wireguard/{expected.record.link}.sock")
    held = tun_devices(pid)
    return None if listener is None or held is None else (listener, held) == (pid, {paths.LINK})


def pid_that_listens(path: str) -> int | None:
    """Give the process that listens on a unix socket (unix(7), SO_PEERCRED); None if none does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        try:
            connection.connect(path)
        except OSError:
            return None
        size = struct.calcsize("3i")
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return int(struct.unpack("3i", credentials)[0])


def tun_devices(pid: int) -> set[str] | None:
    """Give the names of the tun devices that a process holds; None where that can't be seen."""
    texts = []
    try:
        for each in Path(f"/proc/{pid}/fdinfo").iterdir():
            with suppress(FileNotFoundError):  # it has just been closed
                texts.append(each.read_text())
    except OSError:
        return None
    lines = [line.split() for text in texts for line in text.splitlines()]
    return {words[1] for words in lines if len(words) > 1 and words[0] == "iff:"}


def check_rules(told: Seen) -> Check:
    families = {4: told.rules4} | ({6: told.rules6} if link.has_ipv6() else {})
    for answer in families.values():
        if answer.status != 0:
            return unknown("rules", "ip", answer)
    return judge_rules({key: json.loads(each.output or "[]") for key, each in families.items()})


def check_firewall(told: Seen, mend: str) -> list[Check]:
    for answer in (told.nft, told.expected_nft):
        if answer.status != 0:
            return [unknown("firewall", "nft", answer)]
    found, expected = map(parse_ruleset, (told.nft.output, told.expected_nft.output))
    return [judge_firewall(found, expected, mend), judge_foreign_tables(found)]


def parse_sysctls(output: str) -> dict[str, str]:
    lines = (line.removeprefix(SYSCTLS).rpartition(":") for line in output.splitlines())
    return {key: value for key, _, value in lines}


def judge_sysctls(found: dict[str, str], name: str) -> Check:
    """Compare the kernel settings of the namespace with ours; what the kernel lacks is left out."""
    wrong = {
        key: found[key]
        for key, value in SETTINGS.items()
        if found.get(key, value) != value and not key.endswith(IRRELEVANT)
    }
    if not found:
        return check(name="sysctls", verdict=Verdict.UNKNOWN, evidence="they can't be read")
    if not wrong:
        return check(name="sysctls", verdict=Verdict.OK, evidence=f"{len(found)} as declared")
    return check(
        name="sysctls",
        verdict=Verdict.NOT_CONFINED
        if any(key.endswith(DANGEROUS) for key in wrong)
        else Verdict.BROKEN,
        evidence=", ".join(f"{key} is {value}" for key, value in wrong.items()),
        mend=f"systemctl restart wgconfine-netns@{name}.service",
    )


def check_device(subject: Subject, answer: Answer, expected: Expected) -> list[Check]:
    if answer.status != 0 or expected.conf is None:
        return [unknown("peers", "wg", answer)]
    try:
        device = parse_dump(answer.output)
    except ValueError:
        return [check(name="peers", verdict=Verdict.UNKNOWN, evidence="wg: no dump of a link")]
    userspace = expected.record is not None and expected.record.userspace
    return [
        *judge_device(device, expected.conf, mend_tunnel(subject.name, up=True)),
        *check_outer(subject, userspace=userspace, port=device.listen_port),
    ]


def judge_configuration(name: str, expected: Expected) -> list[Check]:
    """Tell whether the tunnel runs by the NAME.json and .conf of now, with its resolver files."""
    mend = mend_tunnel(name, up=True)
    source = partial(check, name="config")
    if expected.record is None:
        return [source(verdict=Verdict.UNKNOWN, evidence=expected.why, mend="wgconfine apply")]
    if expected.conf is None:
        evidence = f"what it was configured with is not known: {expected.why}"
        return [source(verdict=Verdict.UNKNOWN, evidence=evidence, mend=mend)]
    verdicts: dict[str, tuple[Verdict, str]] = {
        "same": (Verdict.OK, "in force"),
        "absent": (Verdict.OK, "in force; the .conf is away since"),
        "changed": (Verdict.BROKEN, "the .conf has changed since the tunnel started or reloaded"),
        "wrong": (Verdict.BROKEN, expected.why),
    }
    verdict, evidence = verdicts[expected.source]
    if verdict is Verdict.OK and not expected.in_force:
        verdict, evidence = Verdict.BROKEN, "NAME.json has changed since the tunnel was configured"
    return [
        source(verdict=verdict, evidence=evidence, mend=mend if verdict is not Verdict.OK else ""),
        *check_resolver_files(name, expected.conf.dns, expected.conf.search),
    ]


def check_resolver_files(name: str, dns: Sequence[str], search: Sequence[str]) -> list[Check]:
    """Compare the files that services see as resolv.conf and nsswitch.conf with the declared."""
    state = paths.tunnel_state(name)
    mend = mend_tunnel(name, up=True)
    resolv = read_or_none(f"{state}/resolv.conf")
    nsswitch = read_or_none(f"{state}/nsswitch.conf")
    good = resolv == resolv_conf(list(dns), list(search))
    hosts = [
        line for line in (nsswitch or "").splitlines() if line.partition(":")[0].strip() == "hosts"
    ]
    return [
        judge_file("resolv-conf", good=good, evidence=f"{state}/resolv.conf", mend=mend),
        judge_file(
            "nsswitch-conf",
            good=hosts == ["hosts: files dns"],
            evidence=f"{state}/nsswitch.conf",
            mend=mend,
        ),
    ]


def judge_file(name: str, *, good: bool, evidence: str, mend: str) -> Check:
    if good:
        return check(name=name, verdict=Verdict.OK, evidence=evidence)
    evidence = f"{evidence} is missing or is not what was declared"
    return check(name=name, verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=mend)


def read_or_none(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
