"""The wg-quick `.conf`: what is accepted, and the exact words about what is not."""

import sys

import pytest

from wgconfine.config.wgquick import MAX_BYTES, Conf, ConfError, ConfProblem, decode, parse

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PEER_KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
OTHER_KEY = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
INTERFACE = f"[Interface]\nPrivateKey = {KEY}\nAddress = 10.66.0.2\n"
PEER = f"[Peer]\nPublicKey = {PEER_KEY}\nAllowedIPs = 0.0.0.0/0\n"


def problems(text: str) -> str:
    with pytest.raises(ConfError) as caught:
        parse(text, "vpn.conf")
    return str(caught.value)


def in_interface(line: str) -> str:
    """Give the problems of a file that has this line in its `[Interface]`, which is line 4."""
    return problems(INTERFACE + line + "\n" + PEER)


def in_peer(line: str) -> str:
    """Give the problems of a file that has this line in its `[Peer]`, which is line 7."""
    return problems(INTERFACE + PEER + line + "\n")


def with_lines(*, interface: str = "", peer: str = "") -> Conf:
    return parse(f"{INTERFACE}{interface}\n{PEER}{peer}\n", "vpn.conf")


def warnings(conf: Conf) -> list[str]:
    return [f"{warning.line}: {warning}" for warning in conf.warnings]


def test_a_whole_configuration() -> None:
    """Every key of wg(8) and wg-quick(8) that a tunnel needs is read."""
    conf = parse(
        f"""[Interface]
PrivateKey = {KEY}
Address = 10.66.0.2/32, fc00::0002/128
DNS = 10.64.0.1
MTU = 1380
[Peer]
PublicKey = {PEER_KEY}
PresharedKey = {OTHER_KEY}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = vpn.example.net:51820
PersistentKeepalive = 25
""",
        "vpn.conf",
    )
    (peer,) = conf.peers
    assert (KEY, ["10.66.0.2/32", "fc00::2/128"]) == (conf.private_key, conf.addresses)
    assert (["10.64.0.1"], [], 1380) == (conf.dns, conf.search, conf.mtu)
    assert (PEER_KEY, OTHER_KEY) == (peer.public_key, peer.preshared_key)
    assert ["0.0.0.0/0", "::/0"] == peer.allowed_ips
    assert (("vpn.example.net", 51820), 25, 6) == (
        peer.endpoint,
        peer.persistent_keepalive,
        peer.line,
    )
    assert {"[Interface]": 1, "PrivateKey": 2, "Address": 3, "DNS": 4, "MTU": 5} == conf.lines
    assert [] == conf.warnings


def test_what_is_not_written_is_absent() -> None:
    """Keys that a file does not have are None or empty."""
    conf = with_lines()
    (peer,) = conf.peers
    assert ([], [], None, None, None) == (
        conf.dns,
        conf.search,
        conf.mtu,
        conf.listen_port,
        conf.fwmark,
    )
    assert (None, None, None) == (peer.preshared_key, peer.endpoint, peer.persistent_keepalive)


def test_a_file_from_windows() -> None:
    """A byte order mark and CRLF are no part of the text."""
    text = decode(b"\xef\xbb\xbf" + (INTERFACE + PEER).replace("\n", "\r\n").encode(), "vpn.conf")
    assert ["10.66.0.2/32"] == parse(text, "vpn.conf").addresses


def test_a_byte_order_mark_in_text() -> None:
    """Text that was decoded elsewhere may have it still."""
    assert ["10.66.0.2/32"] == parse("\ufeff" + INTERFACE + PEER, "vpn.conf").addresses


def test_case_and_spaces_do_not_count() -> None:
    """As in wg(8): in headings, in names, and around and within its values."""
    spaced = f"{PEER_KEY[:9]} {PEER_KEY[9:]}"
    conf = parse(
        f" [ INTERFACE ]\nprivate key={KEY}\n\tADDRESS\t=10.66.0.2\n"
        f"[peer]\nPublicKEY = {spaced}\nallowedips = 10.0.0.0 / 8\nEndpoint = 192.0.2.1 : 5",
        "vpn.conf",
    )
    (peer,) = conf.peers
    assert (PEER_KEY, ["10.0.0.0/8"], ("192.0.2.1", 5)) == (
        peer.public_key,
        peer.allowed_ips,
        peer.endpoint,
    )


def test_comments_begin_anywhere() -> None:
    """A `#` ends the line wherever it stands, even right after a value; it hides a command, too."""
    conf = with_lines(interface="# PostUp = true\nMTU = 1400# bytes # really\n  #", peer="#x")
    assert (1400, []) == (conf.mtu, conf.warnings)


