"""Apply, release and remove on a running machine: what is stopped, written, and said."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import first
from tests.scenario import (
    HOST,
    PROBE,
    TUNNEL,
    confine,
    refused,
    seen_by_web,
    wgconfine,
    write_service,
    write_tunnel,
)
from tests.watching import tick_by_hand

pytestmark = pytest.mark.container


@pytest.fixture(params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine of its own for each test."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        yield world


@pytest.fixture(scope="module", params=first("trixie"))
def shared(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """One machine for all tests in which nothing is applied."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        yield world


def test_a_running_service_is_stopped_first_and_starts_again_only_inside(world: World) -> None:
    """From the moment `apply` is done, a service that ran in the open is seen inside alone."""
    machine = world.machine
    write_service(world, "probe.service", PROBE)
    machine.systemctl("start", "probe.service")
    machine.wait_for(lambda: bool(seen_by_web(world, "probe.service")), "it runs in the open")
    confine(world, "probe.service")
    with world.capture_uplink() as uplink:
        assert machine.is_active("probe.service")
        assert "probe.service: confined" == refused(world, "probe.service")
        machine.run("sleep", "2")
        machine.wait_for(
            lambda: set(TUNNEL.values()) <= seen_by_web(world, "probe.service"), "it is seen inside"
        )
    assert () == uplink.traffic.foreign()


def test_plan_says_what_apply_does_and_nothing_is_left_to_do_after_it(world: World) -> None:
    """`plan` is 5 with changes and 0 without; `apply` twice is once; a reload changes no PID."""
    tick_by_hand(world)
    write_service(world, "probe.service", PROBE)
    write_tunnel(world, ["probe.service"])
    planned = wgconfine(world, "plan", check=False)
    assert 5 == planned.returncode
    applied = wgconfine(world, "apply", "-v")
    assert planned.stdout.splitlines() == [
        line.removeprefix("[#] ") for line in applied.stderr.splitlines()
    ]
    assert 0 == wgconfine(world, "plan").returncode
    again = wgconfine(world, "apply")
    assert "Nothing to do: the machine is as the settings say.\n" == again.stdout
    assert "" == again.stderr


def test_units_of_ours_are_clean(world: World) -> None:
    """systemd-analyze verify prints nothing on any unit of ours nor on the confined service."""
    write_service(world, "probe.service", PROBE)
    confine(world, "probe.service")
    said = world.machine.sh("""
        cd /etc/systemd/system
        systemd-analyze verify $(ls -d wgconfine* | grep -v '[.]d$') probe.service 2>&1
        systemd-analyze verify wgconfine@vpn.service wgconfine-wireguard@vpn.service 2>&1
    """)
    assert "" == said


def test_release_is_a_word_and_lasts(world: World) -> None:
    """A released service runs in the open, its line is gone, and the next apply leaves it free."""
    machine = world.machine
    write_service(world, "probe.service", PROBE)
    confine(world, "probe.service")
    machine.systemctl("start", "probe.service")
    unsaid = wgconfine(world, "release", "probe.service", check=False)
    assert 2 == unsaid.returncode
    assert machine.is_active("probe.service")

    wgconfine(world, "release", "--yes", "probe.service")
    assert "probe.service" not in machine.read("/etc/wgconfine/vpn.toml")
    machine.wait_for(
        lambda: set(HOST.values()) <= seen_by_web(world, "probe.service"), "it runs in the open"
    )
    assert 0 == wgconfine(world, "plan").returncode


@pytest.mark.parametrize("way", ["remove", "disable", "unlist", "delete", "revert"])
def test_no_other_way_out_of_confinement_is_a_release(world: World, way: str) -> None:
    """The service does not start, loudly, and `status` says how to release it.

    Nor does its ExecStopPost= run, which systemd runs after a start that was refused.
    """
    machine = world.machine
    last_word = "[Service]\nExecStopPost=+/bin/sh -c 'echo x > /root/last-word'\n"
    write_service(world, "probe.service", PROBE)
    write_service(world, "probe.service.d/last-word.conf", last_word)
    confine(world, "probe.service")
    machine.systemctl("start", "probe.service")
    with world.capture_uplink() as uplink:
        take_away(world, way)
        machine.systemctl("stop", "probe.service")
        machine.run("rm", "-f", "/root/last-word")
        started = machine.systemctl("start", "probe.service", check=False)
        machine.run("sleep", "1")
    assert 0 != started.returncode
    assert "failed" == machine.show("probe.service", "ActiveState")
    assert 0 != machine.run("test", "-e", "/root/last-word", check=False).returncode
    assert "wgconfine release probe.service" in machine.journal("probe.service")
    if way != "revert":
        assert "release probe.service" in refused(world, "probe.service")
    assert () == uplink.traffic.foreign()


