"""The documentation knows every key, command, option and exit code, and its examples are right."""

import argparse
import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.cli.main import EPILOG, build_parser
from wgconfine.config import schema, wgquick
from wgconfine.config.entries import ENTRIES
from wgconfine.config.ports import PublishTable
from wgconfine.config.schema import OutboundTable
from wgconfine.config.settings import parse_settings
from wgconfine.config.via import check_via
from wgconfine.doctor.trials import TRIALS, UNIT
from wgconfine.model.doctor import Subject
from wgconfine.model.errors import ExitCode
from wgconfine.model.ports import Inbound
from wgconfine.model.problem import Problem
from wgconfine.model.settings import (
    Alternative,
    HealthSettings,
    Peer,
    Rights,
    UnitName,
    VerifySettings,
)
from wgconfine.model.status import Status
from wgconfine.model.tunnel import Word
from wgconfine.model.units import UnitText
from wgconfine.plan.unitcheck import NAMES, check_unit
from wgconfine.plan.unitfile import build_facts
from wgconfine.render.catalog import MESSAGES
from wgconfine.render.service import dropin_settings
from wgconfine.report.metrics import Seen, as_metrics
from wgconfine.verify.channels import CHANNELS
from wgconfine.verify.processjudge import NAMES as PROCESS_NAMES

TOP = Path(__file__).parents[2]


def names(kind: type) -> list[str]:
    return [each.name for each in fields(kind)]


FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
KINDS = (
    *(Alternative, HealthSettings, Inbound, OutboundTable, Peer, PublishTable),
    *(Rights, VerifySettings),
)
TABLES = [schema._key_of(name) for kind in KINDS for name in names(kind)]
KEYS = (*schema.KEYS, *schema._LATER, *TABLES)


def read(name: str) -> str:
    return (TOP / name).read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def section(name: str) -> str:
    """Give what docs/commands.md says of one command, its heading included."""
    _, found, rest = read("docs/commands.md").partition(f"\n## `wgconfine {name}")
    return found + rest.partition("\n## ")[0]


@pytest.mark.parametrize("key", KEYS)
def test_settings_know_the_key(key: str) -> None:
    """Each key of the settings, those of the future too, is in docs/settings.md."""
    assert f"`{key}`" in read("docs/settings.md")


@pytest.mark.parametrize("key", [*ENTRIES, *wgquick.HOOKS.values()])
def test_settings_know_the_key_of_a_conf(key: str) -> None:
    """Each key of a `.conf`, read, ignored or refused, is in docs/settings.md."""
    assert f"`{key}`" in read("docs/settings.md")


@pytest.mark.parametrize(("name", "parser"), list(commands()))
def test_commands_know_the_options(name: str, parser: argparse.ArgumentParser) -> None:
    """Each command has a section with its options and arguments."""
    words = {word for action in parser._actions for word in action.option_strings}
    words -= {"-h", "--help"}  # said once, at the top
    words |= {str(each.metavar) for each in parser._actions if not each.option_strings}
    text = section(name)
    assert set() == {word for word in words if not re.search(rf"{re.escape(word)}\b", text)}


def test_commands_know_the_global_options() -> None:
    """The options of wgconfine itself stand before the first command."""
    words = {word for action in build_parser()._actions for word in action.option_strings}
    text = read("docs/commands.md").partition("\n## ")[0]
    assert set() == {word for word in words if f"`{word}`" not in text}


def test_exit_codes() -> None:
    """docs/exit-codes.md has each that there is, in their order, and the help has them too."""
    codes = [str(int(each)) for each in sorted(ExitCode)]
    assert codes == re.findall(r"^\| (\d+) \| ", read("docs/exit-codes.md"), re.MULTILINE)
    assert codes == re.findall(r"\b(\d+) ", EPILOG)


@pytest.mark.parametrize("message_id", MESSAGES)
def test_monitoring_knows_the_message(message_id: str) -> None:
    """Each message of the catalog, and so each that there is, is in docs/monitoring.md."""
    assert f"| `{message_id}` |" in read("docs/monitoring.md")


