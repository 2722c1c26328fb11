"""Edits of settings that keep what people wrote around them."""

import tomllib  # noqa: TID253 — a test may take its time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tomlkit.items import Array

from wgconfine.config.edit import (
    add_publish,
    add_refinement,
    add_service,
    remove_refinement,
    remove_service,
    set_enable,
    take_refinement,
)


def _once(first: str, then: Callable[[Array], str]) -> Callable[[Array], str]:
    answers = iter([first])
    return lambda array: next(answers, None) or then(array)


TEXT = """\
# Torrents
config = "/etc/wireguard/vpn.conf"  # from the provider

services = [
    # downloads
    "a.service",  # about a
    "b.service",  # about b
    # indexers
    "c.service",
]  # the end

# the peer
[[peer]]
public-key = "x"
"""


def test_a_service_of_many_lines_is_removed() -> None:
    """Its line goes, with the comment on it; everything else stays."""
    assert TEXT.replace('    "b.service",  # about b\n', "") == remove_service(TEXT, "b.service")


@pytest.mark.parametrize("unit", ["a.service", "c.service"])
def test_the_first_and_the_last_service_are_removed(unit: str) -> None:
    """The comments of the others stay where they are."""
    edited = remove_service(TEXT, unit)
    assert unit not in edited
    assert [line for line in TEXT.splitlines() if unit not in line] == edited.splitlines()


@pytest.mark.parametrize(
    ("before", "unit", "after"),
    [
        (
            'services = ["a.service", "b.service"] # c\n',
            "a.service",
            'services = ["b.service"] # c\n',
        ),
        ('services = ["a.service", "b.service"]\n', "b.service", 'services = ["a.service"]\n'),
        ('services = ["a.service"]\n[x]\n', "a.service", "services = []\n[x]\n"),
        ("services = ['a.service', \"a.service\"]", "a.service", "services = []"),
        ('\ufeffservices = ["a.service"]', "a.service", "services = []"),
        ('services = ["a.service"]\r\n# x\r\n', "a.service", "services = []\r\n# x\r\n"),
    ],
)
def test_a_service_of_one_line_is_removed(before: str, unit: str, after: str) -> None:
    """However the list is written, and however often the service is in it."""
    assert after == remove_service(before, unit)


@pytest.mark.parametrize(
    "text", [TEXT, "", 'services = "x.service"', "[services]\n'x.service' = 1"]
)
def test_a_text_without_the_service_stays(text: str) -> None:
    """Nothing is touched where there is nothing to remove."""
    assert text == remove_service(text, "x.service")


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from("abcd"), max_size=5, unique=True),
    st.sampled_from(["{}", "{},", "\n  {},", "\n  {}, # c\n", " # before\n {} # after\n,"]),
)
def test_only_the_service_leaves_the_list(names: list[str], form: str) -> None:
    """In whatever form the list is written, it is the same list without the service."""
    import tomllib

    items = "".join(form.format(f'"{name}"') + ("" if "," in form else ",") for name in names)
    edited = remove_service(f"services = [{items}]\nmtu = 1400 # bytes\n", "a")
    assert {"services": [n for n in names if n != "a"], "mtu": 1400} == tomllib.loads(edited)
    assert edited.endswith("\nmtu = 1400 # bytes\n")


@pytest.mark.parametrize("broken", ['"a.service"', '"b.service" "c.service"'])
def test_a_list_that_tomlkit_cannot_edit(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """Older versions fail at some comments: the list is right then, without its comments."""
    monkeypatch.setattr(Array, "remove", lambda *_: None)
    monkeypatch.setattr(Array, "as_string", _once(f"[{broken}]", Array.as_string))
    edited = remove_service('# kept\nservices = ["a.service", "b.service"] # kept\n', "a.service")
    assert '# kept\nservices = ["b.service"] # kept\n' == edited


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('mtu = 1400 # m\n[service."a.service"]\nhardening = "strict"\n[verify]\nevery = "1h"\n',
         'mtu = 1400 # m\n[verify]\nevery = "1h"\n'),
        ('[service."a.service"]\n# about b\n[service."b.service"]\n# b\n[[peer]]\nx = 1\n',
         '[service."b.service"]\n# b\n[[peer]]\nx = 1\n'),
        ('service."a.service".hardening = "strict"\nmtu = 1400\n', "mtu = 1400\n"),
        ('[service]\n"a.service" = {}\n"b.service" = {}\n', '[service]\n"b.service" = {}\n'),
    ],
)  # fmt: skip
def test_what_a_service_alone_is_given_is_removed(before: str, after: str) -> None:
    """However its table is written; what others are given stays."""
    assert after == remove_refinement(before, "a.service")


@pytest.mark.parametrize("text", [TEXT, "service = 3\n", '[service."b.service"]\n'])
def test_a_text_without_its_table_stays(text: str) -> None:
    """Nothing is touched where there is nothing to remove."""
    assert text == remove_refinement(text, "a.service")


def test_enable_is_added_at_the_top() -> None:
    """There it parts no comment from what it is about."""
    assert "enable = false\n" + TEXT == set_enable(TEXT, enable=False)


@pytest.mark.parametrize(
    ("before", "enable", "after"),
    [
        ("enable = true # c\nmtu = 1400\n", False, "enable = false # c\nmtu = 1400\n"),
        ("mtu = 1400\nenable=false", True, "mtu = 1400\nenable=true"),
        ("\ufeffmtu = 1400", False, "enable = false\nmtu = 1400"),
        ("", False, "enable = false\n"),
    ],
)
def test_enable_is_set(before: str, enable: bool, after: str) -> None:  # noqa: FBT001 - a parameter
    """Where it stands, with its comment."""
    assert after == set_enable(before, enable=enable)


