"""docs/leaks.md: the channels, and what was found on each systemd.

`make leak-table` writes the record, found.json, from a run on each, and the page from that.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.leaks.channel import Channel, Form, Outcome
from tests.leaks.channels import CHANNELS
from tests.leaks.facts import FACTS

__all__ = ["FOUND", "PAGE", "SYSTEMD", "Found", "dump_found", "load_found", "render"]

FOUND = Path(__file__).with_name("found.json")
PAGE = Path(__file__).parents[2] / "docs" / "leaks.md"
SYSTEMD = {"bookworm": "252", "trixie": "257", "forky": "262"}

Found = Mapping[str, Mapping[str, Mapping[Form, Outcome]]]
"""By the release's name, the channel's and the form: what became of the token."""

WORDS = {
    Outcome.LEAK: "**leaks**",
    Outcome.HOST: "**leaks** (host)",
    Outcome.ISP: "**leaks** (resolver)",
    Outcome.TUNNEL: "tunnel",
    Outcome.NOTHING: "closed",
    Outcome.REFUSED: "refused",
}

HEAD = """\
# Ways out, and what closes them

Written by `make leak-table` from what it found; do not edit. On each systemd a service of every
form tries every channel, by the same probe and under one capture, with a token of its own:

- *recipe*: a plain unit with `BindsTo=`, `After=` and `JoinsNamespaceOf=` the tunnel's namespace,
  and the masks by which people close that channel;
- *baseline* and *strict*: the same unit, confined by wgconfine with that `hardening`.

| word | where the token was seen |
|---|---|
| **leaks** | on the host's uplink, outside of any tunnel |
| **leaks** (resolver) | at the resolver of the host's provider, asked through the tunnel |
| **leaks** (host) | in the host itself: a link or a port of its own |
| tunnel | inside the tunnel and nowhere else |
| closed | nowhere, though the probe ran |
| refused | not tried: `wgconfine plan` refuses the unit by name |

A number in brackets is a version of systemd; without one the word holds on all of them.
"""
CHANNELS_HEAD = """
## Channels

| channel | recipe | baseline | strict |
|---|---|---|---|
"""
FACTS_HEAD = """
## Facts and their tests

Each was measured before wgconfine was written, and has a test that shows it.

| fact | | shown by |
|---|---|---|
"""


def load_found() -> dict[str, dict[str, dict[Form, Outcome]]]:
    return {
        release: {
            name: {Form(form): Outcome(outcome) for form, outcome in forms.items()}
            for name, forms in channels.items()
        }
        for release, channels in json.loads(FOUND.read_text(encoding="utf-8")).items()
    }


def dump_found(found: Found) -> str:
    return json.dumps(found, indent=1) + "\n"


def render(found: Found) -> str:
    """Give the page."""
    rows = [
        f"| [{channel.title}](#{channel.name}) | "
        + " | ".join(cell(found, channel, form) for form in Form)
        + " |"
        for channel in CHANNELS
    ]
    sections = [section(channel) for channel in CHANNELS]
    facts = [
        f"| {fact.number} | {fact.says} | {'<br>'.join(f'`{each}`' for each in shown_by)} |"
        for fact, shown_by in FACTS
    ]
    return (
        HEAD
        + CHANNELS_HEAD
        + "".join(f"{row}\n" for row in rows)
        + "".join(sections)
        + FACTS_HEAD
        + "".join(f"{row}\n" for row in facts)
    )


def cell(found: Found, channel: Channel, form: Form) -> str:
    """Give the word of a form, with the versions where they differ."""
    versions: dict[Outcome, list[str]] = {}
    for release, version in SYSTEMD.items():
        versions.setdefault(found[release][channel.name][form], []).append(version)
    if len(versions) == 1:
        return WORDS[next(iter(versions))]
    return ", ".join(f"{WORDS[word]} ({', '.join(each)})" for word, each in versions.items())


def section(channel: Channel) -> str:
    return (
        f"\n### {channel.name}\n\n{channel.title[0].upper()}{channel.title[1:]}.\n\n"
        f"- With the recipe: {channel.why}.\n- With wgconfine: {channel.closed}.\n"
    )