def test_alarms_are_about_metrics_that_there_are() -> None:
    """Every metric that a rule of docs/monitoring.md names."""
    (rules,) = [text for kind, text in FENCE.findall(read("docs/monitoring.md")) if kind == "yaml"]
    text = as_metrics(Seen(status=Status(tunnels=()), restarts={}), openmetrics=False)
    known = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    asked = set(re.findall(r"\b(wgconfine_\w+)(?=[{\[) ])", rules))

    assert asked
    assert set() == asked - known


@pytest.mark.parametrize("word", Word)
def test_commands_know_the_word_for_a_tunnel(word: Word) -> None:
    """Each has a line in docs/commands.md that says when."""
    assert f"\n| `{word}` | " in section("status")


def names_of_checks() -> set[str]:
    """Give each name that a module of verify/ gives a check, and each setting that is compared."""
    nodes = (
        node
        for path in (TOP / "src/wgconfine/verify").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
    keywords = (node for node in nodes if isinstance(node, ast.keyword) and node.arg == "name")
    values = (each.value.value for each in keywords if isinstance(each.value, ast.Constant))
    return {each for each in values if isinstance(each, str)} | {*NAMES.values()}


def names_of_openings() -> set[str]:
    """Give each name of what stays open, up to its first variable part."""
    text = read("src/wgconfine/plan/openings.py")
    keywords = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.keyword))
    values = [node.value for node in keywords if node.arg == "name"]
    beginnings = [each.values[0] if isinstance(each, ast.JoinedStr) else each for each in values]
    return {str(each.value) for each in beginnings if isinstance(each, ast.Constant)}


def names_of_findings() -> set[str]:
    """Give each name that a module of doctor/ gives a finding, or a trial."""
    keywords = (
        node
        for path in (TOP / "src/wgconfine/doctor").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "name"
    )
    values = (each.value.value for each in keywords if isinstance(each.value, ast.Constant))
    return {each for each in values if isinstance(each, str)} | {*TRIALS, *UNIT}


@pytest.mark.parametrize("name", sorted(names_of_findings()))
def test_json_knows_the_finding(name: str) -> None:
    """Each name that a finding of `doctor` may have is in docs/json.md."""
    assert f"`{name}`" in read("docs/json.md").partition("## `wgconfine doctor --json`")[2]


@pytest.mark.parametrize("subject", Subject)
def test_commands_know_the_subject(subject: Subject) -> None:
    """Each thing that `doctor` looks at has a line in docs/commands.md."""
    assert f"\n| {subject} | " in section("doctor")


@pytest.mark.parametrize("name", sorted(names_of_openings()))
def test_verify_knows_the_opening(name: str) -> None:
    """Each thing that stays open is in docs/verify.md, and what closes it."""
    assert re.search(f"^\\| `{name}(`|[A-Z]+`)", read("docs/verify.md"), re.MULTILINE)


@pytest.mark.parametrize("name", sorted({*PROCESS_NAMES, "other-roots"}))
def test_verify_knows_what_is_looked_at_of_processes(name: str) -> None:
    """Each check of processes has a line in docs/verify.md."""
    assert f"`{name}`" in read("docs/verify.md")


@pytest.mark.parametrize("name", sorted(names_of_checks()))
def test_verify_knows_the_check(name: str) -> None:
    """Each check of `verify` has a line in docs/verify.md."""
    assert f"`{name}`" in read("docs/verify.md")


@pytest.mark.parametrize("name", ["probe", *CHANNELS])
def test_probes_know_the_channel(name: str) -> None:
    """Each thing that is tried is in docs/probes.md."""
    assert f"`{name}`" in read("docs/probes.md")


def test_settings_of_the_readme() -> None:
    """README's first screen has settings of at most ten lines that are right."""
    (text,) = [text for language, text in FENCE.findall(read("README.md")) if language == "toml"]

    settings = parse_settings("vpn", [(PurePosixPath("/etc/wgconfine/vpn.toml"), text)])

    assert len(text.splitlines()) <= 10
    assert ("qbittorrent-nox@torrent.service",) == settings.services


