"""Try to get out of each confined service, as its own user in its own sandbox."""

import os
import secrets
import shlex
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from wgconfine.config.escape import escape
from wgconfine.model.settings import UnitName
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.verify.answers import parse_answers
from wgconfine.verify.channels import CHANNELS, Answer, Around, judge
from wgconfine.verify.facts import HostFacts, read_host
from wgconfine.verify.probing import Probed, run_probe
from wgconfine.verify.subject import Subject
from wgconfine.verify.witness import Witness, host_addresses

__all__ = ["check_escapes"]

AT_ONCE = max(2, min(8, 2 * (os.cpu_count() or 1)))
MOST_EVIDENCE = 400
OTHERS_OF_ITS_USER = '. A User= of its own closes that, or hardening = "strict" in its settings'


def check_escapes(subject: Subject) -> list[Check]:
    """Run the probe of each service, running or not, and judge every channel. Needs root.

    Without the tunnel none could start, and there is nothing to try.
    """
    services = subject.settings.services
    tunnel = f"wgconfine@{subject.name}.service"
    if subject.states[tunnel].active != "active":
        what = f"{tunnel} is not running, so that no service of it can start"
        return [check(unit, "probe", Verdict.UNAVAILABLE, what) for unit in services]
    host = read_host()
    addresses, links = host_addresses()
    abstract = f"wgconfine-{secrets.token_hex(8)}"
    tokens = {unit: new_tokens() for unit in services}
    with Witness(addresses, abstract) as witness:
        told = {
            "addresses": witness.ports,
            "links": [link for link in links if link != "lo"],
            "resolvers": host.resolvers,
            "abstract": abstract,
            "host-namespace": host.namespace,
        }
        for each in tokens.values():
            witness.expect(each)
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            probed = pool.map(
                lambda unit: run_probe(
                    subject.systemctl, subject.name, unit, {**told, "channels": tokens[unit]}
                ),
                services,
            )
            results = dict(zip(services, probed, strict=True))
    return [
        each
        for unit in services
        for each in judged(subject, unit, results[unit], tokens[unit], host=host, witness=witness)
    ]


def new_tokens() -> dict[str, str]:
    """Give each channel a word that nobody has said before."""
    return {name: f"wgc{secrets.token_hex(10)}" for name in CHANNELS}


def judged(
    subject: Subject,
    unit: UnitName,
    probed: Probed,
    tokens: Mapping[str, str],
    *,
    host: HostFacts,
    witness: Witness,
) -> list[Check]:
    """Give the checks of one service."""
    seen: dict[str, list[str]] = defaultdict(list)
    for each in witness.sightings:
        seen[each.token].append(each.where)
    answers, odd = parse_answers(probed.said, tokens)
    found = [overall(unit, probed, answers, odd=odd, blind=witness.blind)]
    if probed.facts is None:
        found += [
            check(unit, name, Verdict.LEAK, f"the host saw it: {seen[token][0]}")
            for name, token in tokens.items()
            if seen[token]
        ]
        return found
    refinement = subject.settings.refinement(unit)
    around = Around(
        tunnel=subject.name,
        stem=unit.removesuffix(".service"),
        facts=probed.facts,
        host=host,
        allow_paths=refinement.allow_paths,
        allow_bus=refinement.allow_bus,
        named=probed.named,
    )
    for name, token in tokens.items():
        verdict, evidence = judge(name, answers.get(name), around, seen[token])
        found.append(check(unit, name, verdict, evidence))
    return found


def overall(
    unit: UnitName, probed: Probed, answers: Mapping[str, Answer], *, odd: int, blind: str
) -> Check:
    """Say whether the probe ran as it should; what it says of each channel is said of each."""
    count = f"{len(answers)} of {len(CHANNELS)} channels answered"
    if probed.why or probed.facts is None:
        why = probed.why or "it could not be looked at"
        return check(unit, "probe", Verdict.UNKNOWN, f"{why}; {count}", mend="wgconfine apply")
    if odd:
        return check(unit, "probe", Verdict.UNKNOWN, f"it says what no probe says; {count}")
    if blind:
        return check(unit, "probe", Verdict.UNKNOWN, f"packets can't be watched: {blind}")
    if len(answers) < len(CHANNELS):
        return check(unit, "probe", Verdict.UNKNOWN, count)
    return check(unit, "probe", Verdict.OK, count)


def check(unit: UnitName, name: str, verdict: Verdict, evidence: str, *, mend: str = "") -> Check:
    mends = {
        Verdict.LEAK: f"systemctl stop {shlex.quote(unit)}",
        Verdict.NOT_CONFINED: "" if name == "processes" else "wgconfine apply",
    }
    if name == "processes" and verdict in mends:
        evidence += OTHERS_OF_ITS_USER
    return Check(
        area=Area.ESCAPES,
        name=name,
        verdict=verdict,
        evidence=escape(evidence[:MOST_EVIDENCE]),
        unit=unit,
        mend=mend or mends.get(verdict, ""),
    )
