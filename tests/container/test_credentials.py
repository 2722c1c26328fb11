"""Secrets that systemd hands over: a `.conf` or keys, encrypted or not, and their rotation."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests import guide
from tests.container.test_reload import carries, seen
from tests.matrix import ends
from tests.scenario import PROBE, refused, wgconfine, write_service

pytestmark = pytest.mark.container

ENCRYPTED = "/etc/credstore.encrypted/vpn.conf"
WHOLE = """\
config-credential = "vpn.conf"
encrypted-credentials = true
services = ["probe.service"]
"""
KEYS = """\
address = ["10.66.0.3/32"]
dns = ["10.66.0.1"]
services = ["other.service"]
private-key-credential = "keys.key"
reload-on-change = true
[[peer]]
public-key = "{server}"
endpoint = "198.51.100.1:51820"
preshared-key-credential = "keys.psk"
"""


@pytest.fixture(scope="module", params=ends())
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with one tunnel by an encrypted .conf, and one by keys that are credentials."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        machine = world.machine
        for unit in ("probe.service", "other.service"):
            write_service(world, unit, PROBE)
        machine.write("/etc/wireguard/vpn.conf", world.internet.provider_conf(), 0o600)
        assert guide.follow(world, "docs/secrets.md") > 3
        assert "nginx.service: confined" == refused(world, "nginx.service")
        wgconfine(world, "release", "nginx.service", "--yes")
        machine.write("/etc/wgconfine/vpn.toml", WHOLE)
        machine.sh("install -d -m 700 /etc/credstore")
        conf = keys_of(world, 3)
        machine.write("/etc/credstore/keys.key", conf["PrivateKey"] + "\n", 0o600)
        share(world)
        machine.write("/etc/wgconfine/keys.toml", KEYS.format(server=conf["PublicKey"]))
        wgconfine(world, "apply")
        machine.systemctl("start", "probe.service", "other.service")
        yield world


def encrypt(world: World, text: str) -> None:
    """Put the .conf in place as its owner would, with the key of this machine."""
    command = ("systemd-creds", "encrypt", "--with-key=host", "--name=vpn.conf", "-", ENCRYPTED)
    world.machine.run(*command, input=text)


def keys_of(world: World, client: int) -> dict[str, str]:
    lines = world.internet.provider_conf(client=client).splitlines()
    return dict(line.split(" = ", 1) for line in lines if " = " in line)


def share(world: World) -> str:
    """Have server and client agree on a new preshared key; gives it."""
    key = world.internet.run("wg", "genpsk").strip()
    public = world.internet.run("wg", "pubkey", text=keys_of(world, 3)["PrivateKey"]).strip()
    set_key = ("wg", "set", "wg0", "peer", public, "preshared-key", "/dev/stdin")
    world.internet.run(*set_key, text=key)
    world.machine.write("/etc/credstore/keys.psk", key + "\n", 0o600)
    return key


def wait_until_carried(world: World, name: str, address: str) -> None:
    world.machine.wait_for(lambda: carries(world, name) == address, f"{name} carries")


def test_an_encrypted_conf(world: World) -> None:
    """systemd decrypts it for the unit that reads it."""
    wait_until_carried(world, "vpn", "10.66.0.2")
    assert "probe.service: confined" == refused(world, "probe.service")


def test_a_conf_is_rotated_by_a_reload(world: World) -> None:
    """Another key and address: same process, same source port, nothing outside."""
    before = seen(world)
    with world.capture_uplink() as uplink:
        for client in (7, 2):
            encrypt(world, world.internet.provider_conf(client=client))
            world.machine.systemctl("reload", "wgconfine@vpn.service")
            wait_until_carried(world, "vpn", f"10.66.0.{client}")
    assert () == uplink.traffic.foreign()
    assert before == seen(world)


def test_a_preshared_key_is_rotated_by_itself(world: World) -> None:
    """Where reload-on-change watches it."""
    wait_until_carried(world, "keys", "10.66.0.3")
    before = seen(world, "keys", "other.service")
    key = share(world)
    shown = "wg show all preshared-keys | cut -f 3"
    machine = world.machine
    machine.wait_for(lambda: key in machine.sh(shown).split(), "it is in force")
    wait_until_carried(world, "keys", "10.66.0.3")
    assert before == seen(world, "keys", "other.service")


def test_secrets_are_nowhere_else(world: World) -> None:
    """Not in a unit, a record, the journal, or of any process the words or the environment."""
    psk = world.machine.read("/etc/credstore/keys.psk").strip()
    for secret in (*(keys_of(world, client)["PrivateKey"] for client in (2, 3, 7)), psk):
        # By a file and not by words, which would be found.
        world.machine.write("/root/secret", secret, 0o600)
        found = world.machine.sh("""
            grep -rlFf /root/secret /etc/systemd /etc/wgconfine /run/systemd/system /run/wgconfine \
                /usr/local/lib/systemd /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null || true
            journalctl --no-pager -o export | grep -aFf /root/secret || true
            systemctl show 'wgconfine*' | grep -Ff /root/secret || true
        """)
        assert "" == found
        assert "/root/secret" == world.machine.sh("grep -rlFf /root/secret /root")  # the control


def test_the_other_form_is_named(world: World) -> None:
    """systemd itself would say no more than that it could not set credentials up."""
    toml = "/etc/wgconfine/vpn.toml"
    world.machine.sh(f"sed -i s/^encrypted/#encrypted/ {toml}")
    done = wgconfine(world, "check", check=False)
    world.machine.sh(f"sed -i s/^#encrypted/encrypted/ {toml}")
    assert f"config-credential: {ENCRYPTED} is encrypted. Write encrypted-" in done.stderr


def test_without_its_source_it_stays_up_and_can_be_stopped(world: World) -> None:
    """A reload fails, and says why; what was in force is."""
    machine = world.machine
    machine.sh(f"mv {ENCRYPTED} /root")
    assert 0 != machine.systemctl("reload", "wgconfine@vpn.service", check=False).returncode
    wait_until_carried(world, "vpn", "10.66.0.2")
    machine.systemctl("stop", "wgconfine@vpn.service")
    assert "inactive" == machine.show("wgconfine@vpn.service", "ActiveState")
    machine.sh(f"mv /root/vpn.conf {ENCRYPTED}")
    machine.systemctl("start", "wgconfine@vpn.service")
    wait_until_carried(world, "vpn", "10.66.0.2")
