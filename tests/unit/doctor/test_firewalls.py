"""ufw, firewalld and rules by hand: what they do with a published port, and what lets it in."""

import json
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.config.settings import parse_settings
from wgconfine.doctor import firewalld, ufw
from wgconfine.doctor.firewall import Chain, FirewallFacts, chains_of, judge_firewall, links_of
from wgconfine.doctor.firewalld import Firewalld, RichRule, Zone, look_at_firewalld, parse_zones
from wgconfine.doctor.ufw import Ufw, UfwRule, look_at_ufw, parse_rules
from wgconfine.doctor.ways import Way, covers_port, network_of, ways_of, within
from wgconfine.model.doctor import Finding, Grade
from wgconfine.model.ports import SocketAddress
from wgconfine.system.inside import Answer

HOST, LAN = "198.51.100.2", "198.51.100.0/24"
ANY = "0.0.0.0"  # noqa: S104 — nothing listens


def way(client: str = LAN, listen: str = HOST, port: int = 8084) -> Way:
    return Way(
        tunnel="vpn",
        listen=SocketAddress(address=ip_address(listen), port=port),
        client=ip_network(client),
    )


def test_the_ways_of_settings() -> None:
    """Each client of each address that is not loopback, of tunnels that are on."""
    text = f"""
config = "/etc/wireguard/vpn.conf"
publish = [
  "9091",
  {{ listen = "{HOST}:8084", to = 80, from = ["{LAN}", "10.0.0.0/8"] }},
  {{ listen = "[2001:db8::1]:8084", to = 80, from = ["2001:db8::/64"] }},
  {{ listen = "unix:/run/x.sock", to = 80 }},
]
"""
    settings = parse_settings("vpn", [(PurePosixPath("/etc/wgconfine/vpn.toml"), text)])
    expected = [
        way(),
        way("10.0.0.0/8"),
        way("2001:db8::/64", "2001:db8::1"),
    ]
    assert expected == [*ways_of([settings])]
    assert [] == [*ways_of([replace(settings, enable=False)])]


def test_a_way_in_words() -> None:
    """And an address of no one link is any."""
    assert f"what {LAN} sends to {HOST}:8084" == str(way())
    assert ("", "0.0.0.0/0") == (way(listen=ANY).address, str(way(listen=ANY).target))


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("8084", True),
        ("80,8084", True),
        ("8000:9000", True),
        ("8000-9000", True),
        ("any", True),
        ("80", False),
        ("", False),
        ("http", False),
        ("8085:", False),
    ],
)
def test_ports(text: str, *, covered: bool) -> None:
    """Single ones, lists, ranges of either spelling."""
    assert covered == covers_port(text, 8084)


def test_networks() -> None:
    """Of one family alone; what is no network is in none."""
    assert within(ip_network("10.1.0.0/16"), network_of("10.0.0.1/8"))
    assert not within(ip_network("10.1.0.0/16"), network_of("::/0"))
    assert not within(ip_network("10.1.0.0/16"), network_of("ipset:bad"))


RULES = """\
### tuple ### deny udp 8084 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### deny tcp 8084 0.0.0.0/0 any 0.0.0.0/0 out
### tuple ### route:allow any any 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### limit tcp 22 0.0.0.0/0 any 0.0.0.0/0 in comment=736573
### tuple ### allow_log tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 WWW%20Full - in
### tuple ### deny any 99 0.0.0.0/0 any 198.51.100.0/28 in_eth0
### tuple ### strange
-A ufw-user-input -p tcp --dport 22 -j ufw-user-limit
"""


def test_rules_of_ufw() -> None:
    """As it keeps them; only what comes in by TCP counts."""
    anyone = {"target": "0.0.0.0/0", "source": "0.0.0.0/0"}
    expected = [
        UfwRule(allows=True, ports="22", **anyone),
        UfwRule(allows=True, ports="80,443", **anyone),
        UfwRule(
            allows=False, ports="99", target="0.0.0.0/0", source="198.51.100.0/28", link="eth0"
        ),
    ]
    assert expected == [*parse_rules(RULES)]


def write_ufw(root: Path, *, enabled: str = "yes", policy: str = "DROP", rules: str = "") -> None:
    (root / "etc/ufw").mkdir(parents=True)
    (root / "etc/default").mkdir()
    (root / "etc/ufw/ufw.conf").write_text(f"# ENABLED=no\nENABLED={enabled}\n")
    (root / "etc/default/ufw").write_text(f'DEFAULT_INPUT_POLICY="{policy}"\n')
    (root / "etc/ufw/user.rules").write_text(rules)


