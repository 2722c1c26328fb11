"""`publish`, `reach`, `[inbound]` and `[outbound]`: every form, and the words about others."""

from ipaddress import ip_address, ip_network
from pathlib import PurePosixPath

import pytest

from wgconfine.config.ports import overlap
from wgconfine.config.settings import parse_settings
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.ports import Inbound, PortRange, Publish, Reach, SocketAddress, UnixSocket
from wgconfine.model.settings import Settings

CONFIG = 'config = "/etc/wireguard/vpn.conf"\n'
FRAGMENT = PurePosixPath("/vpn.d/more.toml")
LISTEN = "listen = '192.168.1.10:80'"
UDP = "UDP can't be published: systemd-socket-proxyd carries TCP only. "
INBOUND = "For a port of the tunnel's own address see [inbound]"
ONLY_HERE = (
    "from and free-bind do nothing here: only this machine can connect to loopback."
    " Leave them out, or listen on an address of the LAN"
)
NEITHER = (
    "is neither a port from 1 to 65535 nor of the form 'PORT:TO', 'ADDRESS:PORT:TO' or"
    " 'unix:PATH:TO'"
)
FORMS = "is not of the form 'PORT', 'PORT:TO', 'ADDRESS:PORT:TO' or 'unix:PATH:TO'"
BRACKETS = "An IPv6 address stands in brackets: '[::1]:8080'"
REACH_FORM = (
    "is not of the form 'ADDRESS:PORT:ADDRESS:PORT'."
    " Write '127.0.0.1:5432:192.168.1.10:5432': where it listens inside, then the target"
)
RANGE = "is neither a port from 1 to 65535 nor a range. Write 51413, or '6881-6889'"


def read(*texts: str) -> Settings:
    files = [(PurePosixPath("/vpn.toml"), CONFIG + texts[0])]
    return parse_settings("vpn", files + [(FRAGMENT, text) for text in texts[1:]])


def problem(*texts: str) -> str:
    """Give the one message, without the file of the tunnel."""
    with pytest.raises(ProblemsFound) as caught:
        read(*texts)
    return str(caught.value).removeprefix("/vpn.toml: ").removesuffix(".")


def at(text: str, port: int) -> SocketAddress:
    return SocketAddress(address=ip_address(text), port=port)