@pytest.mark.parametrize(
    ("text", "enable"),
    [("", True), ("enable=true", True), ("enable  =  false", False), (TEXT, True)],
)
def test_enable_that_is_so_already(text: str, enable: bool) -> None:  # noqa: FBT001 - a parameter
    """The text stays as it is; silence means true."""
    assert text == set_enable(text, enable=enable)


@pytest.mark.parametrize("text", ["a = [", "=", "services = ['a.service'"])
def test_what_is_no_toml(text: str) -> None:
    """It was parsed before, so the caller gets tomlkit's own ValueError."""
    with pytest.raises(ValueError, match="at line"):
        remove_service(text, "a.service")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('services = ["a.service"] # c\n', 'services = ["a.service", "z.service"] # c\n'),
        ("services = []\n[x]\n", 'services = ["z.service"]\n[x]\n'),
        (TEXT, TEXT.replace('    "c.service",\n', '    "c.service",\n    "z.service",\n')),
        (
            'services = [\n  "a.service"  # a\n  # b\n]\n',
            'services = ["a.service", "z.service"]\n',
        ),
        ("", 'services = [\n  "z.service",\n]\n'),
        ("config = 'x'", "config = 'x'\nservices = [\n  \"z.service\",\n]\n"),
        ("# c\n[x]\n", 'services = [\n  "z.service",\n]\n# c\n[x]\n'),
        ("[[x]]\n", 'services = [\n  "z.service",\n]\n[[x]]\n'),
        ("\ufeffservices = []\n", 'services = ["z.service"]\n'),
        ("services = []\r\n# x\r\n", 'services = ["z.service"]\r\n# x\r\n'),
    ],
)
def test_a_service_is_added(before: str, after: str) -> None:
    """At the end of the list; comments stay where tomlkit can keep them."""
    assert after == add_service(before, "z.service")


@pytest.mark.parametrize("text", [TEXT, "services = ['b.service']"])
def test_a_service_that_is_there_is_not_added(text: str) -> None:
    """The text stays as it is."""
    assert text == add_service(text, "b.service")


def test_a_list_that_is_none_is_refused() -> None:
    """Nobody gets here with it: it is found when the settings are read."""
    with pytest.raises(ValueError, match="services is no list"):
        add_service("services = 1\n", "z.service")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            'x = 1\n# publish = ["8080"]\n\ny = 2\n',
            'x = 1\npublish = [\n  "9091",\n]\n\ny = 2\n',
        ),
        (
            'x = """\n# publish = ["8080"]\n"""\n',
            'x = """\n# publish = ["8080"]\n"""\npublish = [\n  "9091",\n]\n',
        ),
        (
            'publish = [{ listen = "1.2.3.4:80", from = ["::/0"] }]\n',
            'publish = [{ listen = "1.2.3.4:80", from = ["::/0"] }, "9091"]\n',
        ),
    ],
)
def test_a_port_is_added(before: str, after: str) -> None:
    """Where the settings of `init` offer it, else as a service is."""
    assert after == add_publish(before, "9091")


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from("abcd"), max_size=5, unique=True),
    st.sampled_from(["{}", "{},", "\n  {}, # c\n", " # before\n {} # after\n,"]),
    st.sampled_from(["", "[t]\nx = 1\n"]),
)
def test_whatever_the_list_looks_like_a_service_is_added(
    units: list[str], shape: str, rest: str
) -> None:
    """The result has all of it, and the rest as it was."""
    items = [shape.format(f'"{unit}.service"') for unit in units]
    joined = "".join(each if "," in each.partition("#")[0] else f"{each}," for each in items)
    text = f"services = [{joined}]\n{rest}"
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    expected["services"].append("z.service")

    assert expected == tomllib.loads(add_service(text, "z.service"))


TABLE = """\
[service."x.service"]
# why
allow-paths = ["/run/a"]  # that
"""


@pytest.mark.parametrize("end", ["", '\n# next\n[verify]\nevery = "1h"\n'])
def test_a_refinement_is_taken_as_it_stands(end: str) -> None:
    """With the comments within it."""
    assert take_refinement(f"services = []\n\n{TABLE}{end}", "x.service").startswith(TABLE)


@pytest.mark.parametrize(
    "text",
    [
        'service = { "x.service" = { allow-paths = ["/run/a"] } }\n',
        'service."x.service" = { allow-paths = ["/run/a"] }\n',
        'service."x.service".allow-paths = ["/run/a"]\n',
        '[service]\n"x.service" = { allow-paths = ["/run/a"] }\n',
        '[service]\n"x.service".allow-paths = ["/run/a"]\n',
    ],
)
@pytest.mark.parametrize("there", ["", "y = 1\n", 'service = { "y.service" = {} }\n', TABLE])
def test_a_refinement_moves_however_it_is_written(text: str, there: str) -> None:
    """The other text says all of what both said."""
    there = there.replace("x.service", "y.service")
    taken = take_refinement(text, "x.service")

    moved = tomllib.loads(add_refinement(there, "x.service", taken))

    before = tomllib.loads(there)
    said = {**before.get("service", {}), "x.service": {"allow-paths": ["/run/a"]}}
    assert {**before, "service": said} == moved


@pytest.mark.parametrize("text", ["", "service = 1\n", TABLE.replace("x.", "y.")])
def test_where_there_is_no_refinement_nothing_moves(text: str) -> None:
    """Neither is anything taken nor added."""
    assert "" == take_refinement(text, "x.service")
    assert text == add_refinement(text, "x.service", "")