def test_a_carriage_return_does_not_end_a_comment() -> None:
    """Lines end at LF alone, as for wg(8): no comment grows a line for another reader."""
    conf = with_lines(interface="# comment\rPostUp = true\u2028PostUp = true\x0bPostUp = true")
    assert [] == conf.warnings


def test_lists_go_on() -> None:
    """Repeated lines, commas and, in wg-quick's keys, spaces make one list without duplicates."""
    conf = with_lines(
        interface="Address = 10.66.0.3/24 fc00::1,,10.66.0.2/32\n"
        "DNS=10.0.0.1\nDNS=10.0.0.2,10.0.0.1",
        peer="AllowedIPs = 10.0.0.0/8,0.0.0.0/0\nAllowedIPs = ::/0",
    )
    assert ["10.66.0.2/32", "10.66.0.3/24", "fc00::1/128"] == conf.addresses
    assert ["10.0.0.1", "10.0.0.2"] == conf.dns
    assert ["0.0.0.0/0", "10.0.0.0/8", "::/0"] == conf.peers[0].allowed_ips


def test_search_domains_stand_among_the_resolvers() -> None:
    """wg-quick(8): what is no address in DNS= is a search domain."""
    conf = with_lines(interface="DNS = corp.example, fd00::0:1 lan, 10.0.0.1, lan")
    assert (["fd00::1", "10.0.0.1"], ["corp.example", "lan"]) == (conf.dns, conf.search)


def test_empty_values_of_wg_quick_are_no_values() -> None:
    """wg-quick(8) takes these for absent, and what stood before for taken back."""
    conf = with_lines(interface="DNS =\nMTU = 1300\nMTU =\nAddress =\nAddress = ,")
    assert ([], None, ["10.66.0.2/32"]) == (conf.dns, conf.mtu, conf.addresses)


def test_an_interface_may_be_in_pieces() -> None:
    """As for wg(8) and wg-quick(8): a second heading goes on with the first section."""
    conf = parse(f"{INTERFACE}{PEER}[interface]\nDNS = 10.0.0.1\nAddress = fc00::1", "vpn.conf")
    assert (["10.66.0.2/32", "fc00::1/128"], ["10.0.0.1"]) == (conf.addresses, conf.dns)
    assert {"[Interface]": 1, "PrivateKey": 2, "Address": 3, "DNS": 8} == conf.lines


def test_the_last_of_a_key_counts() -> None:
    """As for wg(8); it is said, since a reader may look at the first."""
    conf = parse(
        f"{INTERFACE}{PEER}Endpoint = 192.0.2.1:1\nPersistentKeepalive = 5\n"
        f"Endpoint = 192.0.2.2:2\nPersistentKeepalive = off\nPublicKey = {KEY}\n"
        f"[Interface]\nPrivateKey = {OTHER_KEY}",
        "vpn.conf",
    )
    (peer,) = conf.peers
    assert (KEY, ("192.0.2.2", 2), None, OTHER_KEY) == (
        peer.public_key,
        peer.endpoint,
        peer.persistent_keepalive,
        conf.private_key,
    )
    assert [
        "9: Endpoint is given again, after line 7. The last counts.",
        "10: PersistentKeepalive is given again, after line 8. The last counts.",
        "11: PublicKey is given again, after line 5. The last counts.",
        "13: PrivateKey is given again, after line 2. The last counts.",
    ] == warnings(conf)
    assert 13 == conf.lines["PrivateKey"]


def test_every_line_of_a_key_must_be_right() -> None:
    """As for wg(8), though the last counts."""
    expected = (
        "vpn.conf:4: PrivateKey is not a key: 44 characters of base64 with '=' at the end.\n"
        "vpn.conf:6: MTU '1' is not a whole number from 576 to 65535."
    )
    assert expected == in_interface(f"PrivateKey = x\nPrivateKey = {KEY}\nMTU = 1\nMTU = 1400")


def test_an_ipv6_endpoint_without_brackets() -> None:
    """wg(8) takes the last group for the port; the writer may have meant it otherwise."""
    conf = with_lines(peer="Endpoint = 2001:DB8::1:51820")
    assert ("2001:db8::1", 51820) == conf.peers[0].endpoint
    (warning,) = warnings(conf)
    assert (
        "8: Endpoint '2001:DB8::1:51820' is read as [2001:db8::1]:51820. "
        "Put the address in brackets."
    ) == warning


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("[2001:db8::1]:51820", ("2001:db8::1", 51820)),
        ("[192.0.2.1]:1", ("192.0.2.1", 1)),
        ("[vpn.example.net]:051820", ("vpn.example.net", 51820)),
        ("vpn.example.net.:5", ("vpn.example.net.", 5)),
    ],
)
def test_endpoints_in_brackets(text: str, endpoint: tuple[str, int]) -> None:
    """wg(8) takes any host in them."""
    conf = with_lines(peer=f"Endpoint = {text}")
    assert (endpoint, []) == (conf.peers[0].endpoint, warnings(conf))


