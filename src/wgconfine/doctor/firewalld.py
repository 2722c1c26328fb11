"""firewalld: what firewall-cmd(1) says of its zones, and what they do with a published port."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wgconfine.doctor.asked import Answers, read, succeeded
from wgconfine.doctor.ways import Way, covers_port, network_of, within

__all__ = [
    "ACTIVE",
    "QUESTIONS",
    "Firewalld",
    "RichRule",
    "Zone",
    "command_for",
    "drops",
    "look_at_firewalld",
    "parse_zones",
    "zone_of",
]

QUESTIONS = {
    "firewalld": ("firewall-cmd", "--get-default-zone"),
    "zones": ("firewall-cmd", "--list-all-zones"),
}
ACTIVE = {"active": ("systemctl", "is-active", "--quiet", "firewalld.service")}
"""Asked before the others: firewall-cmd(1) of 2.5 waits 10 s for one that is off."""
PLACES = ("/etc/firewalld/services", "/usr/lib/firewalld/services")
PORT = re.compile(r"<port\s+([^>]*?)/?>")
OTHER_WORDS = {
    *("NOT", "not", "protocol", "icmp-block", "icmp-type", "source-port"),
    *("masquerade", "forward-port"),
}
OTHER_KEYS = {"source mac", "source ipset", "destination ipset", "source invert"}
"""What has a rich rule be about something else, or about addresses that are not in it."""
ATTRIBUTE = re.compile(r"""(\w+)\s*=\s*["']([^"']*)["']""")


@dataclass(frozen=True, slots=True, kw_only=True)
class RichRule:
    """A rule of firewalld.richlanguage(5) as far as it counts; empty for anything."""

    accepts: bool
    source: str = ""
    target: str = ""
    port: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One zone; `ports` and `services` are let in from everybody in it."""

    name: str
    target: str = "default"
    links: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    rules: tuple[RichRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewalld:
    """`running` is None where that could not be asked. `services` are the TCP ports of each."""

    running: bool | None = False
    default: str = ""
    zones: tuple[Zone, ...] = ()
    services: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def look_at_firewalld(root: Path, answers: Answers) -> Firewalld:
    default, zones = answers.get("firewalld"), answers.get("zones")
    if default is None or zones is None:
        return Firewalld()
    if not (succeeded(default) and succeeded(zones)):
        refused = "authorization" in default.complaint.lower()  # polkit's, for who is not root
        return Firewalld(running=None if refused else False)
    found = tuple(parse_zones(zones.output))
    named = {name for zone in found for name in names_in(zone)}
    return Firewalld(
        running=True,
        default=default.output.strip(),
        zones=found,
        services={name: tuple(ports_of(root, name)) for name in sorted(named)},
    )


def names_in(zone: Zone) -> Iterator[str]:
    yield from zone.services
    yield from (each.service for each in zone.rules if each.service)


def ports_of(root: Path, service: str) -> Iterator[str]:
    """Give the TCP ports of a service by its file; what /etc has goes before /usr."""
    texts = (read(root, f"{place}/{service}.xml") for place in PLACES if "/" not in service)
    text = next((each for each in texts if each is not None), "")
    for attributes in PORT.findall(text):
        values = dict(ATTRIBUTE.findall(attributes))
        if values.get("protocol") == "tcp":
            yield values.get("port", "")


def parse_zones(text: str) -> Iterator[Zone]:
    """Read `--list-all-zones`: a zone's name, below it `key: values`, below those rich rules."""
    for block in re.split(r"\n(?=\S)", text.strip("\n")):
        head, _, rest = block.partition("\n")
        values: dict[str, str] = {}
        rules: list[RichRule] = []
        for line in rest.splitlines():
            key, colon, value = line.strip().partition(":")
            if line.startswith("\t") or line.strip().startswith("rule "):
                rules += parse_rule(line)
            elif colon:
                values[key] = value.strip()
        if head:
            yield Zone(
                name=head.split()[0],
                target=values.get("target", "default"),
                links=tuple(values.get("interfaces", "").split()),
                sources=tuple(values.get("sources", "").split()),
                services=tuple(values.get("services", "").split()),
                ports=tuple(
                    each.removesuffix("/tcp")
                    for each in values.get("ports", "").split()
                    if each.endswith("/tcp")
                ),
                rules=tuple(rules),
            )


def parse_rule(line: str) -> Iterator[RichRule]:
    """Read a rich rule; nothing of one that is not about TCP, or about whom cannot be said here."""
    try:
        words = shlex.split(line)
    except ValueError:
        return
    values: dict[str, str] = {}
    element = ""
    for word in words:
        key, found, value = word.partition("=")
        if found:
            values[f"{element} {key}"] = value
        else:
            element = word
    verbs = [each for each in ("accept", "reject", "drop") if each in words]
    other = OTHER_WORDS & {*words} or OTHER_KEYS & values.keys()
    if verbs and not other and values.get("port protocol", "tcp") == "tcp":
        yield RichRule(
            accepts=verbs == ["accept"],
            source=values.get("source address", ""),
            target=values.get("destination address", ""),
            port=values.get("port port", ""),
            service=values.get("service name", ""),
        )


def zone_of(firewalld: Firewalld, way: Way, link: str) -> Zone | None:
    """Give the zone of who comes from there by a link: sources go before links (firewalld(1))."""
    by_source = (
        zone
        for zone in firewalld.zones
        if any(within(way.client, network_of(each)) for each in zone.sources)
    )
    by_link = (zone for zone in firewalld.zones if link in zone.links)
    default = (zone for zone in firewalld.zones if zone.name == firewalld.default)
    return next((found for each in (by_source, by_link, default) for found in each), None)


def drops(firewalld: Firewalld, way: Way, link: str) -> bool:
    zone = zone_of(firewalld, way, link)
    if zone is None:
        return False
    fitting = [each for each in zone.rules if fits(each, way, firewalld.services)]
    if any(not each.accepts for each in fitting):  # they are asked before those that accept
        return True
    ports = [*zone.ports, *(port for each in zone.services for port in firewalld.services[each])]
    open_port = any(covers_port(each, way.listen.port) for each in ports)
    return not (zone.target == "ACCEPT" or open_port or fitting)


def fits(rule: RichRule, way: Way, services: Mapping[str, Iterable[str]]) -> bool:
    ports = [rule.port] if rule.port else [*services.get(rule.service, ())]
    return (
        (not rule.source or within(way.client, network_of(rule.source)))
        and (not rule.target or within(way.target, network_of(rule.target)))
        and (
            not (rule.port or rule.service)
            or any(covers_port(each, way.listen.port) for each in ports)
        )
    )


def command_for(firewalld: Firewalld, way: Way, link: str) -> str:
    """Give the command that lets it in, now and after a restart; empty where a rule forbids it."""
    zone = zone_of(firewalld, way, link)
    if zone is None or any(
        not each.accepts and fits(each, way, firewalld.services) for each in zone.rules
    ):
        return ""
    to = f' destination address="{way.address}"' if way.address else ""
    rule = (
        f'rule family="ipv{way.client.version}" source address="{way.client}"{to} '
        f'port port="{way.listen.port}" protocol="tcp" accept'
    )
    words = f"{shlex.quote(f'--zone={zone.name}')} --add-rich-rule='{rule}'"
    return f"firewall-cmd {words} && firewall-cmd --permanent {words}"
