"""What `init` makes of the words on its command line."""

import os
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.cli.draft import Wanted, composed, name_of, read_source, refuse_units
from wgconfine.config.starter import Answers
from wgconfine.model.errors import OperationFailed, ProblemsFound, Refused
from wgconfine.model.settings import TunnelName, UnitName
from wgconfine.plan.unitfile import build_facts

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
CONF = f"""\
[Interface]
PrivateKey = {KEY}
Address = 10.66.0.2
PostUp = x
DNS = 10.64.0.1
[Peer]
PublicKey = {KEY}
AllowedIPs = 0.0.0.0/0
"""


def written(path: Path, text: str = CONF) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_a_conf_is_read_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by a path from here; what a stranger wrote into it is left out."""
    path = written(tmp_path / "se 1.conf")
    monkeypatch.chdir(tmp_path)

    source = read_source(Path("se 1.conf"), in_place=False)

    assert path == Path(source.path)
    assert ["PostUp"] == [each.key for each in source.copy.left_out]
    assert ["10.64.0.1"] == source.conf.dns


def test_a_conf_that_stays_is_judged_as_it_is(rooted: Path) -> None:
    """A command in it is refused there: nothing is changed in its owner's file."""
    path = written(rooted / "se1.conf")

    with pytest.raises(ProblemsFound, match="PostUp is refused"):
        read_source(path, in_place=True)
    written(path, CONF.replace("PostUp = x\n", ""))
    assert () == read_source(path, in_place=True).copy.left_out
    path.chmod(0o644)
    with pytest.raises(ProblemsFound, match="others than root may read it"):
        read_source(path, in_place=True)


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo"])
def test_what_is_no_file_is_said(tmp_path: Path, kind: str) -> None:
    """A FIFO holds nobody up."""
    path = tmp_path / "x.conf"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)

    with pytest.raises(OperationFailed, match=r"x\.conf: .*\nName the file"):
        read_source(path, in_place=False)


@pytest.mark.parametrize(
    "data", [b"\xff\xfe[\0", b"a\0b", b"[Interface]\n\xe9\n", b"x" * ((1 << 20) + 1)]
)
def test_what_is_no_text_is_a_problem(tmp_path: Path, data: bytes) -> None:
    """UTF-16, binary, another encoding, too long."""
    path = tmp_path / "x.conf"
    path.write_bytes(data)

    with pytest.raises(ProblemsFound):
        read_source(path, in_place=False)


def test_a_name_that_can_not_be_is_refused(tmp_path: Path) -> None:
    """As wrong usage."""
    source = read_source(written(tmp_path / "x.conf"), in_place=False)

    with pytest.raises(Refused, match="--name: 'V' is not"):
        name_of(Wanted(name="V"), source, {"vpn"}, may_ask=False)


def test_settings_and_conf_must_agree(tmp_path: Path) -> None:
    """A resolver that the tunnel does not lead to is found before anything is written."""
    source = read_source(
        written(tmp_path / "x.conf", CONF.replace("0.0.0.0/0", "10.64.0.0/16")), in_place=False
    )
    answers = Answers(name=TunnelName("vpn"), conf=PurePosixPath("/etc/wgconfine/vpn.conf"))

    draft = composed(source, answers)
    assert draft.written() == {answers.conf: source.copy.text.encode()}
    other = Answers(name=answers.name, conf=answers.conf, dns=("9.9.9.9",))
    with pytest.raises(ProblemsFound, match=r"9\.9\.9\.9: the tunnel has no"):
        composed(source, other)


def test_a_service_that_can_not_be_confined_is_a_problem() -> None:
    """All of them at once, with the reason."""
    names = list(map(UnitName, ("a.service", "b.service")))
    facts = {name: build_facts(name=name, load_state="masked", texts=[]) for name in names}

    with pytest.raises(ProblemsFound) as found:
        refuse_units(facts)

    assert names == [each.where for each in found.value.problems]
