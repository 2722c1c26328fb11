"""The host's own firewall: does it drop what a published port is for? Read, never changed."""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from wgconfine.doctor import firewalld as daemon
from wgconfine.doctor import ufw as uncomplicated
from wgconfine.doctor.asked import Answers, json_of, succeeded
from wgconfine.doctor.firewalld import Firewalld, look_at_firewalld
from wgconfine.doctor.ufw import Ufw, look_at_ufw
from wgconfine.doctor.ways import Way
from wgconfine.model.doctor import Finding, Grade, Subject
from wgconfine.system.inside import Answer

__all__ = ["QUESTIONS", "ROOT_QUESTIONS", "Chain", "FirewallFacts", "judge_firewall", "look"]

QUESTIONS = {"addresses": ("ip", "-j", "address", "show")}
ROOT_QUESTIONS = {"chains": ("nft", "-j", "list", "chains")}
MANAGED = ("firewalld", "wgconfine")
"""Beginnings of tables that are looked at by another way, or are ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A chain for what comes in that drops whatever none of its rules lets in."""

    family: str
    table: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallFacts:
    """`links` are the links by their addresses; `chains` those of neither of the two.

    `chains` is None for who may not see them. `left` says that firewalld's rules are in force.
    """

    ufw: Ufw = field(default_factory=Ufw)
    firewalld: Firewalld = field(default_factory=Firewalld)
    chains: tuple[Chain, ...] | None = ()
    left: bool = False
    links: Mapping[str, str] = field(default_factory=dict)


def look(root: Path, answers: Answers) -> FirewallFacts:
    return FirewallFacts(
        ufw=look_at_ufw(root),
        firewalld=look_at_firewalld(root, answers),
        chains=chains_of(answers.get("chains")),
        left=any(each.get("table") == "firewalld" for each in listed(answers.get("chains")) or ()),
        links=links_of(json_of(answers.get("addresses"))),
    )


def links_of(shown: Iterable[Mapping[str, object]]) -> dict[str, str]:
    found = {}
    for link in shown:
        addresses = link.get("addr_info")
        for each in addresses if isinstance(addresses, list) else ():
            found[str(each.get("local"))] = str(link.get("ifname"))
    return found


def listed(answer: Answer | None) -> list[dict[str, object]] | None:
    """Give the chains that nft(8) lists; None where it says something else."""
    if answer is None or not succeeded(answer):
        return None
    try:
        found = [each.get("chain") for each in json.loads(answer.output)["nftables"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return [each for each in found if isinstance(each, dict)]


def chains_of(answer: Answer | None) -> tuple[Chain, ...] | None:
    """Give the base chains of the hook `input` that drop; not those of ufw's and firewalld's."""
    shown = listed(answer)
    if shown is None:
        return None
    of_ufw = {
        (each.get("family"), each.get("table"))
        for each in shown
        if str(each.get("name")).startswith(("ufw-", "ufw6-"))
    }
    return tuple(
        Chain(family=str(each["family"]), table=str(each["table"]), name=str(each["name"]))
        for each in shown
        if each.get("hook") == "input"
        and each.get("policy") == "drop"
        and not str(each.get("table")).startswith(MANAGED)
        and (each.get("family"), each.get("table")) not in of_ufw
    )


FAMILIES = {4: "ip", 6: "ip6"}

finding = partial(Finding, subject=Subject.FIREWALL)


def judge_firewall(facts: FirewallFacts, ways: Iterable[Way]) -> Iterator[Finding]:
    """Give each published port that is dropped with the command that lets it in."""
    ways = list(ways)
    yield from judge_ufw(facts.ufw, ways)
    yield from judge_firewalld(facts, ways)
    yield from judge_chains(facts.chains, ways)
    if not facts.ufw.enabled and facts.firewalld.running is False:
        yield finding(name="none", grade=Grade.OK, words="neither ufw nor firewalld is on")


def judge_ufw(ufw: Ufw, ways: list[Way]) -> Iterator[Finding]:
    if not ufw.enabled:
        return
    if ufw.rules is None:
        if ways:
            words = "ufw is on, and its rules are root's alone to read"
            yield finding(name="ufw", grade=Grade.UNKNOWN, words=words)
        return
    dropped = [way for way in ways if uncomplicated.drops(ufw, way)]
    for way in dropped:
        words = f"port {way.listen.port} of {way.tunnel}: ufw drops {way}"
        mend = uncomplicated.command_for(ufw, way)
        yield finding(name="ufw", grade=Grade.BROKEN, words=words, mend=mend)
    if not dropped:
        yield finding(name="ufw", grade=Grade.OK, words=fine("ufw", ways))


def judge_firewalld(facts: FirewallFacts, ways: list[Way]) -> Iterator[Finding]:
    firewalld = facts.firewalld
    if firewalld.running is None and ways:
        words = "firewalld tells its rules to root alone"
        yield finding(name="firewalld", grade=Grade.UNKNOWN, words=words)
    if firewalld.running is False and facts.left and ways:
        yield finding(
            name="firewalld",
            grade=Grade.NOTE,
            words="firewalld does not run, and its rules are in force all the same: it was killed. "
            "What they drop does not reach a published port",
            mend="nft delete table inet firewalld",
        )
    if not firewalld.running:
        return
    dropped = [way for way in ways if daemon.drops(firewalld, way, link_of(facts, way))]
    for way in dropped:
        link = link_of(facts, way)
        zone = daemon.zone_of(firewalld, way, link)
        where = f" in its zone {zone.name}" if zone else ""
        mend = daemon.command_for(firewalld, way, link)
        rule = "" if mend else ", by a rich rule of yours"
        words = f"port {way.listen.port} of {way.tunnel}: firewalld drops {way}{where}{rule}"
        yield finding(name="firewalld", grade=Grade.BROKEN, words=words, mend=mend)
    if not dropped:
        yield finding(name="firewalld", grade=Grade.OK, words=fine("firewalld", ways))


def link_of(facts: FirewallFacts, way: Way) -> str:
    return facts.links.get(way.address, "")


def fine(name: str, ways: list[Way]) -> str:
    if ways:
        return f"{name} is on, and lets in all that is published"
    return f"{name} is on, and nothing is published to other machines"


def judge_chains(chains: tuple[Chain, ...] | None, ways: list[Way]) -> Iterator[Finding]:
    """Say what has to be let in where rules are written by hand: what they let in is not known."""
    if not ways:
        return
    if chains is None:
        words = "rules of nftables are root's alone to see"
        yield finding(name="nftables", grade=Grade.UNKNOWN, words=words)
        return
    for each in chains:
        where = shlex.join((each.family, each.table, each.name))
        fitting = [way for way in ways if each.family in {"inet", FAMILIES[way.client.version]}]
        yield from (
            finding(
                name="nftables",
                grade=Grade.NOTE,
                words=f"port {way.listen.port} of {way.tunnel}: chain {where} drops what none of "
                f"its rules lets in, and so {way} unless one does. In the file they come from, too",
                mend=f"nft insert rule {where} {match(way)} accept",
            )
            for way in fitting
        )


def match(way: Way) -> str:
    family = FAMILIES[way.client.version]
    to = f"{family} daddr {way.address} " if way.address else ""
    return f"{family} saddr {way.client} {to}tcp dport {way.listen.port}"
