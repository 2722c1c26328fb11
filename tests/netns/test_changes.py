"""A reload sets what has changed, on a real link of wireguard-go: the end is that of `wg setconf`.

And the socket is the one that was.
"""

from collections.abc import Iterator

import pytest

from tests.netns.machine import CONF, LINK, PEER, SECRETS, SETTINGS, SHARED_KEY, Machine, boot
from wgconfine.config.wgquick import parse
from wgconfine.runtime.link import wg_config

pytestmark = pytest.mark.netns

OTHER = "5IIO3yeDDVvZcLJ1+MDV+TnnkGbCkVDuxSwq2aEIBEU="
THIRD = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
NEW_KEY = "cGFzc3dvcmRwYXNzd29yZHBhc3N3b3JkcGFzc3dvcmQ="
MARK = 51820


def peer(key: str, networks: str, lines: str = "") -> str:
    return f"[Peer]\nPublicKey = {key}\nAllowedIPs = {networks}\n{lines}"


BEFORE = f"{CONF}PersistentKeepalive = 25\n" + peer(
    OTHER, "10.0.0.0/8, 192.0.2.64/26", f"PresharedKey = {SHARED_KEY}\n"
)
AFTER = {
    "nothing": BEFORE,
    "a keepalive off": BEFORE.replace("PersistentKeepalive = 25\n", ""),
    "a preshared key less": BEFORE.replace(f"PresharedKey = {SHARED_KEY}\n", ""),
    "another preshared key": BEFORE.replace(SHARED_KEY, NEW_KEY),
    "a network less": BEFORE.replace(", 192.0.2.64/26", ""),
    "no networks": BEFORE.replace("AllowedIPs = 10.0.0.0/8, 192.0.2.64/26\n", ""),
    "another endpoint": BEFORE.replace("192.0.2.2:51820", "192.0.2.3:51821"),
    "networks that change places": BEFORE.replace("0.0.0.0/0, ::/0", "@")
    .replace("10.0.0.0/8, 192.0.2.64/26", "0.0.0.0/0, ::/0")
    .replace("@", "10.0.0.0/8, 192.0.2.64/26"),
    "a network that the last takes": BEFORE.replace("10.0.0.0/8, ", "10.0.0.0/8, ::/0, "),
    "a network that the first would": BEFORE.replace("::/0", "::/0, 10.0.0.0/8"),
    "a peer less": f"{CONF}PersistentKeepalive = 25\n",
    "a peer more": BEFORE + peer(THIRD, "10.0.0.0/8, 198.51.100.0/24"),
    "another peer": BEFORE.replace(OTHER, THIRD),
    "other peers alone": CONF.replace(PEER, THIRD),
    "another key": BEFORE.replace(SECRETS[0], NEW_KEY),
    "all at once": CONF.replace(SECRETS[0], NEW_KEY)
    + peer(THIRD, "10.0.0.0/8", "Endpoint = 192.0.2.4:1\nPersistentKeepalive = 3\n"),
}  # fmt: skip


@pytest.fixture(scope="module")
def live() -> Iterator[Machine]:
    """A tunnel that is up, and stays."""
    with boot() as machine:
        machine.configure(conf=BEFORE)
        machine.succeed("netns-up")
        machine.start_wireguard()
        machine.succeed("up")
        machine.listen_to_programs()
        yield machine


def shown(machine: Machine) -> list[list[str]]:
    """What is in force: the interface, then the peers, in one order, for wireguard-go has none."""
    own, *peers = machine.sh(f"wg showconf {LINK}").split("[Peer]")
    words = [sorted(each.replace(",", "").split()) for each in peers]
    return [own.split(), *sorted(words)]


def sockets(machine: Machine) -> list[str]:
    return sorted(machine.sh("ss -Huane | grep -o 'ino:[0-9]*'").splitlines())


def reload(machine: Machine, conf: str, settings: str = SETTINGS) -> None:
    """Reload what has changed. Then it is as `wg setconf` of the whole makes it."""
    before = sockets(machine)
    machine.configure(conf=conf, settings=settings)
    machine.succeed("reload")
    assert before == sockets(machine)
    found = shown(machine)
    whole = parse(conf, "vpn.conf")
    whole.listen_port = int(machine.sh(f"wg show {LINK} listen-port"))
    whole.fwmark = MARK if "fwmark" in settings else None
    machine.write("/run/lab/whole", wg_config(whole), mode=0o600)
    machine.sh(f"wg setconf {LINK} /run/lab/whole")
    assert found == shown(machine)


@pytest.mark.parametrize("name", AFTER)
def test_a_change_and_back(live: Machine, name: str) -> None:
    """Peers and keys, one by one and together."""
    reload(live, AFTER[name])
    reload(live, BEFORE)


def test_a_mark_and_none(live: Machine) -> None:
    """It is the settings that say it."""
    reload(live, BEFORE, f"{SETTINGS}fwmark = {MARK}\n")
    assert f"{MARK:#x}" == live.sh(f"wg show {LINK} fwmark")
    reload(live, BEFORE)
    assert "off" == live.sh(f"wg show {LINK} fwmark")


def test_no_secret_is_told_by_arguments(live: Machine) -> None:
    """Of all that was changed by then (invariant 8)."""
    told = live.told()
    assert f"wg addconf {LINK}" in told
    assert f"peer {OTHER} remove" in told
    assert [] == [each for each in (*SECRETS, NEW_KEY) if each in told]
