"""How systemd joins a network namespace, measured: what wgconfine's units are built upon."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import first
from tests.scenario import confine, write_service

pytestmark = pytest.mark.container

WHERE = "/usr/bin/readlink /proc/self/ns/net"
SLEEP = "ExecStart=/bin/sleep infinity\n"


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a confined service, and a namespace of its owner's."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        write_service(world, "inside.service", f"[Service]\nType=exec\n{SLEEP}")
        confine(world, "inside.service")
        world.machine.systemctl("start", "inside.service")
        world.machine.run("ip", "netns", "add", "other")
        yield world


def sleeps_in(name: str) -> str:
    return f"[Service]\nType=exec\nNetworkNamespacePath=/run/netns/{name}\n{SLEEP}"


def namespace(world: World, path: str) -> str:
    return world.machine.sh(f"stat -Lc 'net:[%i]' {path}")


def run(world: World, *properties: str, command: str = WHERE, check: bool = True) -> str:
    options = [f"--property={each}" for each in properties]
    done = world.machine.run(
        *("systemd-run", "--wait", "--pipe", "--quiet", *options),
        *("/bin/sh", "-c", command),
        check=check,
    )
    return done.stdout.strip() if check else str(done.returncode)


def test_a_missing_path_and_one_that_is_no_namespace_are_closed(world: World) -> None:
    """The unit fails with 225/NETWORK."""
    world.machine.run("touch", "/run/netns/stale")
    codes = [
        run(world, f"NetworkNamespacePath=/run/netns/{name}", check=False)
        for name in ("none", "stale")
    ]
    world.machine.run("rm", "/run/netns/stale")
    assert ["225", "225"] == codes


def test_joining_a_unit_that_does_not_run_gives_an_empty_namespace(world: World) -> None:
    """Neither the host's nor anybody's: no route leads out of it."""
    write_service(world, "joined.service", f"[Service]\nPrivateNetwork=yes\n{SLEEP}")
    write_service(
        world,
        "joins.service",
        "[Unit]\nJoinsNamespaceOf=joined.service\n[Service]\nPrivateNetwork=yes\n"
        "Type=oneshot\nStandardOutput=append:/root/joins\n"
        f"ExecStart={WHERE}\nExecStart=/usr/sbin/ip route\n",
    )
    world.machine.systemctl("start", "joins.service")
    where, *routes = world.machine.read("/root/joins").splitlines()
    assert where not in {namespace(world, "/proc/1/ns/net"), namespace(world, "/run/netns/other")}
    assert [] == routes


def test_joins_namespace_of_wins_over_the_path(world: World) -> None:
    """With both in one unit, the path is not used; `check` refuses such a unit."""
    write_service(world, "winner.service", f"[Service]\nPrivateNetwork=yes\nType=exec\n{SLEEP}")
    write_service(
        world,
        "both.service",
        "[Unit]\nJoinsNamespaceOf=winner.service\n[Service]\nType=oneshot\n"
        "NetworkNamespacePath=/run/netns/other\nStandardOutput=file:/root/both\n"
        f"ExecStart={WHERE}\n",
    )
    world.machine.systemctl("start", "winner.service", "both.service")
    pid = world.machine.show("winner.service", "MainPID")
    assert namespace(world, f"/proc/{pid}/ns/net") == world.machine.read("/root/both").strip()


def test_a_running_process_stays_where_it_is_and_a_start_looks_anew(world: World) -> None:
    """The namespace is made anew: a plain unit stays in the old one; a confined one moves."""
    machine = world.machine
    machine.run("ip", "netns", "add", "anew")
    write_service(
        world,
        "plain.service",
        f"[Service]\nType=exec\nNetworkNamespacePath=/run/netns/anew\n{SLEEP}",
    )
    machine.systemctl("start", "plain.service")
    machine.sh("ip netns del anew; ip netns add anew; systemctl restart wgconfine-netns@vpn")
    assert namespace(world, "/run/netns/anew") != of(world, "plain.service")
    assert namespace(world, "/run/netns/vpn") == of(world, "inside.service")
    machine.systemctl("restart", "plain.service")
    assert namespace(world, "/run/netns/anew") == of(world, "plain.service")


def of(world: World, unit: str) -> str:
    """The namespace of a unit's main process, once that has started."""
    world.machine.wait_for(lambda: world.machine.is_active(unit), f"{unit} runs")
    return namespace(world, f"/proc/{world.machine.show(unit, 'MainPID')}/ns/net")


