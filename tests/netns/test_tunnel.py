"""wgconfine@NAME.service: up, reload and down on a real link, by wireguard-go."""

import errno
import socket
import sys

import pytest

from tests.netns.machine import CONF, KEY, LINK, PEER, SETTINGS, SHARED_KEY, Machine

pytestmark = pytest.mark.netns

NEW_PEER = "5IIO3yeDDVvZcLJ1+MDV+TnnkGbCkVDuxSwq2aEIBEU="


def identity_of_link(machine: Machine) -> tuple[str, str]:
    """Index of the link and source port of its socket: both change where it is made anew."""
    return (
        machine.sh(
            "cat /sys/class/net/wg0/ifindex 2>/dev/null || ip -o link show wg0 | cut -d: -f1",
            inside="vpn",
        ),
        machine.sh(f"wg show {LINK} listen-port"),
    )


def test_up_makes_what_the_settings_say(tunnel: Machine) -> None:
    """Keys, peer, addresses, routes, resolver, and the private /run of each service."""
    state = tunnel.state()

    assert state["wg"] == [
        "[Interface]",
        f"PrivateKey = {KEY}",
        "",
        "[Peer]",
        f"PublicKey = {PEER}",
        f"PresharedKey = {SHARED_KEY}",
        "AllowedIPs = 0.0.0.0/0, ::/0",
        "Endpoint = 192.0.2.2:51820",
    ]
    assert [
        "lo 127.0.0.1/8 mtu 65536",
        "lo ::1/128 mtu 65536",
        "wg0 10.66.0.2/32 mtu 1420",
        "wg0 fc00:66::2/128 mtu 1420",
    ] == tunnel.addresses()
    assert ["default dev wg0", "fc00:66::2 dev wg0", "default dev wg0"] == tunnel.routes()
    assert "nameserver 10.66.0.1" in str(state["files"])
    assert "./run/a/lock 1777 0" in str(state["files"])
    assert "wg0" not in str(state["host"])


def test_its_packets_leave_by_the_hosts_network(tunnel: Machine) -> None:
    """The link is inside and its socket outside: a handshake arrives in the world."""
    with (
        tunnel.socket("world", socket.AF_INET, socket.SOCK_DGRAM) as peer,
        tunnel.socket("vpn", socket.AF_INET, socket.SOCK_DGRAM) as service,
    ):
        peer.bind(("192.0.2.2", 51820))
        peer.settimeout(30)
        service.sendto(b"a", ("203.0.113.1", 9))
        packet, sender = peer.recvfrom(2000)

    assert (148, b"\1\0\0\0") == (len(packet), packet[:4])  # a handshake's first message
    assert sender[0] == "192.0.2.1"
    port = tunnel.sh(f"wg show {LINK} listen-port")
    assert f":{port} " in tunnel.sh("ss -Hlun")
    assert f":{port} " not in tunnel.sh("ss -Hlun", inside="vpn")


def test_a_narrow_way_takes_no_ipv6_from_the_link(closed: Machine) -> None:
    """The MTU follows from the way, and never below 1280, where the kernel takes IPv6 away."""
    closed.sh("ip link set uplink mtu 1300")

    closed.succeed("up")

    assert ["wg0 10.66.0.2/32 mtu 1280", "wg0 fc00:66::2/128 mtu 1280"] == [
        each for each in closed.addresses() if each.startswith("wg0")
    ]


def test_a_name_that_is_found_leaves_the_narrowest_way_the_one_that_counts(
    closed: Machine,
) -> None:
    """The MTU follows from the ways to all endpoints, and not from the last that was looked up."""
    conf = CONF.replace("192.0.2.2", "wide.example.net").replace("0.0.0.0/0, ", "")
    conf += f"[Peer]\nPublicKey = {NEW_PEER}\nEndpoint = 198.51.100.1:51820\n"
    closed.configure(conf=f"{conf}AllowedIPs = 0.0.0.0/0\n")
    closed.sh("echo 192.0.2.2 wide.example.net >>/etc/hosts")
    closed.sh("ip route add 198.51.100.1 via 192.0.2.2 mtu 1400")

    closed.succeed("up")
    closed.succeed("endpoint")

    assert "192.0.2.2:51820" in closed.sh(f"wg show {LINK} endpoints")
    assert "wg0 10.66.0.2/32 mtu 1320" in closed.addresses()


def test_a_family_without_an_address_is_refused_at_once(closed: Machine) -> None:
    """A program that tries IPv6 first goes on with IPv4, and does not wait for nobody."""
    closed.configure(conf=CONF.replace(", fc00:66::2/128", ""))
    closed.succeed("up")

    assert ["default dev wg0"] == closed.routes()
    connect = "import socket; print(socket.socket(socket.AF_INET6).connect_ex(('2001:db8::1', 80)))"
    said = closed.sh(f'{sys.executable} -I -c "{connect}"', inside="vpn")
    assert errno.ENETUNREACH == int(said)


def test_a_link_local_address_is_one_like_others(closed: Machine) -> None:
    """Routing protocols want one. It is found there, and goes when it is no longer wanted."""
    other = CONF.replace("10.66.0.2/32, ", "10.66.0.2/32, fe80::2/64, ")
    closed.configure(conf=other)
    closed.succeed("up")
    assert "wg0 fe80::2/64 mtu 1420" in closed.addresses()
    assert [] == closed.missing()

    closed.configure()
    closed.succeed("reload")
    assert "wg0 fe80::2/64 mtu 1420" not in closed.addresses()


@pytest.mark.parametrize("verb", ["up", "reload"])
def test_twice_is_once(tunnel: Machine, verb: str) -> None:
    """Invariant 7: the same link, the same source port, no route or address a second time."""
    link, state = identity_of_link(tunnel), tunnel.state()

    tunnel.succeed(verb)

    assert state == tunnel.state()
    assert link == identity_of_link(tunnel)