def take_away(world: World, way: str) -> None:
    """Undo the confinement by something that is not the word for it."""
    machine = world.machine
    if way == "remove":
        wgconfine(world, "remove", "vpn")
    elif way == "revert":
        machine.systemctl("revert", "probe.service")
    else:
        machine.sh(
            {
                "disable": "sed -i '1i enable = false' /etc/wgconfine/vpn.toml",
                "unlist": "sed -i /probe/d /etc/wgconfine/vpn.toml",
                "delete": "rm /etc/wgconfine/vpn.toml",
            }[way]
        )
        wgconfine(world, "apply")


def test_any_wrong_settings_file_keeps_everything_as_it_is(world: World) -> None:
    """With one broken file of two `apply` changes nothing at all and says every problem."""
    write_service(world, "probe.service", PROBE)
    confine(world, "probe.service")
    before = world.machine.sh(
        "find /etc/systemd /usr/local/lib/systemd /etc/wgconfine -type f | sort"
    )
    world.machine.run("sed", "-i", "1i enable = false", "/etc/wgconfine/vpn.toml")
    world.machine.write("/etc/wgconfine/other.toml", 'config = 7\nservics = ["x.service"]\n')
    done = wgconfine(world, "apply", check=False)
    assert 78 == done.returncode
    assert 2 == len(done.stderr.splitlines())
    after = world.machine.sh(
        "find /etc/systemd /usr/local/lib/systemd /etc/wgconfine -type f ! -name other.toml | sort"
    )
    assert before == after
    world.machine.systemctl("start", "probe.service")
    assert "probe.service: confined" == refused(world, "probe.service")


@pytest.mark.parametrize(
    ("unit", "text", "said"),
    [
        ("sock.service", "[Service]\nExecStart=/bin/cat\n", "sock.socket"),
        ("box.service", "[Service]\nExecStart=/usr/bin/docker run x\n", "docker"),
        ("bus.service", "[Service]\nType=dbus\nBusName=a.b\nExecStart=/bin/cat\n", "Type='dbus'"),
        ("joins.service", ("[Unit]\nJoinsNamespaceOf=a.service\n[Service]\nPrivateNetwork=yes\n"
         "ExecStart=/bin/cat\n"), "JoinsNamespaceOf="),
        ("usr1.service", "[Service]\nSuccessExitStatus=USR1\nExecStart=/bin/cat\n", "USR1"),
    ],
)  # fmt: skip
def test_what_cannot_be_confined_is_refused_by_name(
    shared: World, unit: str, text: str, said: str
) -> None:
    """A unit whose work would not stay inside is refused with the reason, and left alone."""
    write_service(shared, "sock.socket", "[Socket]\nListenStream=127.0.0.1:9999\nAccept=no\n")
    write_service(shared, unit, text)
    shared.machine.sh("systemctl start sock.socket || true")
    write_tunnel(shared, [unit])
    done = wgconfine(shared, "apply", check=False)
    assert 78 == done.returncode
    assert unit in done.stderr
    assert said in done.stderr
    assert "" == shared.machine.sh(f"ls -d /etc/systemd/system/{unit}.d 2>/dev/null || true")


def test_a_user_unit_is_refused(shared: World) -> None:
    """User managers ignore namespace settings without a word: their units are refused."""
    shared.machine.write("/etc/systemd/user/mine.service", "[Service]\nExecStart=/bin/cat\n")
    write_tunnel(shared, ["mine.service"])
    done = wgconfine(shared, "apply", check=False)
    assert 78 == done.returncode
    assert "user" in done.stderr


def test_a_drop_in_that_would_win_is_refused(shared: World) -> None:
    """A file that sorts after ours and sets a setting of ours is named, and nothing is changed."""
    write_service(shared, "probe.service", PROBE)
    write_service(
        shared, "probe.service.d/zzz.conf", "[Service]\nNetworkNamespacePath=/run/netns/mine\n"
    )
    write_tunnel(shared, ["probe.service"])
    done = wgconfine(shared, "apply", check=False)
    assert 78 == done.returncode
    assert "zzz.conf" in done.stderr


