"""The virtual machine of the lab: a kernel of its own with WireGuard, a disk that stays."""

import pytest

from lab import VirtualMachine
from lab.fixtures import BootVm

pytestmark = pytest.mark.vm


@pytest.mark.long  # as are the tests of virtual machines that boot them again
def test_vm_keeps_its_disk(boot_vm: BootVm) -> None:
    """It has kernel WireGuard, and keeps its files when rebooted."""
    world = boot_vm("trixie")
    machine = world.machine
    assert isinstance(machine, VirtualMachine)

    assert "running" == machine.run("systemctl", "is-system-running").stdout.strip()
    machine.sh("ip link add wg0 type wireguard; ip link add v0 type veth; nft add table inet t")
    assert "198.51.100.2" == machine.sh("curl -4s http://web.example.net")
    assert "2001:db8:51::2" == machine.sh("curl -6s http://web.example.net")

    machine.write("/etc/kept", "yes")
    with world.capture_uplink(beacons="world") as uplink:
        machine.reboot()
    assert () == uplink.traffic.foreign()
    assert "yes" == machine.read("/etc/kept")


@pytest.mark.long
def test_vm_keeps_what_was_synced_when_unplugged(boot_vm: BootVm) -> None:
    """A power cut is no reboot: what was not synced is lost, and the rest is there."""
    machine = boot_vm("trixie").machine
    assert isinstance(machine, VirtualMachine)
    machine.sh("echo kept >/etc/kept; sync")
    machine.cut_power()
    assert "kept" == machine.read("/etc/kept").strip()
