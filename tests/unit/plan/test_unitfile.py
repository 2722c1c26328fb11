"""Unit files are read as systemd reads them."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgconfine.model.settings import UnitName
from wgconfine.model.tree import MARK
from wgconfine.model.units import UnitFacts, UnitText
from wgconfine.plan.unitfile import (
    build_facts,
    dropin_names,
    parse_unit,
    sort_dropins,
    template_of,
)
from wgconfine.render.places import closing_path, dropin_path

PATH = PurePosixPath("/etc/systemd/system/x.service")
X = UnitName("x.service")
THEIRS = UnitText(path=PATH, text="[Service]\nA=1\n")
OURS = f"# {MARK}\n[Service]\nA=\nA=2\n"


def pairs(text: str) -> list[tuple[str, str, int]]:
    lines = parse_unit(UnitText(path=PATH, text="[Service]\n" + text))
    return [(line.key, line.value, line.line) for line in lines]


def facts(*texts: str) -> UnitFacts:
    return build_facts(
        name=UnitName("x.service"),
        load_state="loaded",
        texts=[UnitText(path=PATH.with_name(f"{n}.conf"), text=t) for n, t in enumerate(texts)],
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nA=2\n", [("A", "1", 2), ("A", "2", 3)]),
        (" A\t=  v w  \n", [("A", "v w", 2)]),
        ("A=\n", [("A", "", 2)]),
        ("A=1\r\nB=2\r\n", [("A", "1", 2), ("B", "2", 3)]),
        ("A=1\rB=2\n", [("A", "1", 2), ("B", "2", 3)]),
        ("A=1\0B=2\n", [("A", "1", 2), ("B", "2", 3)]),
        ("A='x' \"y\" = z\n", [("A", "'x' \"y\" = z", 2)]),
        ("# A=1\n ; B=2\nC=3 # no comment\n", [("C", "3 # no comment", 4)]),
        ("A=1 \\\n  2 \\\n3\nB=4\n", [("A", "1    2  3", 2), ("B", "4", 5)]),
        ("A=1 \\\n# comment\n;another\n2\n", [("A", "1  2", 2)]),
        ("A=1 \\\n\nB=2\n", [("A", "1", 2), ("B", "2", 4)]),
        ("A=1\\\\\nB=2\n", [("A", "1\\\\", 2), ("B", "2", 3)]),
        ("A=1 \\", [("A", "1", 2)]),
        ("junk\n=1\nB=2\n", [("B", "2", 4)]),
        ("A=1\n[Broken\nB=2\n", [("A", "1", 2)]),
        ("A=1\nB=\udcff\nC=2\n", [("A", "1", 2)]),
    ],
)
def test_lines(text: str, expected: list[tuple[str, str, int]]) -> None:
    """Duplicates, white space, comments, continuations and broken lines are as in systemd."""
    assert expected == pairs(text)


def test_before_a_section() -> None:
    """What stands before the first section, after a byte order mark or not, is left out."""
    found = parse_unit(UnitText(path=PATH, text="\ufeffA=1\n[Unit]\nB=2\n[]\nC=3\n"))
    assert [("Unit", "B")] == [(line.section, line.key) for line in found]


@given(st.text())
def test_any_text(text: str) -> None:
    """No text makes the parser raise, and no value holds a line break or outer white space."""
    for line in parse_unit(UnitText(path=PATH, text=text)):
        assert line.value == line.value.strip(" \t\n\r")
        assert not {"\n", "\r", "\0"} & set(line.value)


@given(st.lists(st.sampled_from(["", "a", "b"]), max_size=12))
def test_reset(values: list[str]) -> None:
    """A list setting holds what stands after its last empty assignment."""
    after_reset = values[::-1]
    expected = values[len(values) - after_reset.index("") :] if "" in values else values
    text = "[Service]\n" + "".join(f"A={value}\n" for value in values)
    assert tuple(expected) == facts(text).values("Service", "A")


@given(st.lists(st.text(alphabet="ab \\", max_size=4), min_size=1, max_size=6))
def test_continuation_keeps_lines_apart(parts: list[str]) -> None:
    """However a value is broken over lines, the next assignment is still seen."""
    text = "A=" + " \\\n".join(part.replace("\\", "\\\\") for part in parts) + "\nB=2\n"
    assert ["A", "B"] == [key for key, _, _ in pairs(text)]


def test_facts_without_ours() -> None:
    """Our two drop-ins are no part of the facts, nor of their digest."""
    alone = build_facts(name=X, load_state="loaded", texts=[THEIRS])
    for path in (dropin_path(X), closing_path(X)):
        found = build_facts(
            name=X, load_state="loaded", texts=[THEIRS, UnitText(path=path, text=OURS)]
        )
        assert ("1",) == found.values("Service", "A")
        assert alone == found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (dropin_path(X), "#" * 200 + f"\n{OURS}"),
        (dropin_path(UnitName("y.service")), OURS),
        (dropin_path(X).with_name("zzz.conf"), OURS),
        (PurePosixPath("/run") / closing_path(X).relative_to("/usr/local/lib"), OURS),
    ],
)
def test_not_ours(path: PurePosixPath, text: str) -> None:
    """A mark after the first 200 bytes, or in a file at another place, makes no file ours."""
    found = build_facts(name=X, load_state="loaded", texts=[THEIRS, UnitText(path=path, text=text)])
    assert ("2",) == found.values("Service", "A")


def test_digest() -> None:
    """The digest tells texts, their order and where one ends."""
    digests = {facts(*t).digest for t in [("a", "b"), ("b", "a"), ("ab",), ("a", "b", ""), ()]}
    assert 5 == len(digests)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.service", ("x.service",)),
        ("a-b--c.service", ("a-b--c.service", "a-b--.service", "a-b-.service", "a-.service")),
        ("-x.service", ("-x.service",)),
        (
            "foo-bar@i.service",
            (
                "foo-bar@i.service",
                "foo-bar@.service",
                "foo-.service",
                "foo-@i.service",
                "foo-@.service",
            ),
        ),
    ],
)
def test_dropin_names(name: str, expected: tuple[str, ...]) -> None:
    """The drop-in directories of a unit, in falling precedence, as 252 has them."""
    assert expected == dropin_names(name)


def test_sort_dropins() -> None:
    """Drop-ins are sorted by file name alone, and the first of a name hides the others."""
    paths = [
        PurePosixPath(path)
        for path in (
            "/etc/x.service.d/50-a.conf",
            "/etc/x.service.d/Z.conf",
            "/usr/x.service.d/50-a.conf",
            "/usr/x.service.d/10-b.conf",
        )
    ]
    assert (paths[3], paths[0], paths[1]) == sort_dropins(paths)


def test_template_of() -> None:
    """An instance has a template; a template and a plain unit have none."""
    expected = ["x@.service", None, None, "x@.service"]
    names = ["x@a.b.service", "x@.service", "x.service", "x@a@b.service"]
    assert expected == [template_of(name) for name in names]