def test_a_socket_unit_goes_on_listening_in_the_old_namespace(world: World) -> None:
    """It says active, and nobody in the new one reaches it."""
    machine = world.machine
    machine.run("ip", "netns", "add", "sockets")
    write_service(world, "old.service", f"[Service]\n{SLEEP}")
    write_service(
        world,
        "old.socket",
        "[Socket]\nListenStream=127.0.0.1:8181\nNetworkNamespacePath=/run/netns/sockets\n",
    )
    machine.systemctl("start", "old.socket")
    listening = "ip netns exec sockets ss -Hltn | grep -c :8181 || true"
    assert "1" == machine.sh(listening)
    machine.sh("ip netns del sockets; ip netns add sockets")
    assert "0" == machine.sh(listening)
    assert machine.is_active("old.socket")


def test_a_sandboxed_maker_hides_its_namespace_from_the_host(world: World) -> None:
    """A mount namespace on the unit that names one leaves a file that is none; ours has no such."""
    world.machine.run("mkdir", "-p", "/run/netns")
    run(world, "ProtectSystem=strict", "ReadWritePaths=/run", command="ip netns add hidden")
    hidden = world.machine.sh("ip -n hidden link 2>&1 || true; rm /run/netns/hidden")
    assert "Invalid argument" in hidden
    assert namespace(world, "/run/netns/vpn") == namespace(world, "/run/wgconfine/netns/vpn")
    assert "no" == world.machine.show("wgconfine-netns@vpn.service", "ProtectSystem")


def test_the_list_of_links_in_sys(world: World) -> None:
    """Before 254 /sys is the host's and names its links; what it names cannot be used."""
    old = world.machine.sh("systemctl --version").startswith("systemd 252")
    seen = run(world, "NetworkNamespacePath=/run/netns/other", command="ls /sys/class/net")
    assert old == ("eth0" in seen)
    bound = run(
        world,
        "NetworkNamespacePath=/run/netns/other",
        command="python3 -c 'import socket; socket.socket().setsockopt(1, 25, b\"eth0\")'",
        check=False,
    )
    assert "1" == bound


def test_a_deleted_name_leaves_the_namespace_to_its_processes(world: World) -> None:
    """`ip netns del` under a running process: name gone, namespace and links live on."""
    machine = world.machine
    machine.sh("ip netns add gone; ip -n gone link set lo up")
    write_service(
        world,
        "stays.service",
        f"[Service]\nType=exec\nNetworkNamespacePath=/run/netns/gone\n{SLEEP}",
    )
    machine.systemctl("start", "stays.service")
    before = of(world, "stays.service")
    machine.run("ip", "netns", "del", "gone")
    assert before == of(world, "stays.service")
    pid = machine.show("stays.service", "MainPID")
    assert "UP" in machine.run("nsenter", "-t", pid, "-n", "ip", "link", "show", "lo").stdout


def test_the_override_of_systemctl_edit_is_read_before_ours(world: World) -> None:
    """It sorts after `90-…`, and before the drop-in: what it sets of ours has no effect."""
    machine = world.machine
    for name, path in (("90-x", "/run/netns/90"), ("override", "/run/netns/other")):
        write_service(
            world,
            f"inside.service.d/{name}.conf",
            f"[Service]\nNetworkNamespacePath={path}\n",
        )
    write_service(world, "outside.service.d/90-x.conf", "[Service]\nNice=1\n")
    write_service(world, "outside.service.d/override.conf", "[Service]\nNice=2\n")
    write_service(world, "outside.service", f"[Service]\n{SLEEP}")
    try:
        assert "2" == machine.show("outside.service", "Nice")
        assert "/run/netns/vpn" == machine.show("inside.service", "NetworkNamespacePath")
    finally:
        machine.sh("rm -r /etc/systemd/system/inside.service.d/{90-x,override}.conf")
        machine.systemctl("daemon-reload")
