"""What the tick does of each tunnel, by programs in the place of systemctl and nft."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.unit.runtime.test_record import VALUES
from wgconfine import __version__
from wgconfine.runtime import journal, paths, process
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.record import load
from wgconfine.runtime.tick import OTHER_UNITS, is_due, look_at_units, tick, why_refused

DONE = {"ActiveState": "inactive", "AssertTimestampMonotonic": "7", "AssertResult": "yes"}


@pytest.fixture
def machine(rooted: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tunnel with a service; what programs were told is in `log`, and /run/wgconfine in `run`."""
    monkeypatch.setattr(paths, "SETTINGS", os.fspath(rooted))
    monkeypatch.setattr(paths, "STATE", os.fspath(rooted / "run"))
    monkeypatch.setattr(process, "SEARCH", (os.fspath(rooted), *process.SEARCH))
    monkeypatch.setattr(journal, "SOCKET", os.fspath(rooted / "nobody-listens"))
    write_record(rooted, "vpn")
    install(rooted, "systemctl", "[ $1 != show ] || echo ActiveState=active")
    install(rooted, "nft", "")
    return rooted


def write_record(machine: Path, name: str, **more: object) -> None:
    record = VALUES | {"services": ["a.service"]} | more
    path = machine / f"{name}.json"
    path.write_text(json.dumps(record))
    path.chmod(0o644)


def install(machine: Path, program: str, script: str) -> None:
    path = machine / program
    path.write_text(f'#!/bin/sh\necho "{program} $*" >>{machine}/log\n{script}\n')
    path.chmod(0o755)


def told(machine: Path, word: str) -> list[str]:
    return [line for line in (machine / "log").read_text().splitlines() if f" {word} " in line]


def test_a_full_run_keeps_no_verify_from_being_done(machine: Path) -> None:
    """What can't be kept is said at the end; a service may have filled it on purpose."""
    (machine / "run").mkdir()
    (machine / "run/health").write_text("in the way")
    (machine / "run/tunnel/vpn").mkdir(parents=True)
    (machine / "run/tunnel/vpn/in-force").write_text("d1g")

    with pytest.raises(Failure):
        tick()

    assert any("wgconfine-verify@vpn.service" in line for line in told(machine, "--no-block"))


@pytest.mark.parametrize(
    ("every", "last", "now", "due"),
    [
        (None, None, 1000, False),
        (900, None, 0, True),
        (900, 100, 999, False),
        (900, 100, 1000, True),
        (900, 1000, 100, True),  # of another boot
    ],
)
def test_verify_is_due(every: int | None, last: int | None, now: int, *, due: bool) -> None:
    """After `every` seconds, the first time at once, and never where it is off."""
    assert due == is_due(every, last, now)


def test_what_is_due_is_started_once(machine: Path) -> None:
    """All tunnels in one order, without waiting; those that are off are left alone."""
    write_record(machine, "b")
    write_record(machine, "off", **{"verify-every": None})
    tick()
    tick()

    units = "wgconfine-verify@b.service wgconfine-verify@vpn.service"
    assert [f"systemctl start --no-block -- {units}"] == told(machine, "start")
    stamp = int(Path(paths.verify_stamp("vpn")).read_text())
    assert 0 <= time.clock_gettime(time.CLOCK_BOOTTIME) - stamp < 60


def test_a_start_that_fails_is_tried_again(machine: Path) -> None:
    """No stamp without a start."""
    install(machine, "systemctl", "[ $1 = show ]")
    with pytest.raises(Failure, match="systemctl start"):
        tick()

    assert not Path(paths.verify_stamp("vpn")).exists()


