"""The probes beside real daemons: resolved, D-Bus, nscd, avahi and cron of Debian's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import first
from tests.scenario import confine, write_service
from tests.verifying import Found, try_escapes

pytestmark = pytest.mark.container

PACKAGES = (*("avahi-daemon", "cron", "libnss-mdns", "libnss-resolve", "nscd", "systemd-resolved"),)
DAEMONS = ("systemd-resolved", "nscd", "avahi-daemon", "dbus", "cron")
ASKER = """\
[Service]
User=games
SystemCallFilter=~io_uring_setup
ExecStart=/bin/sleep infinity
"""
RUN = "BindPaths=\nBindReadOnlyPaths=\nTemporaryFileSystem=\n"
NAMESPACE = "ExecCondition=\nNetworkNamespacePath=\nSlice=system.slice\n"
LOOKED_UP = {"dns-varlink", "dns-dbus", "dns-nscd", "dns-avahi"}


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine whose names are looked up by resolved, and a confined service."""
    release = request.param
    with boot_container(release, wheelhouse=wheelhouse, extra_packages=PACKAGES) as world:
        machine = world.machine
        machine.sh(
            "sed -i 's/^hosts:.*/hosts: files resolve [!UNAVAIL=return] dns/' /etc/nsswitch.conf"
        )
        machine.sh("systemctl enable --now " + " ".join(DAEMONS), check=False)
        machine.systemctl("restart", *DAEMONS)
        write_service(world, "asker.service", ASKER)
        confine(world, "asker.service")
        yield world


def opened(world: World, settings: str) -> dict[str, Found]:
    path = "/etc/systemd/system/wgconfine-probe@asker.service.d/zzz.conf"
    world.machine.write(path, f"[Service]\n{settings}")
    world.machine.systemctl("daemon-reload")
    try:
        return try_escapes(world, "asker.service")
    finally:
        world.machine.run("rm", path)
        world.machine.systemctl("daemon-reload")


def test_all_are_closed_but_cron(world: World) -> None:
    """crontab(1) lends its group to whom may take other rights: listed, no failure.

    With 252 a user and a filter imply NoNewPrivileges=, so that it does not.
    """
    found = try_escapes(world, "asker.service")

    assert {} == {
        name: each for name, each in found.items() if each.verdict != "ok" and name != "spools"
    }
    if world.machine.sh("systemctl --version").startswith("systemd 252"):
        assert "ok" == found["spools"].verdict
    else:
        assert ("open", "/usr/bin/crontab") == (found["spools"].verdict, found["spools"].evidence)


def test_daemons_are_seen_to_answer(world: World) -> None:
    """In the tunnel's namespace, with the host's /run: it is they who look names up outside."""
    found = opened(world, RUN)

    assert set() == {name for name in LOOKED_UP if found[name].verdict != "LEAK"}, found
    assert "resolve1" in found["dns-dbus"].evidence
    assert "answered" in found["dns-varlink"].evidence
    assert "answered" in found["dns-nscd"].evidence
    # nsswitch.conf is the host's, too: libc asks resolved, which asks nobody for .invalid.
    assert "LEAK" == found["dns-libc"].verdict


def test_the_stub_is_seen_to_answer(world: World) -> None:
    """In the host's namespace, with a /run of its own."""
    found = opened(world, NAMESPACE)

    assert "LEAK" == found["dns-stub"].verdict