def test_allowed_ips_are_added_and_removed() -> None:
    """Newer wg(8): `+` adds, as ever, and `-` takes away what stands before it."""
    conf = with_lines(peer="AllowedIPs = +10.0.0.0/8, +::/0\nAllowedIPs = -::/0, -192.0.2.0/24")
    assert ["0.0.0.0/0", "10.0.0.0/8"] == conf.peers[0].allowed_ips


@pytest.mark.parametrize(
    ("text", "seconds"), [("off", None), ("OFF", None), ("0", None), ("25", 25)]
)
def test_persistent_keepalive(text: str, seconds: int | None) -> None:
    """Seconds, or off: zero is off, too."""
    conf = with_lines(peer=f"PersistentKeepalive = {text}")
    assert seconds == conf.peers[0].persistent_keepalive


@pytest.mark.parametrize(("text", "mark"), [("off", 0), ("0xCA6C", 0xCA6C), ("51820", 51820)])
def test_fwmark(text: str, mark: int) -> None:
    """A number, decimal or hexadecimal, or off."""
    assert mark == with_lines(interface=f"FwMark = {text}").fwmark


def test_keys_that_are_ignored_say_so() -> None:
    """Invariant 9: the socket is the host's, and the settings alone decide over that."""
    conf = with_lines(interface="ListenPort = 51820\nFwMark = off\nTable = off\nSaveConfig = true")
    assert [
        "4: ListenPort is ignored. Write listen-port in the settings if it matters.",
        "5: FwMark is ignored. Write fwmark in the settings if it matters.",
        "6: Table is ignored. The tunnel has routes of its own, which are the AllowedIPs.",
        "7: SaveConfig is ignored. The file is never written to.",
    ] == warnings(conf)
    assert 51820 == conf.listen_port


def test_what_the_settings_repeat_is_no_warning() -> None:
    """A key that the settings decide themselves needs no word."""
    text = f"{INTERFACE}ListenPort = 1\nFwMark = 1\n{PEER}"
    assert [] == parse(text, "vpn.conf", repeated=("ListenPort", "FwMark")).warnings


def test_allowed_ips_are_warned_about() -> None:
    """Host bits, a network of two peers, and a peer that gets nothing are odd but not wrong."""
    conf = parse(
        f"{INTERFACE}{PEER}[Peer]\nPublicKey = {OTHER_KEY}\nAllowedIPs = 10.1.2.3/8, 0.0.0.0/0\n"
        f"[Peer]\nPublicKey = {KEY}\nAllowedIPs = fc00::/7, -fc00::/7",
        "vpn.conf",
    )
    assert [
        "9: AllowedIPs '10.1.2.3/8' has host bits set and is read as 10.0.0.0/8.",
        "7: AllowedIPs '0.0.0.0/0' is also of the [Peer] on line 4. The last one gets it.",
        "10: [Peer] has no AllowedIPs, so nothing is ever sent to it.",
    ] == warnings(conf)


@pytest.mark.parametrize("hook", ["PreUp", "PostUp", "PreDown", "PostDown"])
def test_commands_are_refused(hook: str) -> None:
    """Invariant 9: named with their line, never quoted, in any case and with any spaces."""
    expected = (
        f"vpn.conf:4: {hook} is refused, for a command of a .conf is never run. "
        "Remove the line: wgconfine itself is the kill switch."
    )
    for line in (f"{hook} = iptables -I OUTPUT", f"{hook.upper()}=", f"{hook[:3]} {hook[3:]} = x"):
        assert expected == in_interface(line)


@pytest.mark.parametrize("key", ["Jc", "Jmin", "S1", "H4", "I5", "AdvancedSecurity"])
def test_amneziawg_is_named(key: str) -> None:
    """Its keys are no spelling mistakes: the file is for another protocol."""
    expected = (
        f"{key} belongs to AmneziaWG, which WireGuard cannot talk to. "
        "Get a configuration for plain WireGuard."
    )
    assert f"vpn.conf:4: {expected}" == in_interface(f"{key} = 1")
    assert f"vpn.conf:7: {expected}" == in_peer(f"{key} =")