def test_ufw_by_its_files(tmp_path: Path) -> None:
    """Whether it is on, and what becomes of the rest."""
    assert Ufw() == look_at_ufw(tmp_path)
    write_ufw(tmp_path, rules=RULES, policy="ACCEPT")
    found = look_at_ufw(tmp_path)
    assert (True, True, 3) == (found.enabled, found.allows, len(found.rules or ()))


def test_ufw_that_is_off(tmp_path: Path) -> None:
    """Installed is not on."""
    write_ufw(tmp_path, enabled="no")
    assert Ufw() == look_at_ufw(tmp_path)


def test_rules_of_ufw_that_may_not_be_read(tmp_path: Path) -> None:
    """They are root's."""
    write_ufw(tmp_path)
    (tmp_path / "etc/ufw/user.rules").unlink()
    assert Ufw(enabled=True, rules=None) == look_at_ufw(tmp_path)


@pytest.mark.parametrize(
    ("rules", "client", "drops", "verb"),
    [
        ("", LAN, True, "allow"),
        (f"### tuple ### allow tcp 8084 0.0.0.0/0 any {LAN} in", LAN, False, "prepend allow"),
        (f"### tuple ### allow any any {HOST} any 0.0.0.0/0 in", LAN, False, "prepend allow"),
        ("### tuple ### allow tcp 8084 198.51.100.9 any 0.0.0.0/0 in", LAN, True, "allow"),
        ("### tuple ### allow tcp 8084 0.0.0.0/0 any 198.51.100.9 in", LAN, True, "allow"),
        ("### tuple ### deny tcp 8084 0.0.0.0/0 any 0.0.0.0/0 in", LAN, True, "prepend allow"),
        ("### tuple ### deny tcp 8084 0.0.0.0/0 any 0.0.0.0/0 in_wlan0", LAN, True, "allow"),
        ("### tuple ### allow any 8084 0.0.0.0/0 any 0.0.0.0/0 in_eth0", LAN, False, "prepend"),
        ("### tuple ### allow any 8084 ::/0 any ::/0 in", LAN, True, "allow"),
    ],
)
def test_what_ufw_does(rules: str, client: str, *, drops: bool, verb: str) -> None:
    """The first rule that is for all of it decides; the command goes before one that denies."""
    seen = Ufw(enabled=True, rules=tuple(parse_rules(rules)))
    assert drops == ufw.drops(seen, way(client))
    command = f"proto tcp from {client} to {HOST} port 8084"
    assert ufw.command_for(seen, way(client)).startswith(f"ufw {verb}")
    assert ufw.command_for(seen, way(client)).endswith(command)


def test_what_ufw_lets_in_by_default() -> None:
    """Then only a rule drops; and an address of no one link is `any`."""
    assert not ufw.drops(Ufw(enabled=True, allows=True), way())
    command = ufw.command_for(Ufw(enabled=True), way(listen=ANY))
    assert f"ufw allow proto tcp from {LAN} to any port 8084" == command


ZONES = """\
drop
  target: DROP
  interfaces: 
  sources: 203.0.113.0/24 ipset:bad
  services: 
  ports: 
  rich rules: 

public (default, active)
  target: default
  icmp-block-inversion: no
  interfaces: eth0
  sources: 
  services: http ssh
  ports: 9000-9100/tcp 51413/udp
  forward-ports: 
\tport=80:proto=tcp:toport=8080:toaddr=
  rich rules: 
\trule family="ipv4" source address="10.0.0.0/8" port port="8084" protocol="tcp" accept
\trule family="ipv4" source address="192.0.2.0/24" reject
\trule family="ipv4" source NOT address="192.0.2.0/24" accept
\trule protocol value="igmp" accept
\trule source ipset="bad" drop
\trule it's
\trule service name="dns" log prefix="it" accept
\trule family="ipv4" port port="53" protocol="udp" accept

trusted
  target: ACCEPT
  interfaces: lan0
  sources: 
  services: 
  ports: 
  rich rules: 
"""  # noqa: W291 — as firewall-cmd(1) prints it
SERVICE = (
    '<service>\n <port protocol="tcp" port="80"/>\n <port port="81" protocol="udp"/>\n</service>'
)


