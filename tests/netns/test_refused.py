"""What `up` and `reload` refuse, without changing a thing; and that no secret is ever said."""

import re

import pytest

from tests.netns.machine import KEY, LINK, PEER, SECRETS, SHARED_KEY, Machine

pytestmark = pytest.mark.netns

VERBS = pytest.mark.parametrize("verb", ["up", "reload"])
CONF_PATH = "/etc/wireguard/vpn.conf"


def refusal(machine: Machine, verb: str) -> str:
    """What a verb says that fails and changes nothing."""
    before = machine.state()
    done = machine.runtime(verb)
    assert done.status == 1
    assert before == machine.state()
    return done.said


def was_up(machine: Machine) -> None:
    """A reload of a tunnel that is not up would do nothing at all."""
    place = "/run/wgconfine/tunnel/vpn"
    machine.sh(f"mkdir -p {place}; echo digest >{place}/in-force")


@VERBS
def test_no_namespace(machine: Machine, verb: str) -> None:
    """The unit that makes it is named."""
    machine.configure()
    machine.start_wireguard()
    was_up(machine)

    assert "no namespace is there. Start wgconfine-netns@vpn.service." in refusal(machine, verb)


@VERBS
def test_another_namespace_under_the_name(closed: Machine, verb: str) -> None:
    """Services would join that one: the tunnel does not come up beside it."""
    closed.sh("umount -l /run/netns/vpn; rm /run/netns/vpn; ip netns add vpn")
    was_up(closed)

    assert "/run/netns/vpn: another namespace has taken the name." in refusal(closed, verb)


@VERBS
def test_a_record_that_leads_to_the_hosts_namespace(closed: Machine, verb: str) -> None:
    """Routes and rules of a tunnel must never be set there."""
    was_up(closed)
    closed.sh("""
        for name in /run/netns/vpn /run/wgconfine/netns/vpn; do
            umount -l $name
            mount --bind /proc/1/ns/net $name
        done
    """)
    rules = closed.sh("nft list ruleset")
    done = closed.runtime(verb)

    assert done.status == 1
    assert "this is the host's namespace. Refused." in done.said
    assert rules == closed.sh("nft list ruleset")
    assert closed.sh("ip -br address show dev lo") != ""


@VERBS
def test_every_problem_of_the_conf(tunnel: Machine, verb: str) -> None:
    """With the line of each, and the live tunnel runs on as it was."""
    tunnel.configure(
        conf=f"""\
[Interface]
PrivateKey = {KEY[:-2]}
Address = {KEY}
PostUp = iptables -A OUTPUT -j MARK --set-mark {KEY}
{SHARED_KEY}
Jc = 4
[Peer]
PublicKey = {PEER}
PresharedKey = {SHARED_KEY}x
AllowedIPs = {SHARED_KEY}
Endpoint = nonsense
"""
    )

    said = refusal(tunnel, verb)

    assert [2, 3, 4, 5, 6, 9, 10, 11] == [
        int(line) for line in re.findall(rf"^{CONF_PATH}:(\d+):", said, re.MULTILINE)
    ]
    assert "PostUp" in said


@VERBS
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (f"chmod 640 {CONF_PATH}", "holds a secret and others than root may read it"),
        (f"chmod 602 {CONF_PATH}", "others than root may write there"),
        (f"chown 65534 {CONF_PATH}", "belongs to user 65534, not to root"),
        ("chmod 777 /etc/wireguard", "/etc/wireguard: others than root may write there"),
        (f"rm {CONF_PATH}", "No such file or directory"),
        (
            f"mv {CONF_PATH} /run/x; ln -s /run/x {CONF_PATH}; chown -h 65534 {CONF_PATH}",
            "is a symbolic link of user 65534, not of root",
        ),
        ("chown 65534 /etc/wgconfine/vpn.json", "vpn.json: belongs to user 65534, not to root"),
        ("chmod 666 /etc/wgconfine/vpn.json", "vpn.json: others than root may write there"),
        ("echo '{' >/etc/wgconfine/vpn.json", "vpn.json: is damaged. Run wgconfine apply."),
        (": >/etc/wgconfine/vpn.json", "vpn.json: is damaged. Run wgconfine apply."),
        ("echo '[1]' >/etc/wgconfine/vpn.json", "vpn.json: is damaged. Run wgconfine apply."),
        ("echo '{\"schema\": 1}' >/etc/wgconfine/vpn.json", "vpn.json: is damaged."),
        ("echo '{\"schema\": 2}' >/etc/wgconfine/vpn.json", "was written by another version."),
        ("rm /etc/wgconfine/vpn.json", "vpn.json: No such file or directory"),
    ],
    ids=lambda each: "" if each.endswith("root") else each.partition(" ")[0],
)
def test_files_that_cannot_be_trusted(tunnel: Machine, verb: str, change: str, words: str) -> None:
    """Invariant 8; the live tunnel runs on as it was."""
    tunnel.sh(change)

    assert words in refusal(tunnel, verb)