def test_an_unknown_key_is_an_error() -> None:
    """Its name is said, its value is not."""
    assert "vpn.conf:4: the key Adress is unknown." == in_interface(f"Adress = {KEY}")


@pytest.mark.parametrize(
    "line",
    [
        KEY,
        KEY[20:],
        f"{KEY} = x",
        f"PrivateKey {KEY}",
        "; comment",
        "= 1",
        "1a = 2",
        "a-b = 1",
        "Ädress = 1",
        "Po\u017ftUp = x",
        "Private\u212aey = x",
        "\xa0MTU = 1400",
    ],
)
def test_a_line_that_cannot_be_read_is_a_number(line: str) -> None:
    """It may be half of a key: nothing of it is said but where it is."""
    assert "vpn.conf:4: the line is neither a heading nor KEY = VALUE." == in_interface(line)


@pytest.mark.parametrize(
    "heading", ["[Peers]", "[Interface", "[]", "[Interface] x", "[Interface]="]
)
def test_other_headings(heading: str) -> None:
    """A heading that is none hides no key: what stands below is not reported once more."""
    expected = "vpn.conf:7: the heading is neither [Interface] nor [Peer]."
    assert expected == in_peer(f"{heading}\nMTU = 1\nNonsense = 1")


def test_commands_below_an_unknown_heading_are_refused() -> None:
    """No heading makes a command harmless."""
    assert "vpn.conf:8: PostUp is refused" in in_peer("[Peers]\nPostUp = x")


@pytest.mark.parametrize(
    ("text", "line"),
    [("\0", 1), (f"{INTERFACE}# \0 MTU = 1400\n# \0", 4), ("\n" + "\0".join(INTERFACE), 2)],
)
def test_a_nul_byte(text: str, line: int) -> None:
    """C programs would see another line than we do; UTF-16 without its mark is full of them."""
    assert f"vpn.conf:{line}: the line holds a NUL byte. Save the file as UTF-8." == problems(text)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("PublicKey = x", "PublicKey stands below [Interface]. Put it below [Peer]"),
        (f"PresharedKey = {KEY}", "PresharedKey stands below [Interface]. Put it below [Peer]"),
        ("AllowedIPs", "AllowedIPs stands below [Interface]. Put it below [Peer]"),
        ("[Peer]\nMTU = 1400", "MTU stands below [Peer]. Put it below [Interface]"),
        (f"[Peer]\nPrivateKey={KEY}", "PrivateKey stands below [Peer]. Put it below [Interface]"),
        ("[Peer]\nAddress = x", "Address stands below [Peer]. Put it below [Interface]"),
    ],
)
def test_keys_in_a_wrong_section(line: str, problem: str) -> None:
    """Where they belong is said, and nothing of their values."""
    at = 4 + line.count("\n")
    ours = [each for each in in_interface(line).split("\n") if "stands" in each]
    assert [f"vpn.conf:{at}: {problem}."] == ours


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[Peer]", "[Peer] has no PublicKey"),
        ("[Peer]\nAllowedIPs = ::/0", "[Peer] has no PublicKey"),
        (f"[Peer]\nPublicKey = {PEER_KEY}", "[Peer] has the PublicKey of the one on line 4"),
    ],
)
def test_wrong_peers(line: str, problem: str) -> None:
    """The heading is where it is told."""
    assert f"vpn.conf:7: {problem}." == in_peer(line)


@pytest.mark.parametrize("key", ["Address", "DNS", "MTU", "ListenPort", "FwMark"])
def test_a_key_in_a_wrong_place_is_hidden(key: str) -> None:
    """A private key after another name is not quoted, whole or in pieces."""
    said = in_interface(f"{key} = {KEY[:20]}=, {KEY[20:]} ;{KEY[1:]}")
    assert f"vpn.conf:4: {key} (hidden) is " in said
    assert KEY[:20] not in said
    assert KEY[20:] not in said


def test_keys_before_any_section() -> None:
    """They belong to none, and the section's own are missing."""
    assert (
        "vpn.conf:1: Address stands before any section. Put it below [Interface].\n"
        "vpn.conf:2: the key Foo is unknown."
    ) == problems("Address = 10.0.0.1\nFoo = 1\n" + INTERFACE + PEER)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing"])
def test_an_empty_file(text: str) -> None:
    """Both sections are missing."""
    assert (
        "vpn.conf: there is no [Interface].\n"
        "vpn.conf: there is no [Peer], so nothing can be reached."
    ) == problems(text)