def answers(*, status: int = 0, zones: str = ZONES, complaint: str = "") -> dict[str, Answer]:
    return {
        "firewalld": Answer(status=status, output="public\n", complaint=complaint),
        "zones": Answer(status=status, output=zones, complaint=complaint),
    }


def test_zones_of_firewalld() -> None:
    """Their targets, links, sources, what they let in, and rich rules that can be understood."""
    drop, public, trusted = parse_zones(ZONES)
    assert Zone(name="drop", target="DROP", sources=("203.0.113.0/24", "ipset:bad")) == drop
    assert Zone(name="trusted", target="ACCEPT", links=("lan0",)) == trusted
    assert ("public", ("eth0",), ("http", "ssh")) == (public.name, public.links, public.services)
    assert ("9000-9100",) == public.ports
    expected = (
        RichRule(accepts=True, source="10.0.0.0/8", port="8084"),
        RichRule(accepts=False, source="192.0.2.0/24"),
    )
    assert expected == tuple(each for each in public.rules if not each.service)


def test_services_of_firewalld(tmp_path: Path) -> None:
    """By their files; what /etc has goes before what is shipped."""
    for place, port in (("usr/lib", "80"), ("etc", "8084")):
        folder = tmp_path / place / "firewalld/services"
        folder.mkdir(parents=True)
        (folder / "http.xml").write_text(SERVICE.replace('"80"', f'"{port}"'))
    found = look_at_firewalld(tmp_path, answers())
    assert (True, "public") == (found.running, found.default)
    assert {"http": ("8084",), "ssh": (), "dns": ()} == found.services


def test_firewalld_that_does_not_answer() -> None:
    """It is off, or it says to root alone what it does."""
    assert Firewalld() == look_at_firewalld(Path("/nowhere"), {})
    off = answers(status=252, complaint="FirewallD is not running")
    assert Firewalld() == look_at_firewalld(Path("/nowhere"), off)
    denied = answers(status=253, complaint="Authorization failed.")
    assert Firewalld(running=None) == look_at_firewalld(Path("/nowhere"), denied)


SEEN = Firewalld(
    running=True,
    default="public",
    zones=tuple(parse_zones(ZONES)),
    services={"http": ("80",), "ssh": ("22",), "dns": ("53",)},
)


@pytest.mark.parametrize(
    ("client", "port", "link", "drops", "zone"),
    [
        (LAN, 8084, "eth0", True, "public"),
        (LAN, 8084, "", True, "public"),
        (LAN, 8084, "lan0", False, "trusted"),
        (LAN, 9050, "eth0", False, "public"),
        (LAN, 80, "eth0", False, "public"),
        (LAN, 53, "eth0", False, "public"),
        ("10.1.0.0/16", 8084, "eth0", False, "public"),
        ("192.0.2.0/28", 9050, "eth0", True, "public"),
        ("203.0.113.0/28", 9050, "eth0", True, "drop"),
    ],
)
def test_what_firewalld_does(client: str, port: int, link: str, *, drops: bool, zone: str) -> None:
    """By the zone of the source, of the link, or the default one."""
    found = firewalld.zone_of(SEEN, way(client, port=port), link)
    assert zone == (found.name if found else "")
    assert drops == firewalld.drops(SEEN, way(client, port=port), link)


def test_the_command_for_firewalld() -> None:
    """Now and after a restart, for these clients alone; none where a rule of theirs forbids it."""
    rule = (
        f'rule family="ipv4" source address="{LAN}" destination address="{HOST}" '
        'port port="8084" protocol="tcp" accept'
    )
    expected = (
        f"firewall-cmd --zone=public --add-rich-rule='{rule}' && "
        f"firewall-cmd --permanent --zone=public --add-rich-rule='{rule}'"
    )
    assert expected == firewalld.command_for(SEEN, way(), "eth0")
    anywhere = firewalld.command_for(SEEN, way("2001:db8::/64", "::"), "eth0")
    assert 'family="ipv6"' in anywhere
    assert "destination" not in anywhere
    assert "" == firewalld.command_for(SEEN, way("192.0.2.0/28"), "eth0")
    assert not firewalld.drops(Firewalld(running=True), way(), "")


def chain(**more: object) -> dict[str, object]:
    return {"chain": {"family": "inet", "table": "own", "name": "in", **more}}


