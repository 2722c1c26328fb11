"""A reboot of a machine with confined services, with the order of a real boot."""

from pathlib import Path

import pytest

from lab.fixtures import BootContainer
from tests.matrix import EVERYWHERE, first
from tests.reboot import assert_release_is_a_word
from tests.scenario import PROBE, refused, wgconfine, write_service, write_tunnel

pytestmark = pytest.mark.container


@pytest.mark.parametrize("release", first("trixie"))
def test_release_is_a_word_over_a_reboot(
    boot_container: BootContainer, release: str, wheelhouse: Path
) -> None:
    """Whatever ends a confinement but the word for it: after a reboot none runs in the open."""
    assert_release_is_a_word(boot_container(release, wheelhouse=wheelhouse))


@pytest.mark.parametrize("release", EVERYWHERE)
def test_what_is_confined_comes_back_with_the_machine(
    boot_container: BootContainer, release: str, wheelhouse: Path
) -> None:
    """Enabled services run inside, and `verify` is content; no unit of ours makes a cycle."""
    world = boot_container(release, wheelhouse=wheelhouse)
    machine = world.machine
    write_service(world, "probe.service", PROBE)
    machine.sh("install -d /run/theirs")
    opened = '[service."probe.service"]\nallow-paths = ["/run/theirs"]\n'
    write_tunnel(world, ["probe.service"], extra=opened)
    wgconfine(world, "apply")
    machine.systemctl("enable", "probe.service")

    machine.reboot()
    machine.wait_for(lambda: machine.is_active("probe.service"), "it is back", 60)

    assert "probe.service: confined" == refused(world, "probe.service")
    verified = wgconfine(world, "verify", check=False)
    assert 0 == verified.returncode, verified.stdout
    assert machine.is_active("wgconfine-tick.timer")
    assert "" == machine.sh("journalctl -b --no-pager | grep -i 'ordering cycle' || true")
    assert "" == machine.sh("systemctl list-units --failed --no-legend --plain 'wgconfine*'")