def loopback(port: int) -> tuple[SocketAddress, SocketAddress]:
    return at("127.0.0.1", port), at("::1", port)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'8080'", Publish(listen=loopback(8080), to=at("127.0.0.1", 8080))),
        ("'8081:80'", Publish(listen=loopback(8081), to=at("127.0.0.1", 80))),
        (
            "'127.0.0.1:8081:80'",
            Publish(listen=(at("127.0.0.1", 8081),), to=at("127.0.0.1", 80)),
        ),
        ("'[::1]:8081:80'", Publish(listen=(at("::1", 8081),), to=at("127.0.0.1", 80))),
        (
            "'unix:/run/x.sock:80'",
            Publish(listen=UnixSocket(path=PurePosixPath("/run/x.sock")), to=at("127.0.0.1", 80)),
        ),
        (
            "{listen = 'unix:/run/x/y.sock', to = '[::1]:80', user = 'me', group = 'www-data'}",
            Publish(
                listen=UnixSocket(path=PurePosixPath("/run/x/y.sock"), user="me", group="www-data"),
                to=at("::1", 80),
            ),
        ),
        ("{listen = '8080'}", Publish(listen=loopback(8080), to=at("127.0.0.1", 8080))),
        (
            f"{{{LISTEN}, to = 8080, from = ['192.168.1.5/24', '::/0']}}",
            Publish(
                listen=(at("192.168.1.10", 80),),
                to=at("127.0.0.1", 8080),
                clients=(ip_network("192.168.1.0/24"), ip_network("::/0")),
            ),
        ),
        (
            "{listen = '[::]:80', from = ['fd00::/8'], free-bind = true}",
            Publish(
                listen=(at("::", 80),),
                to=at("127.0.0.1", 80),
                clients=(ip_network("fd00::/8"),),
                free_bind=True,
            ),
        ),
    ],
)
def test_forms_of_publish(text: str, expected: Publish) -> None:
    """Short ones are loopback's and a unix socket's; who lets others in writes a table."""
    assert (expected,) == read(f"publish = [{text}]").publish


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", "8080 is neither text nor a table. Write '8080', in quotes"),
        ("true", "true is neither text nor a table"),
        ("'http'", f"'http' {NEITHER}"),
        ("''", f"'' {NEITHER}"),
        ("'0'", f"'0' {NEITHER}"),
        ("'65536'", f"'65536' {NEITHER}"),
        ("'8080:'", f"'8080:' {FORMS}"),
        ("'8080:x'", f"'8080:x' {FORMS}"),
        ("'nas:80:80'", "'nas:80' is not of the form 'ADDRESS:PORT'"),
        ("'127.0.0.1:x:80'", "'127.0.0.1:x' has no port number from 1 to 65535"),
        ("'[127.0.0.1]:80:80'", "'[127.0.0.1]:80' is not of the form 'ADDRESS:PORT'"),
        ("'::1:80:80'", "'::1:80:80' must have an IPv6 address in brackets"),
        (
            "'127.0.0.1:80'",
            "'127.0.0.1:80' does not say the port inside. Write '127.0.0.1:80:80'",
        ),
        ("'[::1]:80'", "'[::1]:80' does not say the port inside. Write '[::1]:80:80'"),
        (
            "'192.168.1.10:80:8080'",
            (
                "192.168.1.10:80 is not loopback and says not from where one may connect: the"
                " service takes everybody for its own machine. Write"
                ' { listen = "192.168.1.10:80", to = 8080, from = ["NETWORK"] }'
            ),
        ),
        ("'6881/udp'", UDP + INBOUND),
        ("'unix:80'", f"'unix:80' {FORMS}"),
        (
            "'unix:/run/a b:80'",
            "'unix:/run/a b' has characters that can't stand in a unit",
        ),
        ("'unix:/run/x.sock'", f"'unix:/run/x.sock' {FORMS}"),
        ("'unix:/tmp/x.sock:80'", "'unix:/tmp/x.sock' is not below /run"),
        ("'unix:/run:80'", "'unix:/run' is not below /run"),
        ("'unix:/run/wgconfine/x:80'", "'unix:/run/wgconfine/x' is not below /run"),
        ("'unix:x:80'", "'x' is not an absolute path"),
        (
            f"'unix:/run/{'x-' * 51}x:80'",
            "the path of a unix socket has at most 107 bytes",
        ),
    ],
)
def test_other_forms_of_publish(text: str, expected: str) -> None:
    """What is meant is never guessed where a guess could let somebody in."""
    assert f"publish[0]: {expected}" == problem(f"publish = [{text}]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("to = 80", ".listen: it is missing"),
        ("listen = 80", ".listen: 80 is not text. Write '80', in quotes"),
        ("listen = []", ".listen: a list is not text"),
        ("listen = '6881/udp'", f".listen: {UDP}{INBOUND}"),
        (
            "listen = '224.0.0.1:80'",
            ".listen: '224.0.0.1:80' can't be listened on: it is a multicast address",
        ),
        (
            "listen = '[fe80::1]:80', from = ['::/0']",
            (
                ".listen: '[fe80::1]:80' is a link-local address, which means nothing without its"
                " link. Name another address of that machine"
            ),
        ),
        ("listen = '0'", ".listen: '0' is neither a port from 1 to 65535 nor 'ADDRESS:PORT'"),
        ("listen = '::1:80'", f".listen: '::1:80' is not of the form 'ADDRESS:PORT'. {BRACKETS}"),
        ("listen = 'unix:/run/x.sock'", ": it does not say the port inside. Name it in to"),
        (
            "listen = 'unix:/run/x.sock', to = 80, from = ['::/0']",
            ": from and free-bind are of addresses, not of a unix socket",
        ),
        (
            "listen = '80', user = 'me'",
            ": user and group are of a unix socket, not of an address",
        ),
        ("listen = '80', user = '1'", ".user: '1' is not the name of a user or group"),
        ("listen = '80', group = 5", ".group: 5 is not the name of a user or group"),
        ("listen = '80', from = ['::/0']", f": {ONLY_HERE}"),
        ("listen = '80', free-bind = true", f": {ONLY_HERE}"),
        (f"{LISTEN}, from = []", ".from: the list is empty"),
        (f"{LISTEN}, from = ['x']", ".from[0]: 'x' is not an IP network"),
        (f"{LISTEN}, from = ['::/0']", ": from has no network of IPv4: nobody could connect"),
        (f"{LISTEN}, form = ['::/0']", ".form: unknown key. Did you mean 'from'?"),
        (
            "listen = '8053', to = 53",
            (
                ": port 53 inside is DNS: no service is asked by it, but the tunnel's resolver."
                " Have the service listen on another port"
            ),
        ),
        (
            "listen = 'unix:/run/x.sock', to = 853",
            (
                ": port 853 inside is DNS over TLS: no service is asked by it, but the tunnel's"
                " resolver. Have the service listen on another port"
            ),
        ),
        ("listen = '80', to = 0", ".to: 0 is not a whole number from 1 to 65535"),
        ("listen = '80', to = true", ".to: true is neither a port nor of the form 'ADDRESS:PORT'"),
        ("listen = '80', to = '80'", ".to: '80' is not of the form 'ADDRESS:PORT'"),
        (
            "listen = '80', to = '10.66.0.2:80'",
            ".to: '10.66.0.2:80' is not a loopback address of the tunnel's namespace",
        ),
    ],
)
def test_wrong_tables_of_publish(text: str, expected: str) -> None:
    """Each key is judged alone, then all of them together."""
    assert f"publish[0]{expected}" == problem(f"publish = [{{{text}}}]")


