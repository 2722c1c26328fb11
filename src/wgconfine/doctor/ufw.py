"""ufw(8): by its own files, which rules it loads, and what they do with a published port. Reads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wgconfine.doctor.asked import read
from wgconfine.doctor.ways import Way, covers_port, network_of, within

__all__ = ["Ufw", "UfwRule", "command_for", "drops", "look_at_ufw", "parse_rules"]

TUPLE = "### tuple ### "
"""What ufw writes before each rule, for itself to read again (src/backend_iptables.py)."""
FILES = ("/etc/ufw/user.rules", "/etc/ufw/user6.rules")


@dataclass(frozen=True, slots=True, kw_only=True)
class UfwRule:
    """One rule for what comes in; `ports` as ufw writes them, `link` is empty for any."""

    allows: bool
    ports: str
    target: str
    source: str
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ufw:
    """`allows` is what becomes of that which no rule fits; `rules` is None for who may not read."""

    enabled: bool = False
    allows: bool = False
    rules: tuple[UfwRule, ...] | None = ()


def look_at_ufw(root: Path) -> Ufw:
    if not says(read(root, "/etc/ufw/ufw.conf"), "ENABLED", "yes"):
        return Ufw()
    texts = [read(root, each) for each in FILES]
    return Ufw(
        enabled=True,
        allows=says(read(root, "/etc/default/ufw"), "DEFAULT_INPUT_POLICY", "accept"),
        rules=None if texts[0] is None else tuple(parse_rules("\n".join(filter(None, texts)))),
    )


def says(text: str | None, key: str, value: str) -> bool:
    """Tell whether a file of `KEY=value` lines has this one."""
    lines = (line.partition("=") for line in (text or "").splitlines())
    found = [said.strip("\"' \t").lower() for name, _, said in lines if name.strip() == key]
    return found[-1:] == [value]


def parse_rules(text: str) -> Iterator[UfwRule]:
    """Read the lines that ufw keeps its own rules in: nothing but what comes in counts here."""
    for line in text.splitlines():
        words = line.removeprefix(TUPLE).split() if line.startswith(TUPLE) else []
        words = words[:-1] if words and words[-1].startswith("comment=") else words
        if len(words) not in {7, 9}:  # with the names of applications, too
            continue
        action, protocol, ports, target, _, source = words[:6]
        direction, _, link = words[-1].partition("_")
        if direction == "in" and protocol in {"tcp", "any"} and ":" not in action:
            yield UfwRule(
                allows=action.partition("_")[0] in {"allow", "limit"},
                ports=ports,
                target=target,
                source=source,
                link=link,
            )


def first_for(rules: Iterable[UfwRule], way: Way) -> UfwRule | None:
    """Give the first rule that is for all of it.

    One that denies by one link alone is left out: by which a client comes is not known.
    """
    for rule in rules:
        if (
            covers_port(rule.ports, way.listen.port)
            and within(way.client, network_of(rule.source))
            and within(way.target, network_of(rule.target))
            and (rule.allows or not rule.link)
        ):
            return rule
    return None


def drops(ufw: Ufw, way: Way) -> bool:
    rule = first_for(ufw.rules or (), way)
    return not (ufw.allows if rule is None else rule.allows)


def command_for(ufw: Ufw, way: Way) -> str:
    """Give the command that lets it in; before a rule that denies it, if there is one."""
    verb = "allow" if first_for(ufw.rules or (), way) is None else "prepend allow"
    to = f"to {way.address or 'any'} port {way.listen.port}"
    return f"ufw {verb} proto tcp from {way.client} {to}"
