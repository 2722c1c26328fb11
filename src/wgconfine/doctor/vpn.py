"""A VPN of the host's own: do the tunnel's encrypted packets go through it?"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from wgconfine.doctor.asked import Answers, json_of, succeeded
from wgconfine.model.doctor import Finding, Grade, Subject
from wgconfine.model.status import CarrierStatus
from wgconfine.system.outside import carrier

__all__ = ["QUESTIONS", "ROOT_QUESTIONS", "VpnFacts", "judge_vpn", "look_at_vpn"]

QUESTIONS = {"ways": ("ip", "-j", "rule", "show"), "ways6": ("ip", "-j", "-6", "rule", "show")}
ROOT_QUESTIONS = {"tables": ("nft", "list", "tables")}
ANYWHERE = ("192.0.2.1:51820", "[2001:db8::1]:51820")
"""Addresses that nobody has (RFC 5737, RFC 3849): the kernel says which link would be taken."""
MULLVAD = "table inet mullvad"


@dataclass(frozen=True, slots=True, kw_only=True)
class VpnFacts:
    """`carriers` are links by which what goes anywhere leaves; `marks` what goes beside them.

    `mullvad` says that rules of the Mullvad app are in force.
    """

    carriers: tuple[CarrierStatus, ...] = ()
    marks: tuple[int, ...] = ()
    mullvad: bool = False


def look_at_vpn(answers: Answers) -> VpnFacts:
    # Where there is no ip(8), the tools say so.
    there = succeeded(answers.get("ways"))
    carriers = [carrier(each, None) for each in ANYWHERE] if there else []
    rules = [*json_of(answers.get("ways")), *json_of(answers.get("ways6"))]
    tables = answers.get("tables")
    return VpnFacts(
        carriers=tuple(each for each in carriers if each is not None),
        marks=tuple(dict.fromkeys(marks_beside(rules))),
        mullvad=tables is not None and MULLVAD in tables.output.splitlines(),
    )


def marks_beside(rules: Iterable[Mapping[str, object]]) -> Iterator[int]:
    """Give the marks of packets that rules leave to the main table: `not fwmark N lookup T`."""
    for each in rules:
        mark = str(each.get("fwmark", ""))
        if "not" in each and mark:
            try:
                yield int(mark, 0)
            except ValueError:
                continue


finding = partial(Finding, subject=Subject.VPN)


def judge_vpn(facts: VpnFacts) -> Iterator[Finding]:
    links = {each.link: each for each in facts.carriers}
    for each in links.values():
        yield finding(
            name="carrier",
            grade=Grade.NOTE,
            words=f"what leaves this machine goes through {each.link} ({each.kind}, MTU "
            f"{each.mtu}), and so do encrypted packets of tunnels: a tunnel in a tunnel, which "
            "works and is slower. An MTU that no .conf names is reckoned with it",
            lines=tuple(f"beside it, in the settings: fwmark = {mark}" for mark in facts.marks[:1]),
        )
    if facts.mullvad:
        yield finding(
            name="mullvad",
            grade=Grade.NOTE,
            words="rules of the Mullvad app are in force: while it is connected tunnels go through "
            "it, and while it blocks they have no way out",
        )
    if not links and not facts.mullvad:
        yield finding(name="carrier", grade=Grade.OK, words="none has the way out")