def test_a_foreign_link_in_the_way(closed: Machine) -> None:
    """It is not deleted, and the command that would is said."""
    closed.sh("ip link add wg0 type veth peer name other", inside="vpn")

    done = closed.runtime("up")

    assert done.status == 1
    assert "a link of kind veth is in the way in the namespace of tunnel vpn." in done.said
    assert "ip -n vpn link del wg0" in done.said
    assert "other@wg0" in closed.sh("ip -br link", inside="vpn")


def test_a_stop_leaves_a_foreign_link(closed: Machine) -> None:
    """What a run did not make it does not tear down; without it the tunnel is closed, too."""
    closed.sh("ip link add wg0 type veth peer name other", inside="vpn")

    assert "wg0: a link of kind veth has taken the name; it stays" in closed.succeed("down")
    assert "other@wg0" in closed.sh("ip -br link", inside="vpn")


@VERBS
def test_a_foreign_link_under_the_name_that_ours_has_in_the_host(
    machine: Machine, verb: str
) -> None:
    """It is not moved into the tunnel's namespace, and nothing is changed."""
    machine.configure()
    machine.succeed("netns-up")
    machine.sh(f"ip link add {LINK} type veth peer name other")
    was_up(machine)

    assert f"{LINK}: a link of another kind is in the way." in refusal(machine, verb)
    assert f"other@{LINK}" in machine.sh("ip -br link")


def test_no_link_to_move(machine: Machine) -> None:
    """wireguard-go does not run, and its link is waited for in vain."""
    machine.configure()
    machine.succeed("netns-up")

    done = machine.runtime("up")

    assert done.status == 1
    assert f"{LINK}: wireguard-go made no link in 10 s." in done.said
    assert "lo" == machine.state()["up"]


def test_no_program_is_told_a_secret(closed: Machine) -> None:
    """Invariant 8: neither in its arguments nor in its environment, by any verb."""
    closed.listen_to_programs()
    for verb in ("up", "reload", "up", "down"):
        closed.succeed(verb)
    told = closed.told()

    assert [f"/usr/sbin/{name}" for name in ("ip", "nft", "wg")] == sorted(
        {line.split()[0] for line in told.splitlines() if line.startswith("/usr/sbin/")}
    )
    assert "LC_ALL=C" in told
    assert [] == [secret for secret in SECRETS if secret in told]


@pytest.mark.parametrize("program", ["wg", "ip", "nft"])
def test_a_program_that_fails_says_no_secret(closed: Machine, program: str) -> None:
    """Even one that repeats what it was given on standard input must not reach the journal."""
    closed.listen_to_programs()
    closed.write(f"/run/lab/real/{program}", "#!/bin/sh\ncat >&2\nexit 7\n", mode=0o755)

    done = closed.runtime("up")

    assert done.status == 1
    assert "exit 7" in done.said or "ip link set dev" in done.said


def test_nothing_that_is_left_behind_holds_a_secret(tunnel: Machine) -> None:
    """Below /run/wgconfine there is no trace of a key: the .conf and the link itself have it."""
    for secret in SECRETS:
        assert "" == tunnel.sh(
            f"grep -rlF {secret} /run/wgconfine/tunnel /run/wgconfine/run || true"
        )
        assert "" == tunnel.sh(f"grep -rlF {secret} /etc/wgconfine || true")
