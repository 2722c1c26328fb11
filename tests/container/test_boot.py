"""A machine without any network boots in its usual time, and its tunnels are configured."""

from pathlib import Path

import pytest

from lab import World
from lab.fixtures import BootContainer
from tests.matrix import first
from tests.scenario import refused, wgconfine, write_service, write_tunnel

pytestmark = pytest.mark.container

SLEEPER = """\
[Service]
DynamicUser=yes
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""
NO_NETWORK = """\
[Unit]
DefaultDependencies=no
Before=network-pre.target
Wants=network-pre.target
[Service]
Type=oneshot
ExecStart=/sbin/ip link del eth0
[Install]
WantedBy=sysinit.target
"""
WAITS = 120
"""Seconds that whoever wants network-online.target waits in vain, as usual."""
WAIT_ONLINE = f"[Service]\nExecStart=\nExecStart=/bin/sleep {WAITS}\n"
TUNNELS = {"named": "vpn.example.net:51820", "numbered": "198.51.100.1:51820"}
USUAL = 30
"""Seconds more than without tunnels: some twenty Pythons start, beside what else this machine does.

On a machine that is busy with others each takes a second."""


def boot(world: World) -> tuple[float, float]:
    """Reboot; gives when multi-user.target was reached and when the last job was done."""
    machine = world.machine
    machine.reboot()
    shown = machine.sh(
        "systemctl show -P UserspaceTimestampMonotonic; systemctl show -P FinishTimestampMonotonic"
    )
    begun, finished = (int(each) / 1e6 for each in shown.split())
    reached = int(machine.show("multi-user.target", "ActiveEnterTimestampMonotonic")) / 1e6
    return reached - begun, finished - begun


@pytest.mark.parametrize("release", first("trixie"))
def test_without_a_network(boot_container: BootContainer, release: str, wheelhouse: Path) -> None:
    """Neither multi-user.target nor the last job waits; link and service are there."""
    world = boot_container(release, wheelhouse=wheelhouse)
    machine = world.machine
    online = "systemd-networkd-wait-online.service"
    machine.sh(f"rm /etc/systemd/system/{online}; systemctl enable {online}")
    machine.write(f"/etc/systemd/system/{online}.d/waits.conf", WAIT_ONLINE)
    write_service(world, "no-network.service", NO_NETWORK)
    for name in TUNNELS:
        write_service(world, f"{name}.service", SLEEPER)
        machine.systemctl("enable", f"{name}.service")
    machine.systemctl("enable", "no-network.service")
    without = boot(world)

    machine.systemctl("disable", "no-network.service")
    machine.reboot()
    for client, (name, endpoint) in enumerate(TUNNELS.items(), start=2):
        write_tunnel(world, [f"{name}.service"], name=name, client=client)
        machine.sh(f"sed -i 's/^Endpoint.*/Endpoint = {endpoint}/' /etc/wireguard/{name}.conf")
    wgconfine(world, "apply")
    machine.systemctl("enable", "no-network.service")
    with_tunnels = boot(world)

    assert "1" == machine.sh("ls -d /sys/class/net/* | wc -l")
    assert "inactive" == machine.show("network-online.target", "ActiveState")
    for before, after in zip(without, with_tunnels, strict=True):
        assert after < before + USUAL, (without, with_tunnels)
    for name in TUNNELS:
        assert f"{name}.service: confined" == refused(world, f"{name}.service")
        assert "UP" in machine.sh(f"ip -n {name} link show wg0")
        assert "10.66.0" in machine.sh(f"ip -n {name} address show wg0")