def test_where_a_port_is_published() -> None:
    """The words of the owner, by which units and messages name the entry."""
    text = "publish = ['8080', '[::1]:1:80', 'unix:/run/x.sock:80']"
    assert ["8080", "[::1]:1", "unix:/run/x.sock"] == [each.where for each in read(text).publish]


ANYONE = "from = ['0.0.0.0/0', '::/0']"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("'80'", "'80:81'", True),
        ("'80'", "'81:80'", False),
        ("'80'", "'[::1]:80:80'", True),
        ("'127.0.0.1:80:80'", "'[::1]:80:80'", False),
        ("'80'", f"{{listen = '0.0.0.0:80', {ANYONE}}}", True),
        (f"{{listen = '[::]:80', {ANYONE}}}", "'127.0.0.1:80:80'", False),
        ("'80'", f"{{{LISTEN}, {ANYONE}}}", False),
        ("'unix:/run/x:80'", "'unix:/run/x:81'", True),
        ("'unix:/run/x:80'", "'unix:/run/y:80'", False),
        ("'unix:/run/x:80'", "'80'", False),
    ],
)
def test_two_in_one_place(one: str, other: str, *, expected: bool) -> None:
    """An address shares its ports with the unspecified one of its family."""
    first, second = (read(f"publish = [{each}]").publish[0] for each in (one, other))
    assert (expected, expected) == (overlap(first, second), overlap(second, first))


def test_what_one_tunnel_publishes_twice() -> None:
    """Both places are named, in one file and in two."""
    what = "80 is published already, at /vpn.toml: publish[0]. Keep one of them"
    assert f"publish[1]: {what}" == problem("publish = ['80', '80:81']")
    assert f"{FRAGMENT}: publish[0]: {what}" == problem("publish = ['80']", "publish = ['80']")


def test_what_is_reached() -> None:
    """A listener inside, then one address of the host or its LAN; fragments add more."""
    text = "reach = ['127.0.0.1:5432:192.168.1.10:5433', '[::1]:80:[fd00::1]:80']"
    assert (
        Reach(listen=at("127.0.0.1", 5432), to=at("192.168.1.10", 5433)),
        Reach(listen=at("::1", 80), to=at("fd00::1", 80)),
        Reach(listen=at("127.0.0.2", 80), to=at("127.0.0.1", 80)),
    ) == read(text, "reach = ['127.0.0.2:80:127.0.0.1:80']").reach


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5432", "5432 is not text"),
        ("'5432'", f"'5432' {REACH_FORM}"),
        ("'127.0.0.1:5432'", f"'127.0.0.1:5432' {REACH_FORM}"),
        ("'127.0.0.1:1:127.0.0.1:2:3'", f"'127.0.0.1:1:127.0.0.1:2:3' {REACH_FORM}"),
        ("'::1:80:[::1]:80'", f"'::1:80:[::1]:80' {REACH_FORM}"),
        ("'127.0.0.1:1:nas:80'", "'nas:80' is not of the form 'ADDRESS:PORT'"),
        (
            "'127.0.0.1:1:127.0.0.1:2/udp'",
            f"UDP can't be reached: systemd-socket-proxyd carries TCP only. {INBOUND}",
        ),
        (
            "'0.0.0.0:1:127.0.0.1:2'",
            "'0.0.0.0:1' is not a loopback address of the tunnel's namespace",
        ),
        ("'127.0.0.1:1:0.0.0.0:2'", "'0.0.0.0:2' is not the address of one machine"),
        ("'127.0.0.1:1:224.0.0.1:2'", "'224.0.0.1:2' is not the address of one machine"),
        (
            "'127.0.0.1:1:[fe80::1]:2'",
            (
                "'[fe80::1]:2' is a link-local address, which means nothing without its link. Name"
                " another address of that machine"
            ),
        ),
        (
            "'127.0.0.1:1:9.9.9.9:443'",
            (
                "'9.9.9.9:443' is an address of the internet, which is reached by the tunnel. Name"
                " an address of this machine or of its LAN"
            ),
        ),
        (
            "'127.0.0.1:1:192.168.1.1:53'",
            "port 53 is DNS: names are looked up through the tunnel alone",
        ),
        (
            "'127.0.0.1:853:192.168.1.1:1'",
            "port 853 is DNS over TLS: names are looked up through the tunnel alone",
        ),
    ],
)
def test_what_is_not_reached(text: str, expected: str) -> None:
    """No name, no stranger, no resolver: one known thing that is near."""
    assert f"reach[0]: {expected}" == problem(f"reach = [{text}]")