def test_a_reload_takes_away_what_is_no_longer_wanted(closed: Machine) -> None:
    """And keeps the rest, the link and its port."""
    networks = "10.0.0.0/8, 192.0.2.64/26, 198.51.100.7/32, 2001:db8::/32, fc00:66::/64"
    closed.configure(conf=CONF.replace("0.0.0.0/0, ::/0", networks))
    closed.succeed("up")
    link = identity_of_link(closed)
    assert "198.51.100.7 dev wg0" in closed.routes()

    conf = CONF.replace("10.66.0.2/32, fc00:66::2/128", "10.66.0.3/32, fc00:66::2/128")
    conf = conf.replace("0.0.0.0/0, ::/0", "10.0.0.0/8, fc00:66::/64").replace(PEER, NEW_PEER)
    closed.configure(conf=conf, settings=f"{SETTINGS}mtu = 1300\n")
    closed.succeed("reload")

    assert ["wg0 10.66.0.3/32 mtu 1300", "wg0 fc00:66::2/128 mtu 1300"] == [
        each for each in closed.addresses() if each.startswith("wg0")
    ]
    assert ["10.0.0.0/8 dev wg0", "fc00:66::2 dev wg0", "fc00:66::/64 dev wg0"] == closed.routes()
    assert NEW_PEER == closed.sh(f"wg show {LINK} peers")
    assert link == identity_of_link(closed)


def test_a_reload_keeps_what_a_service_has_in_its_run(tunnel: Machine) -> None:
    """It goes at the next start of the tunnel."""
    tunnel.write("/run/wgconfine/run/a/pid", "1")

    tunnel.succeed("reload")
    assert tunnel.path("/run/wgconfine/run/a/pid").exists()
    tunnel.succeed("up")
    assert not tunnel.path("/run/wgconfine/run/a/pid").exists()


def test_resolver_files_keep_their_inode(tunnel: Machine) -> None:
    """A running service has the file bound, and sees the new resolver."""
    inode = tunnel.path("/run/wgconfine/tunnel/vpn/resolv.conf").stat().st_ino

    tunnel.configure(settings=f'{SETTINGS}dns = ["10.66.0.9"]\n')
    tunnel.succeed("reload")

    place = tunnel.path("/run/wgconfine/tunnel/vpn/resolv.conf")
    assert inode == place.stat().st_ino
    assert "nameserver 10.66.0.9\n" in place.read_text()
    assert "10.66.0.1" not in place.read_text()


def test_a_link_that_wireguard_go_made_anew_is_set_up_again(tunnel: Machine) -> None:
    """After a crash: its link went with it, and the namespace stayed."""
    state = tunnel.state()
    tunnel.sh("pkill -KILL wireguard-go; rm /run/wireguard/*.sock")
    tunnel.wait_for(lambda: "wg0" not in tunnel.sh("ip -br link", inside="vpn"))

    tunnel.start_wireguard()
    tunnel.succeed("reload")

    assert state == tunnel.state()


def test_down_twice_is_once(tunnel: Machine) -> None:
    """No link, no resolver; the namespace stays, closed."""
    tunnel.succeed("down")
    tunnel.wireguard_ended()
    state = tunnel.state()
    tunnel.succeed("down")

    assert state == tunnel.state()
    assert "lo" == state["up"]
    assert [] == tunnel.routes()
    assert "resolv.conf" not in str(state["files"])


def test_down_without_a_namespace_is_fine(tunnel: Machine) -> None:
    """systemd stops the tunnel after its namespace died, too."""
    tunnel.succeed("netns-down")

    for _ in range(2):
        tunnel.succeed("down")
    assert "resolv.conf" not in str(tunnel.state()["files"])


def test_up_comes_back_after_down(tunnel: Machine) -> None:
    """With a new wireguard-go, all is as it was."""
    state = tunnel.state()
    tunnel.succeed("down")
    tunnel.wireguard_ended()
    tunnel.start_wireguard()

    tunnel.succeed("up")

    assert state == tunnel.state()


def test_a_reload_of_a_tunnel_that_was_stopped_meanwhile(closed: Machine) -> None:
    """It stays stopped: what asked for the reload came too late."""
    assert "tunnel vpn has been stopped meanwhile, and stays so" in closed.succeed("reload")
    assert "wg0" not in closed.sh("ip -br link", inside="vpn")


def test_a_link_whose_socket_is_elsewhere_is_made_anew(tunnel: Machine) -> None:
    """As after another `via`: the socket of a link never moves."""
    tunnel.sh("echo 4:1 >/run/wgconfine/tunnel/vpn/outer")
    tunnel.start_wireguard()

    said = "the socket of wg0 is in another namespace than it should be"
    assert said in tunnel.runtime("up").said


def test_a_declared_port_stays(machine: Machine) -> None:
    """Another one would be no way out of what is wrong: the peer calls at this one."""
    machine.configure(settings=f"listen-port = 51999\n{SETTINGS}")
    machine.succeed("netns-up")
    machine.start_wireguard()
    machine.succeed("up")

    assert "listen-port = 51999 is declared: it stays" in machine.succeed("rebind")


def test_a_path_of_the_host_in_what_a_service_left_is_not_deleted(tunnel: Machine) -> None:
    """It is said, and the tunnel comes up all the same."""
    left = "/run/wgconfine/run/=0=a"
    tunnel.sh(f"mkdir {left}; mount -t tmpfs tmpfs {left}; echo host >{left}/file")
    said = tunnel.succeed("up")

    assert "a.service left in its /run stays: " in said
    assert "a path of the host is still mounted there" in said
    assert "host" == tunnel.sh(f"cat {left}/file")
