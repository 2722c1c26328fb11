"""Look-ups go on, and stay inside, while everything that has to do with names changes outside."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import RELEASES, World, boot_container
from tests.churn import Look, Looker, answered, describe, happen
from tests.scenario import confine

pytestmark = pytest.mark.container

RESOLVED = (
    *("avahi-daemon", "libnss-mdns", "libnss-resolve", "network-manager", "nscd"),
    "systemd-resolved",
)
RESOLVCONF = ("avahi-daemon", "libnss-mdns", "network-manager", "resolvconf", "unscd")
"""Packages that can't be installed beside those."""
LACKING = {"forky": {"unscd"}}
"""What a release can't install: forky's adduser fails in the middle of an installation."""

UNMANAGED = "[keyfile]\nunmanaged-devices=interface-name:eth0\n"
HOST_RESOLVER = """
mkdir -p /etc/systemd/resolved.conf.d
printf '[Resolve]\\nDNS=198.51.100.1\\nMulticastDNS=yes\\n' >/etc/systemd/resolved.conf.d/lab.conf
systemctl restart NetworkManager avahi-daemon
systemctl try-restart systemd-resolved || true
rm -f /etc/resolv.conf
echo nameserver 198.51.100.1 >/etc/resolv.conf
"""


def roots() -> list[object]:
    """One in every run, all of them in `make test-long`."""
    return [
        pytest.param(
            (release, sorted({*packages} - LACKING.get(release, set()))),
            marks=[] if (release, kind) == ("trixie", "resolved") else pytest.mark.long,
            id=f"{release}-{kind}",
        )
        for release in RELEASES
        for kind, packages in (("resolved", RESOLVED), ("resolvconf", RESOLVCONF))
    ]


@pytest.fixture(scope="module", params=roots())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with every daemon that has to do with names, and a service of each kind."""
    release, packages = request.param
    with boot_container(release, wheelhouse=wheelhouse, extra_packages=packages) as world:
        world.machine.write("/etc/NetworkManager/conf.d/lab.conf", UNMANAGED)
        world.machine.sh(HOST_RESOLVER)
        yield world


def test_look_ups_go_on_inside_whatever_happens_outside(
    world: World, record_property: Callable[[str, object], None]
) -> None:
    """0 names outside, every look-up answered in 5 s; the same, unconfined, is seen outside."""
    machine = world.machine
    opened, confined = Looker(world, "open"), Looker(world, "look")
    confine(world, "look.service")
    with world.capture_uplink() as control:
        machine.systemctl("start", "open.service")
        machine.wait_for(lambda: opened.next() > 20, "it looks up")
        machine.systemctl("stop", "open.service")
    with world.capture_uplink() as uplink:
        machine.systemctl("start", "look.service")
        machine.wait_for(lambda: confined.next() > 20, "it looks up")
        pid = machine.show("look.service", "MainPID")
        done = happen(world, confined, 1.0)
        assert pid == machine.show("look.service", "MainPID")
    # Otherwise the rewrites would be no hardship.
    assert "wgconfine" not in machine.sh(f"cat /proc/{pid}/root/etc/resolv.conf || true")
    assert "mdns4_minimal" in machine.sh(f"grep ^hosts: /proc/{pid}/root/etc/nsswitch.conf")
    looks: list[Look | None] = [look for _, each in done for look in each]
    record_property("table", describe(done))

    assert opened.seen_on(control.traffic)
    assert opened.asked_at("isp")
    assert [] == confined.seen_on(uplink.traffic)
    assert set() == confined.asked_at("isp")
    assert len(looks) > 100
    assert len(looks) == len(answered(looks)), describe(done)
    assert len(confined.asked_at("tunnel")) >= len(looks)