def test_what_leads_to_a_hole() -> None:
    """Who is let in would come out again on the other side, in the service's place."""
    text = "publish = ['80']\nreach = ['127.0.0.1:80:192.168.1.1:80']"
    what = "it leads to 127.0.0.1:80 inside, where /vpn.toml: reach[0] listens: not a service"
    assert f"publish[0]: {what}. Name the port of a service" == problem(text)


def test_two_listeners_inside() -> None:
    """The second has no place."""
    what = "127.0.0.1:80 is taken already, at /vpn.toml: reach[0]. Give one of them another port"
    assert f"reach[1]: {what}" == problem(
        "reach = ['127.0.0.1:80:127.0.0.1:80', '127.0.0.1:80:127.0.0.1:81']"
    )


def test_inbound_ports() -> None:
    """Numbers and ranges, in the order of the numbers; fragments add theirs."""
    assert (
        Inbound(
            tcp=(PortRange(first=7, last=7), PortRange(first=51413, last=51413)),
            udp=(PortRange(first=5, last=5), PortRange(first=6881, last=6889)),
        )
        == read("[inbound]\ntcp = [51413]\nudp = ['6881-6889', 5]", "[inbound]\ntcp = [7]").inbound
    )
    assert ("5", "6881-6889") == (
        str(PortRange(first=5, last=5)),
        str(PortRange(first=6881, last=6889)),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inbound = []", "inbound: a list is not a table"),
        ("inbound = {tcp = 5}", "inbound.tcp: 5 is not a list"),
        ("inbound = {sctp = [5]}", "inbound.sctp: unknown key"),
        ("inbound = {tcp = [0]}", f"inbound.tcp[0]: 0 {RANGE}"),
        ("inbound = {tcp = [true]}", f"inbound.tcp[0]: true {RANGE}"),
        ("inbound = {udp = ['9-3']}", f"inbound.udp[0]: '9-3' {RANGE}"),
        ("inbound = {udp = ['5']}", f"inbound.udp[0]: '5' {RANGE}"),
        ("inbound = {udp = ['1-2-3']}", f"inbound.udp[0]: '1-2-3' {RANGE}"),
        ("inbound = {udp = ['x-3']}", f"inbound.udp[0]: 'x-3' {RANGE}"),
        ("inbound = {tcp = [7, '5-9']}", "inbound.tcp: 5-9 and 7 have ports in common"),
        ("outbound = 5", "outbound: 5 is not a table"),
        ("outbound = {deny = ['x']}", "outbound.deny[0]: 'x' is not an IP network"),
        ("outbound = {allow = []}", "outbound.allow: unknown key"),
    ],
)
def test_wrong_ports_and_networks(text: str, expected: str) -> None:
    """A range is text, a port a number."""
    assert expected == problem(text)


def test_a_port_that_two_files_open() -> None:
    """Both are named; what one protocol has is free for the other."""
    what = "5-9 is open already, by /vpn.toml: inbound.tcp. Keep one of them"
    assert f"{FRAGMENT}: inbound.tcp: {what}" == problem(
        "[inbound]\ntcp = [7]", "[inbound]\ntcp = ['5-9']\nudp = [7]"
    )


def test_denied_networks() -> None:
    """Host bits are cleared; fragments add theirs, each once."""
    texts = ("[outbound]\ndeny = ['10.1.2.3/8']", "[outbound]\ndeny = ['fd00::/8', '10.0.0.0/8']")
    assert (ip_network("10.0.0.0/8"), ip_network("fd00::/8")) == read(*texts).outbound_deny
    assert () == read("[outbound]").outbound_deny