def test_chains_that_drop() -> None:
    """Base chains of `input` that drop by default, but those of ufw, firewalld and ours."""
    ufw_table = {"family": "ip", "table": "filter"}
    listed = [
        {"metainfo": {"version": "1.1.3"}},
        chain(hook="input", policy="drop"),
        chain(name="out", hook="output", policy="drop"),
        chain(name="more", hook="input", policy="accept"),
        chain(name="plain"),
        chain(table="firewalld", hook="input", policy="drop"),
        chain(table="wgconfine-vpn", hook="input", policy="drop"),
        chain(**ufw_table, name="ufw-before-input"),
        chain(**ufw_table, name="INPUT", hook="input", policy="drop"),
    ]
    said = Answer(status=0, output=json.dumps({"nftables": listed}), complaint="")
    assert (Chain(family="inet", table="own", name="in"),) == chains_of(said)
    for bad in ("", "[]", '{"nftables": [1]}'):
        assert chains_of(Answer(status=0, output=bad, complaint="")) is None
    assert chains_of(Answer(status=1, output="", complaint="Operation not permitted")) is None


def test_the_links_of_addresses() -> None:
    """As ip(8) tells them."""
    shown = [{"ifname": "eth0", "addr_info": [{"local": HOST}, {"local": "fe80::1"}]}, {}]
    assert {HOST: "eth0", "fe80::1": "eth0"} == links_of(shown)


def test_rules_of_a_firewalld_that_was_killed() -> None:
    """They are a note, with what takes them away."""
    (found, _) = judged(FirewallFacts(left=True))
    assert (Grade.NOTE, "nft delete table inet firewalld") == (found.grade, found.mend)
    assert ["none"] == [each.name for each in judged(FirewallFacts(left=True), ())]


def judged(facts: FirewallFacts, ways: Sequence[Way] = (way(),)) -> list[Finding]:
    return [*judge_firewall(facts, ways)]


def test_no_firewall() -> None:
    """Nothing that could be in the way."""
    (found,) = judged(FirewallFacts())
    assert Grade.OK == found.grade


def test_a_published_port_that_is_dropped() -> None:
    """By each of the two, with the command."""
    facts = FirewallFacts(ufw=Ufw(enabled=True), firewalld=SEEN, links={HOST: "eth0"})
    by_ufw, by_firewalld = judged(facts)
    assert {Grade.BROKEN} == {by_ufw.grade, by_firewalld.grade}
    assert f"port 8084 of vpn: ufw drops what {LAN} sends to {HOST}:8084" == by_ufw.words
    assert by_ufw.mend.startswith("ufw allow ")
    assert by_firewalld.words.endswith("in its zone public")
    assert by_firewalld.mend.startswith("firewall-cmd ")
    (by_rule,) = judged(replace(facts, ufw=Ufw()), [way("192.0.2.0/28")])
    assert ("", True) == (by_rule.mend, by_rule.words.endswith("by a rich rule of yours"))


def test_nothing_is_published_to_others() -> None:
    """A firewall that is on is no hindrance then."""
    facts = FirewallFacts(ufw=Ufw(enabled=True), firewalld=SEEN, chains=None)
    assert [Grade.OK] * 2 == [each.grade for each in judged(facts, ())]


def test_what_could_not_be_seen() -> None:
    """Without root, and only where something is published."""
    facts = FirewallFacts(
        ufw=Ufw(enabled=True, rules=None), firewalld=Firewalld(running=None), chains=None
    )
    assert [Grade.UNKNOWN] * 3 == [each.grade for each in judged(facts)]
    assert [] == judged(facts, ())


def test_rules_by_hand() -> None:
    """A note for each port that a chain may drop, of its family, with the rule for the chain."""
    chains = tuple(Chain(family=family, table="own", name="in") for family in ("inet", "ip", "ip6"))
    found = judged(FirewallFacts(chains=chains))[:-1]
    match = f"ip saddr {LAN} ip daddr {HOST} tcp dport 8084 accept"
    assert [f"nft insert rule {family} own in {match}" for family in ("inet", "ip")] == [
        each.mend for each in found
    ]
    (six, _) = judged(FirewallFacts(chains=chains[:1]), [way("2001:db8::/64", "::")])
    assert six.mend.endswith("ip6 saddr 2001:db8::/64 tcp dport 8084 accept")