def test_the_firewall_is_there_before_the_tunnel(world: World) -> None:
    """With the namespace up and no tunnel, DNS is rejected and nothing may leave."""
    write_service(world, "probe.service", PROBE)
    confine(world, "probe.service")
    machine = world.machine
    machine.systemctl("stop", "wgconfine@vpn.service")
    machine.sh("ip link add leak0 type veth peer name leak1 netns vpn; ip -n vpn link set leak1 up")
    machine.sh(
        "ip -n vpn address add 192.0.2.9/24 dev leak1; ip -n vpn route add default dev leak1"
    )
    machine.sh("ip link set leak0 up; ip address add 192.0.2.8/24 dev leak0")
    tried = machine.run(
        "nsenter", "--net=/run/netns/vpn", "ping", "-c1", "-W1", "192.0.2.8", check=False
    )
    assert 0 != tried.returncode
    asked = machine.run(
        "nsenter",
        "--net=/run/netns/vpn",
        "dig",
        "+time=1",
        "+tries=1",
        "@192.0.2.8",
        "a.b",
        check=False,
    )
    assert 0 != asked.returncode
    listed = machine.sh("nsenter --net=/run/netns/vpn nft -j list counters table inet wgconfine")
    counters = [each.get("counter", {}) for each in json.loads(listed)["nftables"]]
    rejected = [each["packets"] for each in counters if each.get("name") == "other-link"]
    assert sum(rejected) >= 2


LEAVES_BEHIND = """\
[Service]
User=games
KillMode=process
ExecStart=/bin/sh -c 'sleep 1000 & exec sleep 1000'
"""
LEFT = r"""
nft list tables
findmnt -rno TARGET | grep -E '^/run/(wgconfine|netns)/' || true
systemctl list-units --all --no-legend --plain 'wgconfine*' | grep -v '[.]slice ' || true
find /etc/systemd /usr/local/lib/systemd /etc/NetworkManager /etc/wgconfine -name '*wgconfine*' \
    ! -path /etc/wgconfine
cd /run/wgconfine
for place in bus health probe switch trouble tunnel verify; do
    [ ! -e $place ] || find $place -ignore_readdir_race -mindepth 1 ! -name '=*'
done
ls /etc/wgconfine
"""
"""What is there of ours; slices alone stay, empty, until the next boot."""


def test_of_a_tunnel_that_is_removed_nothing_is_left(world: World) -> None:
    """No unit, no table in the host, no mount, and nothing that is listed as failed.

    Also where a service leaves processes behind, which would keep the second switch in place.
    """
    machine, verify = world.machine, "wgconfine-verify@vpn.service"
    tick_by_hand(world)
    write_service(world, "left.service", LEAVES_BEHIND)
    confine(world, "left.service")
    machine.systemctl("start", "left.service", verify)
    # Not a table that is gone: that is back in a second.
    machine.sh("nft insert rule inet wgconfine-vpn output accept")
    machine.systemctl("start", verify, check=False)
    machine.systemctl("restart", "wgconfine-switch@vpn.service")
    there = machine.sh(LEFT)
    assert "table inet wgconfine-vpn" in there
    assert f"{verify} loaded failed" in " ".join(there.split())

    wgconfine(world, "remove", "vpn", "--release", "--purge", "--yes")

    wait_until_nothing_is_left(world)
    assert machine.is_active("left.service")


def wait_until_nothing_is_left(world: World) -> None:
    """A look at the host's firewall ends by itself, after seconds of silence."""
    world.machine.wait_for(lambda: world.machine.sh(LEFT) == "", "nothing is left")


def test_a_tunnel_that_cannot_start_is_removed(world: World) -> None:
    """systemd tries it again and again until then, and by no step of ours once more."""
    machine = world.machine
    tick_by_hand(world)
    write_service(world, "probe.service", PROBE)
    confine(world, "probe.service")
    machine.systemctl("stop", "wgconfine@vpn.service")
    machine.sh("sed -i s/^PrivateKey.*/PrivateKey=x/ /etc/wireguard/vpn.conf")
    machine.systemctl("start", "wgconfine@vpn.service", check=False)

    wgconfine(world, "remove", "vpn", "--release", "--purge", "--yes")

    wait_until_nothing_is_left(world)