def test_settings_of_the_reference() -> None:
    """The examples of docs/settings.md are right: a tunnel, one through it, and fragments."""
    texts = [text for language, text in FENCE.findall(read("docs/settings.md"))]
    (inner,) = [text for text in texts if text.startswith("# /etc/wgconfine/deep.toml")]
    texts.remove(inner)
    paths = [
        PurePosixPath("/etc/wgconfine/vpn.toml"),
        *(PurePosixPath(f"/etc/wgconfine/vpn.d/{each}.toml") for each in "abc"),
    ]

    settings = parse_settings("vpn", list(zip(paths, texts, strict=True)))

    assert ("nginx.service", "prowlarr.service") == settings.services
    deep = parse_settings("deep", [(PurePosixPath("/etc/wgconfine/deep.toml"), inner)])
    assert [] == check_via([settings, deep])


def files_in_docs() -> Iterator[tuple[str, str]]:
    """Give each file of settings that a page shows whole, with its page."""
    for page in sorted(TOP.glob("docs/*.md")):
        for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
            if language == "toml" and re.match(r"# /etc/wgconfine/[a-z-]+\.toml\n", text):
                yield page.name, text


@pytest.mark.parametrize(("page", "text"), list(files_in_docs()))
def test_settings_of_the_guides(page: str, text: str) -> None:
    """Each is right as it stands."""
    path = PurePosixPath(text.partition("\n")[0].removeprefix("# "))
    assert parse_settings(path.stem, [(path, text)]).services, page


def test_the_index_has_every_page() -> None:
    """docs/README.md leads to each, and in one place."""
    pages = [each.name for each in TOP.glob("docs/*.md") if each.name != "README.md"]
    links = re.findall(r"\]\(([a-z-]+\.md)\)", read("docs/README.md"))
    assert sorted(pages) == sorted(links)


@pytest.mark.parametrize(
    "page",
    ["README.md", "CONTRIBUTING.md", *(f"docs/{each.name}" for each in TOP.glob("docs/*.md"))],
)
def test_links(page: str) -> None:
    """What a page links to within the repository is there."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", read(page))
    assert [] == [each for each in targets if not (TOP / page).parent.joinpath(each).exists()]


def test_example_of_contributing() -> None:
    """The test that CONTRIBUTING shows is one of ours, word for word."""
    shown = next(text for _, text in FENCE.findall(read("CONTRIBUTING.md")) if "def test_" in text)
    assert any(shown in each.read_text(encoding="utf-8") for each in TOP.glob("tests/**/test_*.py"))


def lines_of_units(heading: str) -> Iterator[str]:
    """Give each `Key=value` in the first column of a table in docs/units.md."""
    _, _, rest = read("docs/units.md").partition(f"\n## {heading}\n")
    for row in re.findall(r"^\| (`.*?) \|", rest.partition("\n## ")[0], re.MULTILINE):
        yield from re.findall(r"`([A-Z]\w+=[^`]*)`", row)


def problems_of(line: str) -> list[Problem]:
    main = PurePosixPath("/usr/lib/systemd/system/x.service")
    text = UnitText(path=main, text=f"[Service]\nExecStart=/usr/bin/x\n{line}\n")
    facts = build_facts(name=UnitName("x.service"), load_state="loaded", texts=[text])
    return check_unit(facts, dropin_settings())


@pytest.mark.parametrize("line", list(lines_of_units("What works")))
def test_units_that_work_are_not_refused(line: str) -> None:
    """Each line that docs/units.md says works is let through."""
    assert [] == problems_of(line)


@pytest.mark.parametrize("line", list(lines_of_units("What is refused")))
def test_units_that_are_refused_are(line: str) -> None:
    """Each line that docs/units.md says is refused is, and the way out is named."""
    (problem,) = problems_of(line)
    assert problem.hint