def test_a_file_of_something_else() -> None:
    """Is called that, and not each of its lines; one known key, or a heading, and it is read."""
    expected = (
        "vpn.conf: there is neither [Interface] nor [Peer]: it is no configuration of WireGuard. "
        "Name the file for WireGuard that your provider gave you."
    )
    text = "root:x:0:0:root:/root:/bin/bash\nremote = vpn.example.net\n\nclient\n"
    assert expected == problems(text)
    for line in ("[Interface]", "[OpenVPN]", "MTU = 1400", "PostUp = x"):
        assert "vpn.conf:1: the line is neither" in problems(f"{text}{line}\n")


def test_an_empty_interface() -> None:
    """What every tunnel needs is asked for at its heading; an empty address is none."""
    expected = "vpn.conf:4: [Interface] has no PrivateKey.\nvpn.conf:4: [Interface] has no Address."
    assert expected == problems(PEER + "[Interface]\n")
    assert expected == problems(PEER + "[Interface]\nAddress =\nAddress = , ,")


def test_the_private_key_may_come_from_elsewhere() -> None:
    """Where the caller has it, the file need not."""
    conf = parse(f"[Interface]\nAddress=10.0.0.1\n{PEER}", "vpn.conf", need_private_key=False)
    assert conf.private_key is None


def test_ipv6_needs_an_mtu() -> None:
    """The kernel takes IPv6 off a link below 1280 bytes."""
    expected = "vpn.conf:4: MTU '1279' is less than 1280, which IPv6 needs."
    assert expected == in_interface("MTU = 1279\nAddress = fc00::1")
    assert 1279 == with_lines(interface="MTU = 1279").mtu


def test_every_problem_is_told_at_once() -> None:
    """In the order of the lines, whatever the order in which they were found."""
    assert (
        "vpn.conf:1: [Interface] has no PrivateKey.\n"
        "vpn.conf:2: Address 'x' is not an IP address with a prefix length.\n"
        "vpn.conf:2: Address 'y' is not an IP address with a prefix length.\n"
        "vpn.conf:3: [Peer] has no PublicKey.\n"
        "vpn.conf:4: Endpoint 'z' has no port."
    ) == problems("[Interface]\nAddress = x, y\n[Peer]\nEndpoint = z\n")


@pytest.mark.parametrize(
    ("data", "line"),
    [(b"\xff\xfe[\0", 1), (b"# a\n# \xe4\n", 2), (b"\xef\xbb\xbf\n\n\xed\xa0\x80", 3)],
)
def test_other_encodings(data: bytes, line: int) -> None:
    """Bytes that are not UTF-8 are named by their line; the error does not hold the file."""
    with pytest.raises(ConfError) as caught:
        decode(data, "vpn.conf")
    expected = f"vpn.conf:{line}: the file is not UTF-8 text here. Save the file as UTF-8."
    assert expected == str(caught.value)
    assert caught.value.__context__ is None


def test_a_huge_file() -> None:
    """Over 1 MiB is no configuration, whether of bytes or of text."""
    expected = "vpn.conf: the file is over 1 MiB long, which no configuration is."
    with pytest.raises(ConfError) as caught:
        decode(b"#" * (MAX_BYTES + 1), "vpn.conf")
    assert expected == str(caught.value)
    assert expected == problems("#" * (MAX_BYTES + 1))


def test_no_repr_shows_a_key() -> None:
    """What a traceback or a log might print."""
    conf = with_lines(peer=f"PresharedKey = {OTHER_KEY}")
    assert (
        "Conf(addresses=['10.66.0.2/32'], peers=[ConfPeer(line=5, keys=(hidden))], "
        "private_key=(hidden))"
    ) == repr(conf)


def test_problems_are_values() -> None:
    """Two are equal if they say the same of the same line."""
    problem = ConfProblem(3, "it is wrong", "Mend it")
    assert ConfProblem(3, "it is wrong", "Mend it") == problem
    assert problem not in {ConfProblem(4, "it is wrong", "Mend it"), "it is wrong"}
    assert "ConfProblem(3, 'it is wrong', 'Mend it')" == repr(problem)


def test_the_runtime_pays_for_no_other_module() -> None:
    """Importing the parser brings in nothing but modules of config/ that import nothing."""
    import subprocess

    program = (
        "import sys; before = set(sys.modules); import wgconfine.config.wgquick; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program],
        check=True,
        capture_output=True,
        text=True,
    )
    assert (
        "__future__ wgconfine wgconfine.config wgconfine.config.conf wgconfine.config.entries "
        "wgconfine.config.escape wgconfine.config.literal wgconfine.config.wgquick"
    ) == done.stdout.strip()
