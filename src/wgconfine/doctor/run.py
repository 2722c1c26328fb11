"""Look at the whole machine but wgconfine's own: all programs are asked at once, then judged."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from wgconfine.doctor import access, base, clock, firewall, others, trials, vpn
from wgconfine.doctor import firewalld as daemon
from wgconfine.doctor.asked import Answers, ask, is_there, read, succeeded
from wgconfine.doctor.distribution import Distribution, parse_os_release
from wgconfine.doctor.resolver import (
    ResolverFacts,
    judge_resolver,
    look_at_resolver,
    named_endpoints,
)
from wgconfine.doctor.ways import ways_of
from wgconfine.model.doctor import Finding
from wgconfine.model.settings import Backend, Settings
from wgconfine.system.installed import LIVE

__all__ = ["MachineFacts", "judge_machine", "look_at_machine", "questions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """All that was seen, before anything is made of it. `named` have an endpoint to look up."""

    distribution: Distribution
    base: base.BaseFacts
    trials: trials.Trials
    resolver: ResolverFacts
    firewall: firewall.FirewallFacts
    vpn: vpn.VpnFacts
    access: access.AccessFacts
    clock: clock.ClockFacts
    others: others.OtherFacts
    named: tuple[str, ...] = ()


def questions(*, root: bool, booted: bool, firewalld: bool) -> dict[str, Sequence[str]]:
    """Give what programs are asked; what changes a namespace of its own is for root alone.

    `firewalld` says that it runs.
    """
    asked: dict[str, Sequence[str]] = {**trials.QUESTIONS, **firewall.QUESTIONS, **vpn.QUESTIONS}
    if booted:
        asked |= {**base.QUESTIONS, **access.QUESTIONS, **clock.QUESTIONS, **others.QUESTIONS}
    if firewalld:
        asked |= daemon.QUESTIONS
    if root:
        asked |= {**trials.TRIALS, **firewall.ROOT_QUESTIONS, **vpn.ROOT_QUESTIONS}
        asked |= others.ROOT_QUESTIONS
    if root and booted:
        asked |= trials.UNIT
    return asked


def look_at_machine(tunnels: Iterable[Settings], root: Path = LIVE) -> MachineFacts:
    """`root` is where files are looked for. Changes nothing but namespaces that are thrown away."""
    enabled = [each for each in tunnels if each.enable]
    is_root, booted = os.geteuid() == 0, base.is_booted(root)
    with ExitStack() as stack:
        joined = stack.enter_context(trials.held_namespace()) if is_root and booted else None
        join = trials.joining(joined) if joined is not None else {}
        asked = questions(root=is_root, booted=booted, firewalld=booted and has_firewalld())
        answers = ask({**asked, **join}, trials.RULES)
        trials.stop_late(answers)
    return facts_of(enabled, answers, root)


def has_firewalld() -> bool:
    return is_there("firewall-cmd") and succeeded(ask(daemon.ACTIVE)["active"])


def facts_of(tunnels: Sequence[Settings], answers: Answers, root: Path) -> MachineFacts:
    distribution = parse_os_release(
        read(root, "/etc/os-release") or read(root, "/usr/lib/os-release") or ""
    )
    tried = trials.trials_of(answers, os.uname().release, root)
    declared = [each.name for each in tunnels if each.backend is Backend.USERSPACE]
    return MachineFacts(
        distribution=distribution,
        base=base.look_at_base(root, answers, distribution, tried.container.strip("?"), declared),
        trials=tried,
        resolver=look_at_resolver(root),
        firewall=firewall.look(root, answers),
        vpn=vpn.look_at_vpn(answers),
        access=access.look_at_access(root, answers),
        clock=clock.look_at_clock(answers),
        others=others.look(root, answers, tunnels),
        named=tuple(named_endpoints(tunnels)),
    )


def judge_machine(facts: MachineFacts, tunnels: Iterable[Settings]) -> Iterator[Finding]:
    """Pure."""
    yield from base.judge_base(facts.base)
    yield from trials.judge_trials(facts.trials, booted=facts.base.systemd.booted)
    yield from clock.judge_clock(facts.clock, facts.base.container, facts.distribution)
    yield from judge_resolver(facts.resolver, facts.named)
    yield from firewall.judge_firewall(facts.firewall, ways_of(tunnels))
    yield from vpn.judge_vpn(facts.vpn)
    yield from access.judge_access(facts.access)
    yield from others.judge_others(facts.others)
