"""What is asked of systemctl(1), by a program of that name in its place."""

from pathlib import Path

import pytest

from wgconfine.model.errors import OperationFailed
from wgconfine.system import systemctl as module
from wgconfine.system.systemctl import RealSystemctl, loaded_units, systemd_version


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of its own in PATH; what its systemctl was called with is in `log`."""
    monkeypatch.setitem(module._ENVIRONMENT, "PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def install(program: Path, script: str) -> None:
    path = program / "systemctl"
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{program}/log\n{script}\n')
    path.chmod(0o755)


def calls(program: Path) -> list[str]:
    return (program / "log").read_text().splitlines()


def test_show(program: Path) -> None:
    """Many units are one question; what is not printed is empty, several lines are joined."""
    install(program, "printf 'Id=a.service\\nE=1\\nE=2\\n\\nId=b.service\\nN=x=y\\n'")
    expected = {"a.service": {"E": "1\n2", "N": ""}, "b.service": {"E": "", "N": "x=y"}}
    assert expected == RealSystemctl().show(["a.service", "b.service"], ["E", "N"])
    call = "--no-pager --no-ask-password show --property=Id,E,N -- a.service b.service"
    assert [call] == calls(program)


def test_only_a_newline_ends_a_line(program: Path) -> None:
    """A file's name may hold other characters that end one to Python."""
    install(program, "printf 'Id=a\nE=x\\302\\205y\\013N=1\n'")
    assert {"a": {"E": "x\x85y\x0bN=1", "N": ""}} == RealSystemctl().show(["a"], ["E", "N"])


def test_show_with_an_empty_line_in_a_value(program: Path) -> None:
    """An empty line within a value makes it ask for each unit alone."""
    install(program, "printf 'Id=a\\nE=1\\n\\n2\\n'\n[ $# -gt 6 ] && printf '\\nId=b\\nE=3\\n'; :")
    expected = {"a.service": {"E": "1"}, "b.service": {"E": "1"}}
    assert expected == RealSystemctl().show(["a.service", "b.service"], ["E"])


def test_nothing_asked(program: Path) -> None:
    """For no units nothing is run."""
    install(program, "exit 1")
    RealSystemctl().start([])
    assert {} == RealSystemctl().show([], ["Id"])
    assert not (program / "log").exists()


def test_jobs(program: Path) -> None:
    """Each job is one call, with the names behind `--`."""
    install(program, "")
    real = RealSystemctl()
    real.daemon_reload()
    real.start(["a.service", "b.service"])
    real.start_no_block(["a.service"])
    for job in (real.stop, real.restart, real.reload):
        job(["a.service"])
    expected = [
        "daemon-reload",
        "start -- a.service b.service",
        "start --no-block --job-mode=fail -- a.service",
        "stop -- a.service",
        "restart -- a.service",
        "reload -- a.service",
    ]
    assert [f"--no-pager --no-ask-password {line}" for line in expected] == calls(program)


def test_failure(program: Path) -> None:
    """A failure says what was asked and the end of what systemctl said, escaped."""
    install(program, "printf 'no \\033[31m such unit\\n' >&2; exit 5")
    with pytest.raises(OperationFailed) as caught:
        RealSystemctl().start(["a.service"])
    assert "systemctl start a.service" == caught.value.step
    assert "no \\x1b[31m such unit" == caught.value.cause


def test_timeout(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A systemd that does not answer is a failure."""
    monkeypatch.setattr(module, "_ASK_SECONDS", 0.2)
    install(program, "exec sleep 5")
    with pytest.raises(OperationFailed, match="no answer within"):
        RealSystemctl().show(["a.service"], ["Id"])


def test_no_systemctl(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without systemctl is told so."""
    monkeypatch.setenv("PATH", str(program))
    monkeypatch.setitem(module._ENVIRONMENT, "PATH", str(program))
    with pytest.raises(OperationFailed, match="not there"):
        RealSystemctl().daemon_reload()


@pytest.mark.parametrize(
    ("shown", "version"), [("257.9-1~deb13u1", 257), ("252 (252.38)", 252), ("v9", 0), ("", 0)]
)
def test_version(program: Path, shown: str, version: int) -> None:
    """Of the manager that runs, whatever a distribution puts behind it."""
    install(program, f"echo '{shown}'")
    assert version == systemd_version()


def test_what_is_loaded(program: Path) -> None:
    """By their own names, since a pattern has none; nothing where it matches nothing."""
    install(program, "printf 'Id=a.socket\\nE=1\\n\\nId=b.socket\\nE=\\n'")
    expected = {"a.socket": {"Id": "a.socket", "E": "1"}, "b.socket": {"Id": "b.socket", "E": ""}}
    assert expected == loaded_units(["*.socket"], ["E"])
    assert ["--no-pager --no-ask-password show --property=Id,E -- *.socket"] == calls(program)
    install(program, "")
    assert {} == loaded_units(["*.socket"], ["E"])
