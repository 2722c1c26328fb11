"""Whatever the settings say: refused, or in its place of a unit and nowhere else.

The reading of units here is a few lines of its own on purpose: what it is to prove must not come
from the code that it checks.
"""

import json
import re
from collections import Counter
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wgconfine.config.settings import parse_settings
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.settings import Backend, Settings
from wgconfine.model.tree import File
from wgconfine.model.units import UnitText
from wgconfine.plan.desired import Machine, desired_tree
from wgconfine.plan.unitfile import build_facts, parse_unit

PUBLIC_KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
PLAIN = {
    "config": "/etc/wireguard/vpn.conf",
    "service": "a.service",
    "credential": "wg.key",
    "key": "/etc/wgconfine/vpn.key",
    "shared": "/etc/wgconfine/vpn.psk",
    "endpoint": "vpn.example:51820",
    "address": "10.66.0.2/32",
    "network": "0.0.0.0/0",
    "resolver": "10.64.0.1",
}
WITH_CONF = 'config = {config}\nservices = [{service}]\ndns = [{resolver}]\nbackend = "userspace"\n'
INLINE = (
    "address = [{address}]\nservices = [{service}]\ndns = [{resolver}]\n{source}\n"
    f'[[peer]]\npublic-key = "{PUBLIC_KEY}"\nendpoint = {{endpoint}}\nallowed-ips = [{{network}}]\n'
    "preshared-key-file = {shared}\n"
)
FORMS = {
    "conf": (WITH_CONF, ("config", "service", "resolver")),
    "credential": (
        INLINE.replace("{source}", "private-key-credential = {credential}"),
        ("credential", "service", "endpoint", "shared"),
    ),
    "file": (
        INLINE.replace("{source}", "private-key-file = {key}"),
        ("key", "shared", "address", "network", "resolver"),
    ),
}

# What ends a line, a quotation or a value somewhere, or is expanded by systemd, sh or Python.
ODD = st.sampled_from(
    ["\n", "\r", "\\", "\\\n", "%i", "%%", "%", "$HOME", "${X}", "'", '"', "`x`", "#", ";", "é",
     "\u2028", "\x85", "\x7f", " ", "\t", "{name}", "[Service]", "\nExecStart=/bin/evil", "|", ":",
     "=", "/", "~"]
)  # fmt: skip
WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789/-_.:@\\%,=+~", max_size=20)
TEXTS = st.lists(st.one_of(ODD, WORD), max_size=4).map("".join)


def around(plain: str) -> st.SearchStrategy[str]:
    """Something that resembles a right value: it has odd pieces before, within or behind it."""
    half = len(plain) // 2
    return st.one_of(
        TEXTS,
        st.builds(lambda odd: f"{plain[:half]}{odd}{plain[half:]}", TEXTS),
        st.builds(lambda odd: f"/{odd}", TEXTS),
        st.builds(lambda odd: f"{odd}.service", TEXTS),
        st.builds(lambda odd: f"x@{odd}.service", WORD),
    )


def parsed(form: str, values: dict[str, str]) -> Settings | None:
    """Give the settings, None where they are refused."""
    # JSON's text is TOML's, but for the one control character that JSON takes as it is.
    quoted = {key: json.dumps(each, ensure_ascii=False) for key, each in values.items()}
    quoted = {key: each.replace("\x7f", "\\u007f") for key, each in quoted.items()}
    try:
        return parse_settings("vpn", [(PurePosixPath("/vpn.toml"), form.format(**quoted))])
    except ProblemsFound:
        return None


def rendered(settings: Settings) -> dict[str, str]:
    """Give every file by its path, with the service's name taken out of that."""
    (unit,) = settings.services
    facts = build_facts(name=unit, load_state="loaded", texts=[])
    machine = Machine(python=PurePosixPath("/usr/bin/python3"), kernel_wireguard=True)
    tree = desired_tree([settings], {unit: facts}, machine)
    assert all(str(each).count("\n") == 0 for each in tree)
    probe = f"/wgconfine-probe@{unit}"
    return {
        str(path).replace(f"/{unit}.d/", "/UNIT.d/").replace(probe, "/wgconfine-probe@UNIT"): (
            file.text
        )
        for path, file in tree.items()
        if isinstance(file, File)
    }


def skeleton(text: str) -> list[str]:
    """Give what systemd goes by, line by line: headings, names of settings, comments, nothing."""
    lines = re.split("[\n\r\x00]", text)
    assert not any(line.endswith("\\") for line in lines), "a line that goes on in the next"
    return [
        "#" if line[:1] in {"#", ";"} else line if line[:1] == "[" else line.partition("=")[0]
        for line in lines
    ]


