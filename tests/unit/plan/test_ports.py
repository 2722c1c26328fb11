"""What keeps a port from listening on a machine, in the exact words, all of it at once."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import PurePosixPath

from wgconfine.model.ports import Publish, Reach, SocketAddress, UnixSocket
from wgconfine.model.settings import ConfFile, Settings, TunnelName, UnitName
from wgconfine.plan.ports import Listener, PortFacts, check_ports, port_remarks

WEB = UnitName("web.service")
HERE, THERE = (f"/etc/wgconfine/{name}.toml: publish:" for name in ("vpn", "two"))
FINE = PortFacts(
    addresses=(ip_address("192.168.1.10"), ip_address("2001:db8::1")),
    users=frozenset({"root"}),
    groups=frozenset({"root"}),
)


def address(text: str) -> SocketAddress:
    host, _, port = text.rpartition(":")
    return SocketAddress(address=ip_address(host.strip("[]")), port=int(port))


def publish(*listen: str, clients: Sequence[str] = (), free_bind: bool = False) -> Publish:
    return Publish(
        listen=tuple(map(address, listen)),
        to=address("127.0.0.1:80"),
        clients=tuple(map(ip_network, clients)),
        free_bind=free_bind,
    )


def unix(path: str, user: str = "root", group: str = "root") -> Publish:
    listen = UnixSocket(path=PurePosixPath(path), user=user, group=group)
    return Publish(listen=listen, to=address("127.0.0.1:80"))


def tunnel(*entries: Publish, name: str = "vpn", reach: Sequence[Reach] = ()) -> Settings:
    return Settings(
        name=TunnelName(name),
        path=PurePosixPath(f"/etc/wgconfine/{name}.toml"),
        digest="0",
        wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
        services=(WEB,),
        publish=tuple(entries),
        reach=tuple(reach),
    )


BOTH = publish("127.0.0.1:8080", "[::1]:8080")
LAN = publish("192.168.1.10:8080", clients=["192.168.1.0/24"])


def words(*tunnels: Settings, facts: PortFacts | None = FINE) -> list[str]:
    return list(map(str, check_ports(tunnels, facts, leaving=[WEB])))


def listening(where: str, unit: str = "", process: str = "", *, both: bool = False) -> PortFacts:
    listener = Listener(address=address(where), unit=unit, process=process, both=both)
    return replace(FINE, listeners=(listener,))


def test_a_machine_where_all_is_free_is_fine() -> None:
    """Every form; the wildcard is no address that a machine must have."""
    anywhere = publish("0.0.0.0:81", clients=["10.0.0.0/8"])

    assert [] == words(tunnel(BOTH, LAN, anywhere, unix("/run/x.sock")))


def test_who_holds_a_port_is_named() -> None:
    """By unit and process, and once, although both addresses are taken."""
    places = map(address, ("0.0.0.0:8080", "[::]:8080"))
    facts = replace(
        FINE,
        listeners=tuple(
            Listener(address=place, unit="nginx.service", process="nginx, process 7")
            for place in places
        ),
    )

    assert [
        (
            f"{HERE} 8080 is taken: nginx.service (nginx, process 7) listens"
            " on 0.0.0.0:8080 and [::]:8080. Publish to another port, or stop that."
        )
    ] == words(tunnel(BOTH), facts=facts)


def test_a_holder_that_cannot_be_seen_is_no_reason_to_go_on() -> None:
    """Without root, or of a process in another PID namespace."""
    assert [
        (
            f"{HERE} 192.168.1.10:8080 is taken: a process that can't be seen"
            " listens on 192.168.1.10:8080. Publish to another port, or stop that."
        )
    ] == words(tunnel(LAN), facts=listening("192.168.1.10:8080"))


def test_the_name_of_a_process_is_foreign_text() -> None:
    """Anybody may call his own what he likes."""
    facts = listening("127.0.0.1:8080", process="\x1b[31mred, process 7")

    assert "\x1b" not in "".join(words(tunnel(BOTH), facts=facts))


def test_a_service_that_moves_inside_leaves_its_port() -> None:
    """It is stopped before the socket starts."""
    assert [] == words(tunnel(BOTH), facts=listening("127.0.0.1:8080", unit=WEB))


def test_another_port_or_address_is_no_conflict() -> None:
    """Nor is the same port of the other family, which a socket of ours never takes."""
    assert [] == words(tunnel(BOTH), facts=listening("127.0.0.1:8081", "x.service"))
    assert [] == words(tunnel(BOTH), facts=listening("192.168.1.10:8080", "x.service"))
    assert [] == words(tunnel(LAN), facts=listening("[::]:8080", "x.service"))


def test_one_that_listens_for_both_families_takes_ipv4_too() -> None:
    """As most servers on `[::]` do."""
    [found] = words(tunnel(LAN), facts=listening("[::]:8080", "x.service", both=True))

    assert "192.168.1.10:8080 is taken: x.service listens on [::]:8080" in found


def test_the_wildcard_wants_every_address() -> None:
    """Who holds the port on one of them keeps it from listening."""
    anywhere = publish("0.0.0.0:8080", clients=["10.0.0.0/8"])

    [found] = words(tunnel(anywhere), facts=listening("127.0.0.1:8080", "x.service"))

    assert "0.0.0.0:8080 is taken: x.service listens on 127.0.0.1:8080" in found


def test_an_address_that_the_machine_lacks_is_refused_with_those_it_has() -> None:
    """`free-bind` says that it comes later; so may the kernel."""
    later = publish("10.0.0.5:80", clients=["10.0.0.0/8"])
    free = publish("10.0.0.5:80", clients=["10.0.0.0/8"], free_bind=True)

    assert [
        (
            f"{HERE} 10.0.0.5:80: this machine has no address 10.0.0.5;"
            " it has 192.168.1.10. Add free-bind = true to the entry if the address comes later."
        )
    ] == words(tunnel(later))
    assert [] == words(tunnel(free))
    assert [] == words(tunnel(later), facts=replace(FINE, any_address=True))


def test_a_machine_without_any_address_of_that_family_says_so() -> None:
    """There is nothing to name."""
    later = publish("[2001:db8::5]:80", clients=["2001:db8::/64"])

    [found] = words(tunnel(later), facts=replace(FINE, addresses=()))

    assert "this machine has no address 2001:db8::5; it has none of IPv6" in found


def test_what_is_where_a_unix_socket_shall_be_is_left_alone() -> None:
    """systemd would remove a socket there without asking."""
    facts = replace(FINE, paths=((PurePosixPath("/run/x.sock"), "a socket"),))

    assert [
        (
            f"{HERE} /run/x.sock exists already, and is a socket that"
            " wgconfine did not make. Remove it, or choose another path."
        )
    ] == words(tunnel(unix("/run/x.sock")), facts=facts)


def test_a_user_and_a_group_must_exist() -> None:
    """Both are told at once."""
    assert [
        (f"{HERE} unix:/run/x.sock: there is no user no. Name one of this machine in user."),
        (f"{HERE} unix:/run/x.sock: there is no group such. Name one of this machine in group."),
    ] == words(tunnel(unix("/run/x.sock", "no", "such")))


def test_two_tunnels_cannot_publish_to_the_same_port() -> None:
    """The other tunnel and its entry are named; a tree of files is told as well."""
    anywhere = publish("0.0.0.0:8080", clients=["10.0.0.0/8"])
    expected = [
        (
            f"{THERE} 0.0.0.0:8080 is published by tunnel vpn already, as 8080"
            " in /etc/wgconfine/vpn.toml. Give one of them another port."
        ),
        (
            f"{THERE} unix:/run/x.sock is published by tunnel vpn already, as"
            " unix:/run/x.sock in /etc/wgconfine/vpn.toml. Give one of them another port."
        ),
    ]
    one = tunnel(BOTH, unix("/run/x.sock"))
    two = tunnel(anywhere, unix("/run/x.sock"), name="two")

    assert expected == words(one, two)
    assert expected == words(one, two, facts=None)
    assert [] == words(one, replace(two, enable=False))


def test_without_systemd_socket_proxyd_there_is_no_port() -> None:
    """Said of each key that needs it."""
    reach = [Reach(listen=address("127.0.0.1:1"), to=address("192.168.1.1:1"))]
    what = "it needs systemd-socket-proxyd, which is not there. "
    hint = "Install the package of your distribution that has it, mostly systemd itself."

    assert [
        f"/etc/wgconfine/vpn.toml: {key}: {what}{hint}" for key in ("publish", "reach")
    ] == words(tunnel(BOTH, reach=reach), facts=replace(FINE, proxy=False))


def test_the_owner_is_told_what_the_service_sees() -> None:
    """Of a port that others may connect to; loopback and unix sockets are his own affair."""
    tunnels = [tunnel(BOTH, LAN, unix("/run/x.sock"))]

    assert [
        (
            f"{HERE} 192.168.1.10:8080 lets 192.168.1.0/24 in, and the"
            " service takes everybody there for 127.0.0.1: many ask that for no password."
            " Have the service ask everybody for one, or put a web server before it."
        )
    ] == list(map(str, port_remarks(tunnels)))
    assert [] == list(port_remarks([replace(tunnels[0], enable=False)]))