def test_a_damaged_record_does_not_hold_up_the_others(machine: Path) -> None:
    """It is said, and the tick fails at the end."""
    (machine / "a.json").write_text("{")
    (machine / "a.json").chmod(0o644)
    with pytest.raises(Failure, match=r"a\.json: is damaged"):
        tick()

    assert 1 == len(told(machine, "start"))


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({}, ""),
        ({"ActiveState": "active", "Result": "exec-condition"}, ""),
        ({"ActiveState": "inactive", "AssertResult": "no", "AssertTimestampMonotonic": "0"}, ""),
        (DONE, ""),
        (DONE | {"AssertResult": "no"}, "its Assert…= does not hold"),
        (
            DONE | {"ConditionResult": "no", "ConditionTimestampMonotonic": "7"},
            "its Condition…= does not hold",
        ),
        (
            DONE | {"Result": "exec-condition"},
            "its ExecCondition= did not let it, or could not be set up",
        ),
    ],
)
def test_what_kept_a_unit_from_running(state: dict[str, str], why: str) -> None:
    """Nothing where it runs, or was never tried: systemd then says "no" without having looked."""
    assert why == why_refused(state)


def test_a_refused_service_is_said_once_until_it_runs_again(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without journald on stderr, with the priority that systemd reads there."""
    line = "<3>a.service is kept from running: its Assert…= does not hold."
    refused = "echo ActiveState=inactive; echo AssertResult=no; echo AssertTimestampMonotonic=7"
    counts = []
    for script in (refused, refused, "echo ActiveState=active", refused):
        install(machine, "systemctl", f"[ $1 != show ] || {{ {script}; }}")
        tick()
        counts.append(capsys.readouterr().err.count(line))

    assert [1, 0, 0, 1] == counts


@pytest.mark.parametrize("tables", ["table ip x", "table inet wgconfine-vpn2"])
def test_a_second_switch_that_is_gone_is_loaded_again(machine: Path, tables: str) -> None:
    """Where it was on; systemd is asked, and not for one that is stopped."""
    (machine / "run/switch/vpn").mkdir(parents=True)
    (machine / "run/switch/vpn/state").write_text("on\n")
    install(machine, "nft", f"echo {tables}")
    tick()

    reload = "systemctl try-reload-or-restart --no-block --job-mode=fail"
    assert [f"{reload} -- wgconfine-switch@vpn.service"] == told(machine, "try-reload-or-restart")


@pytest.mark.parametrize("state", ["on", "not available: cgroup v1", ""])
def test_a_second_switch_that_is_there_or_cannot_be_is_left_alone(
    machine: Path, state: str
) -> None:
    """Its own unit decides where this machine can have none."""
    (machine / "run/switch/vpn").mkdir(parents=True)
    (machine / "run/switch/vpn/state").write_text(f"{state}\n")
    install(machine, "nft", "echo table inet wgconfine-vpn")
    tick()

    assert [] == told(machine, "try-reload-or-restart")


def test_an_upgrade_that_is_not_applied_yet_is_said_in_one_line(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is due is done; what could not be is a consequence, and not told in detail."""
    monkeypatch.setenv("INVOCATION_ID", "1")
    monkeypatch.setenv("WGCONFINE_VERSION", "0.0.1")
    tick()
    assert f"[!] {OTHER_UNITS}" in capsys.readouterr().err.splitlines()
    assert any("wgconfine-verify@vpn.service" in line for line in told(machine, "--no-block"))

    install(machine, "systemctl", "exit 1")
    with pytest.raises(Failure) as raised:
        tick()
    assert OTHER_UNITS == str(raised.value)


def test_units_of_this_version_are_not_spoken_of(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They say which version has written them."""
    monkeypatch.setenv("INVOCATION_ID", "1")
    monkeypatch.setenv("WGCONFINE_VERSION", __version__)
    tick()

    assert OTHER_UNITS not in capsys.readouterr().err
    assert machine.exists()


SOCKET = "wgconfine-publish@vpn.8080.socket"


def show(machine: Path, **states: str) -> None:
    """Have systemctl show these units in this order: the service, the socket, the namespace."""
    blocks = "; echo; ".join(
        f"echo ActiveState={each}; echo Result=resources" for each in states.values()
    )
    install(machine, "systemctl", f"[ $1 != show ] || {{ {blocks}; }}")


def starts(machine: Path) -> list[str]:
    return [line for line in told(machine, "start") if SOCKET in line]


def test_a_failed_socket_is_started_again(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At each tick, without taking a stop back; said once until it listens again."""
    write_record(machine, "vpn", publish=[{"socket": SOCKET}])
    said = []
    for socket in ("failed", "failed", "active", "failed"):
        show(machine, service="active", socket=socket, namespace="active")
        tick()
        said.append(capsys.readouterr().err.count(f"<4>{SOCKET} had failed: resources."))

    assert [1, 0, 0, 1] == said
    assert [f"systemctl start --no-block --job-mode=fail -- {SOCKET}"] * 3 == starts(machine)


@pytest.mark.parametrize(
    ("socket", "namespace"),
    [
        ("active", "active"),
        ("inactive", "active"),  # its owner has stopped it
        ("failed", "inactive"),
        ("failed", "deactivating"),
    ],
)
def test_another_socket_is_left_alone(machine: Path, socket: str, namespace: str) -> None:
    """One that listens, that was stopped, or whose namespace is away and brings it along."""
    write_record(machine, "vpn", publish=[{"socket": SOCKET}])
    show(machine, service="active", socket=socket, namespace=namespace)
    tick()

    assert [] == starts(machine)


def test_a_socket_that_can_not_be_started_holds_up_nothing(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stop may be under way: it is said, and verify is started all the same."""
    write_record(machine, "vpn", publish=[{"socket": SOCKET}])
    show(machine, service="active", socket="failed", namespace="active")
    script = (machine / "systemctl").read_text()
    words = f"case $* in *fail*) echo conflict >&2; exit 1;; esac\n{script.split(chr(10), 2)[2]}"
    install(machine, "systemctl", words)
    tick()

    assert "systemctl start: conflict" in capsys.readouterr().err
    assert 2 == len(told(machine, "start"))


@pytest.mark.parametrize(
    ("in_force", "handshake", "state", "started"),
    [
        ("digest", 1700000000, "failed", True),
        ("digest", 0, "failed", False),
        ("digest", 1700000000, "active", False),
        ("", 1700000000, "failed", False),  # its owner has stopped the tunnel since
    ],
)
def test_an_answer_after_the_time_limit(
    machine: Path, in_force: str, handshake: int, state: str, *, started: bool
) -> None:
    """What waited for it has failed, and is started again: it finds it at once."""
    write_record(machine, "vpn", ready="handshake")
    install(machine, "systemctl", f"[ $1 != show ] || printf 'ActiveState={state}\\n\\n%.0s' 1 2")
    for place in ("health", "tunnel/vpn"):
        (machine / "run" / place).mkdir(parents=True, exist_ok=True)
    (machine / "run/health/vpn").write_text(f"sick 0 0 0\nwhy \npeer K {handshake} 1 1 1 0\n")
    (machine / "run/tunnel/vpn/in-force").write_text(in_force)
    look_at_units([load("vpn")])

    asked = "systemctl start --no-block --job-mode=fail -- wgconfine-ready@vpn.service"
    assert started == (asked in told(machine, "start"))


def test_damage_to_what_is_kept_ends_no_tick(machine: Path) -> None:
    """Of a rule by `pin-endpoint`: all else that is due is done, and it is said."""
    write_record(machine, "vpn")
    (machine / "run/tunnel/vpn").mkdir(parents=True, exist_ok=True)
    (machine / "run/tunnel/vpn/pins").write_text("7\n192.0.2.1\n")
    with pytest.raises(Failure, match="not enough values"):
        tick()
    assert any("wgconfine-verify@vpn.service" in line for line in told(machine, "--no-block"))


def test_systemd_tells_of_every_unit_or_of_none(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who would be taken for whom is not known; the next tick asks again."""
    install(machine, "systemctl", r"[ $1 != show ] || printf 'ActiveState=failed\n\nA=b\n'")
    tick()

    assert "[!] systemctl show: not an answer for each unit\n" in capsys.readouterr().err