def expanded(text: str) -> Counter[str]:
    """Count what systemd or the shell would put something else in the place of."""
    return Counter(re.findall(r"%.|\$\S", text.replace("%%", "")))


def assert_as_plain(settings: Settings, plain: Settings) -> None:
    ours, theirs = rendered(settings), rendered(plain)
    assert theirs.keys() == ours.keys()
    for path, text in ours.items():
        if path.endswith(".json"):
            continue
        assert skeleton(theirs[path]) == skeleton(text)
        assert expanded(theirs[path]) == expanded(text)
        assert directives(path, theirs[path]) == directives(path, text)


def directives(path: str, text: str) -> list[tuple[str, str]]:
    """Give what our own reader of units makes of it."""
    unit = UnitText(path=PurePosixPath(path), text=text)
    return [(each.section, each.key) for each in parse_unit(unit)]


def assert_record_says_the_same(settings: Settings, values: dict[str, str]) -> None:
    text = rendered(settings)["/etc/wgconfine/vpn.json"]
    record = json.loads(text)
    names = {"config": "config-file", "key": "private-key-file"}
    for value, key in {**names, "credential": "private-key-credential"}.items():
        assert record[key] in {None, values[value]}
    assert [values["service"]] == record["services"]
    assert set(record["preshared-key-files"].values()) <= {values["shared"]}
    assert 10 > (record["config"] or "").count("\n")


def check(form_name: str, key: str, odd: str) -> bool:
    """Put one odd value in; tells whether it was taken. What is taken changes no unit's form."""
    form, _ = FORMS[form_name]
    plain = parsed(form, PLAIN)
    assert plain is not None
    values = PLAIN | {key: odd}
    settings = parsed(form, values)
    if settings is None:
        return False
    assert_as_plain(settings, plain)
    assert_record_says_the_same(settings, values)
    return True


PLACES = [(form, key) for form, (_, keys) in FORMS.items() for key in keys]


@pytest.mark.parametrize(("form", "key"), PLACES)
@settings(max_examples=40)
@given(st.data())
def test_no_value_adds_a_line_to_a_unit(form: str, key: str, data: st.DataObject) -> None:
    """Neither a line nor a directive, nor anything that systemd or the shell expands."""
    check(form, key, data.draw(around(PLAIN[key])))


@pytest.mark.parametrize(
    ("form", "key", "value"),
    [
        ("conf", "config", "/etc/wire guard/50%h $x 'a' \"b\"\\n;#.conf"),
        ("conf", "config", "/etc/wireguard/é日本.conf"),
        ("file", "key", "/srv/%i/%%/key"),
        ("file", "shared", "/srv/100%"),
        ("credential", "credential", "wg-key_1@x,y=z~+."),
        ("conf", "service", "a\\x2db@x:y-z.service"),
        ("conf", "service", "x@a\\x2db:c@d.service"),
        ("conf", "service", "-.service"),
        ("conf", "service", "x" * 226 + ".service"),
        ("credential", "endpoint", "[2001:db8::1]:1"),
    ],
)
def test_odd_values_that_are_right(form: str, key: str, value: str) -> None:
    """They are taken as they are: the runtime reads paths from JSON, units have no part in it."""
    assert check(form, key, value)


@pytest.mark.parametrize("name", ["a", "a-b", "a-b-8080", "x" * 31, "0-"])
@pytest.mark.parametrize("backend", Backend)
def test_names_of_tunnels(name: str, backend: Backend) -> None:
    """Each name gives units of its own, none of which is longer than systemd takes."""
    text = f'config = "/x"\nservices = ["a.service"]\nbackend = "{backend}"'
    tunnel = parse_settings(name, [(PurePosixPath(f"/etc/wgconfine/{name}.toml"), text)])
    paths = rendered(tunnel)

    escaped = name.replace("-", "\\x2d")
    assert f"/etc/systemd/system/wgconfine-{escaped}.slice" in paths
    assert f"/etc/wgconfine/{name}.json" in paths
    assert all(len(part) <= 255 for path in paths for part in path.split("/"))
    dropin = paths["/etc/systemd/system/UNIT.d/zz-wgconfine.conf"]
    assert f"NetworkNamespacePath=/run/netns/{name}\n" in dropin
    assert f"Slice=wgconfine-{escaped}.slice\n" in dropin
