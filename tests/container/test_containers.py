"""The recipes of docs/containers.md, word for word: containers in a tunnel, and nowhere else."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import World, assert_confined, boot_container
from lab.internet import WORLD
from tests.matrix import first
from tests.recipes import ANSWER, AS_USER, IMAGE, QUADLET, RECIPES, UNIT, packages, prepare
from tests.scenario import HOST, TUNNEL, wgconfine, write_tunnel
from tests.watching import look_away

pytestmark = pytest.mark.container

RECORD = "/run/wgconfine/netns/vpn"
NAME = "/run/netns/vpn"
STARTS = {"bookworm": UNIT, "trixie": QUADLET, "forky": QUADLET}
"""Podman of bookworm has no Quadlet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A machine with a tunnel and an image, and its release."""

    world: World
    release: str

    @property
    def recipe(self) -> str:
        """The path of what root's Podman is told."""
        return STARTS[self.release]


@pytest.fixture(scope="module", params=first("trixie"))
def place(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[Place]:
    """A tunnel without a service, and an image that is built without a registry."""
    release = request.param
    extra = packages(release)
    with boot_container(release, wheelhouse=wheelhouse, extra_packages=extra) as world:
        look_away(world)
        prepare(world)
        write_tunnel(world)
        wgconfine(world, "apply")
        yield Place(world=world, release=release)


@contextmanager
def written(world: World, path: str, text: str = "") -> Iterator[str]:
    """Put a recipe in its place, give the name of its unit, and take it away afterwards."""
    machine = world.machine
    unit = f"{Path(path).stem}.service"
    machine.write(path, text or RECIPES[path])
    machine.systemctl("daemon-reload")
    if path != QUADLET:  # whose units systemd does not enable: that is done by their generator
        machine.systemctl("enable", unit)
    try:
        yield unit
    finally:
        machine.systemctl("stop", unit, check=False)
        machine.systemctl("disable", unit, check=False)
        machine.run("rm", "-f", path)
        machine.systemctl("daemon-reload")
        machine.systemctl("reset-failed", unit, check=False)


def is_inside(world: World, unit: str) -> bool:
    """Whether the container runs, and all that runs in it is in the tunnel's namespace."""
    group = world.machine.show(unit, "ControlGroup")
    script = f"""
        pids=$(find /sys/fs/cgroup{group} -path '*payload*' -name cgroup.procs -exec cat {{}} +)
        [ "$pids" ]
        for pid in $pids; do
            [ /proc/$pid/ns/net -ef {RECORD} ] || [ ! -e /proc/$pid/ns/net ] || exit 1
        done
    """
    return bool(group) and world.machine.run("bash", "-ec", script, check=False).returncode == 0


def seen(world: World, unit: str) -> list[str]:
    """Give the addresses that the web server told a container, in order."""
    text = world.machine.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout
    return [line for line in text.splitlines() if line in {*TUNNEL.values(), *HOST.values()}]


def goes_out(world: World, unit: str) -> set[str]:
    """Wait until it has gone out once more, over both families, and give the addresses."""
    before = len(seen(world, unit))
    world.machine.wait_for(
        lambda: len({*seen(world, unit)[before:]}) == 2, f"{unit} went out over both families"
    )
    return {*seen(world, unit)[before:]}


def comes_back(world: World, unit: str) -> None:
    """Wait until it runs and goes out, inside."""
    world.machine.wait_for(lambda: is_inside(world, unit), f"{unit} runs inside")
    assert set(TUNNEL.values()) == goes_out(world, unit)


def looks_up(world: World, client: str) -> bool:
    """Tell whether the tunnel's resolver was asked from there for names of a container's own."""
    queries = (each for each in world.internet.dns_queries() if each.client == client)
    return any(each.resolver == "tunnel" and each.name.startswith("probe-") for each in queries)


def resolvers(world: World, name: str) -> set[str]:
    """Give who was asked for this name."""
    return {query.resolver for query in world.internet.dns_queries() if query.name == name}


@contextmanager
def nothing_foreign(world: World) -> Iterator[None]:
    """No packet of it all is on the uplink outside of the tunnel, and many are in the tunnel."""
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        yield
    assert_confined(uplink.traffic, tunnel.traffic)


def test_roots_container_goes_out_by_the_tunnel_alone(place: Place) -> None:
    """Its processes are in the tunnel's namespace, and both families and look-ups leave by it."""
    world = place.world
    with written(world, place.recipe) as unit, nothing_foreign(world):
        world.machine.systemctl("start", unit)
        assert is_inside(world, unit)
        assert set(TUNNEL.values()) == goes_out(world, unit)
        world.machine.wait_for(lambda: looks_up(world, TUNNEL["v4"]), "it looks names up")
        time.sleep(2)


def test_any_resolver_that_a_container_asks_is_the_tunnels(place: Place) -> None:
    """Without the bind it has the host's resolv.conf, or the one that Podman is told."""
    world = place.world
    asked = {WORLD[0]: "", "8.8.8.8": "--dns 8.8.8.8", "127.0.0.53": "--dns 127.0.0.53"}
    script = "/bin/busybox cat /etc/resolv.conf; exec getent ahostsv4"
    with world.capture_uplink() as uplink:
        for number, (server, option) in enumerate(asked.items()):
            command = (
                f"podman run --rm {option} --network ns:{NAME} localhost/web /bin/busybox sh -c"
            )
            said = world.machine.sh(f"{command} '{script} asked-{number}.example.net'")
            assert f"nameserver {server}" in said
            assert {"tunnel"} == resolvers(world, f"asked-{number}.example.net")

    assert () == uplink.traffic.foreign()


def test_it_stops_with_the_tunnel_and_comes_back(place: Place) -> None:
    """After restarts of tunnel and namespace, a crash of WireGuard and a start that failed."""
    world, machine = place.world, place.world.machine
    with written(world, place.recipe) as unit, nothing_foreign(world):
        machine.systemctl("start", unit)
        for again in (
            "systemctl restart wgconfine@vpn",
            "systemctl restart wgconfine-netns@vpn",
            "systemctl kill --signal=KILL wgconfine-wireguard@vpn",
        ):
            machine.sh(again)
            comes_back(world, unit)
        machine.sh("mv /etc/wireguard/vpn.conf /etc/wireguard/away")
        machine.systemctl("restart", "wgconfine@vpn", check=False)
        assert not machine.is_active(unit)
        assert 0 != machine.systemctl("start", unit, check=False).returncode
        machine.sh("mv /etc/wireguard/away /etc/wireguard/vpn.conf")
        comes_back(world, unit)
        machine.systemctl("stop", "wgconfine-netns@vpn")
        assert not machine.is_active(unit)
        machine.systemctl("start", "wgconfine@vpn")


def long(case: str) -> object:
    return pytest.param(case, marks=pytest.mark.long)


def container(place: Place) -> str:
    """Give the name that the recipe gives its container."""
    return "systemd-web" if place.recipe == QUADLET else "web"


SPOILINGS = {
    "missing": f"umount -l {NAME}; rm {NAME}",
    "a plain file": f"umount -l {NAME}",
    "the host's": f"umount -l {NAME}; mount --bind /proc/1/ns/net {NAME}",
    "another": f"umount -l {NAME}; ip netns add other; mount --bind /run/netns/other {NAME}",
}
MEND = f"umount --quiet --lazy {NAME} || true; rm -f {NAME}; systemctl restart wgconfine-netns@vpn"


@contextmanager
def spoilt(world: World, how: str) -> Iterator[None]:
    """While the namespace's name leads elsewhere."""
    world.machine.sh(SPOILINGS[how])
    try:
        yield
    finally:
        world.machine.sh(MEND)


@pytest.mark.parametrize("how", ["the host's", *map(long, ["missing", "a plain file", "another"])])
def test_it_does_not_start_where_the_name_leads_elsewhere(place: Place, how: str) -> None:
    """The guard is loud: the unit has failed, and nothing of it ran."""
    world, machine = place.world, place.world.machine
    with written(world, place.recipe) as unit, world.capture_uplink() as uplink:
        with spoilt(world, how):
            assert 0 != machine.systemctl("start", unit, check=False).returncode
            assert "failed" == machine.show(unit, "ActiveState")
            assert "" == machine.sh("podman ps --quiet")
        comes_back(world, unit)

    assert () == uplink.traffic.foreign()


def without(text: str, *keys: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.partition("=")[0] not in keys)


def test_without_its_guard_podman_joins_the_hosts_network(place: Place) -> None:
    """The control: by the same name, with success, and every way it asks is seen on the uplink."""
    world = place.world
    text = without(RECIPES[place.recipe], "ExecStartPre", "Slice")
    with (
        written(world, place.recipe, text) as unit,
        spoilt(world, "the host's"),
        world.capture_uplink() as uplink,
    ):
        world.machine.systemctl("restart", unit)
        assert set(HOST.values()) == goes_out(world, unit)
        # The resolver that its resolv.conf names has that address in the world, too.
        world.machine.wait_for(lambda: looks_up(world, HOST["v4"]), "it looks names up")

    foreign = uplink.traffic.foreign()
    assert {4, 6} == {6 if ":" in packet.source else 4 for packet in foreign}
    assert any(packet.name and packet.name.startswith("probe-") for packet in foreign)


@pytest.mark.long
def test_without_its_guard_the_second_switch_drops_what_it_sends(place: Place) -> None:
    """By its slice: nothing leaves, and it is counted."""
    world, machine = place.world, place.world.machine
    text = without(RECIPES[place.recipe], "ExecStartPre")
    with written(world, place.recipe, text) as unit, spoilt(world, "the host's"):
        with world.capture_uplink() as uplink:
            machine.systemctl("restart", unit)
            machine.wait_for(lambda: sent_outside(world) > 0, "the switch has counted")
        machine.systemctl("stop", unit)
        machine.sh(
            "nft reset counters table inet wgconfine-vpn; systemctl reload wgconfine-switch@vpn"
        )

    assert () == uplink.traffic.foreign()


def sent_outside(world: World) -> int:
    """Give how many packets the second switch has dropped."""
    text = world.machine.sh("nft list table inet wgconfine-vpn")
    return sum(int(count) for count in re.findall(r"packets (\d+)", text))


def test_verify_shows_it_as_inside_and_not_confined(place: Place) -> None:
    """Open, and no failure; `status` says nothing of a unit that is no service of a tunnel."""
    world = place.world
    with written(world, place.recipe) as unit:
        world.machine.systemctl("start", unit)
        done = wgconfine(world, "verify", check=False)
        status = wgconfine(world, "status").stdout

    assert 0 == done.returncode
    assert f"open: inside of {unit}: inside, not confined by wgconfine: process " in done.stdout
    assert unit not in status


@pytest.mark.long
def test_ports_of_the_tunnel_are_for_a_container_too(place: Place) -> None:
    """`publish`, `reach` and `inbound` lead to the namespace, whoever is in it."""
    world, machine = place.world, place.world.machine
    ports = f"""
        publish = ["8080"]
        reach = ["127.0.0.1:8081:{HOST["v4"]}:8081"]
        inbound = {{ tcp = [8080] }}
    """
    served = f"--bind {HOST['v4']} --directory {IMAGE}/root/page 8081"
    machine.sh(f"systemd-run --quiet --unit=page python3 -m http.server {served}")
    with written(world, place.recipe) as unit:
        machine.systemctl("start", unit)
        closed = asked_through_the_tunnel(world)
        write_tunnel(world, extra=ports)
        wgconfine(world, "apply")
        seen = [machine.sh(f"curl -s -m 9 http://{at}:8080/") for at in ("127.0.0.1", "[::1]")]
        inside = f"podman exec {container(place)} curl -s -m 3"
        seen += [machine.sh(f"{inside} http://127.0.0.1:8081/"), *asked_through_the_tunnel(world)]
        past = machine.run("sh", "-c", f"{inside} http://{HOST['v4']}:8081/", check=False)
        write_tunnel(world)
        wgconfine(world, "apply")
    machine.systemctl("stop", "page.service")

    assert ["", ""] == closed
    assert [ANSWER] * 5 == seen
    assert "" == past.stdout


def asked_through_the_tunnel(world: World) -> list[str]:
    """Give the page as somebody at the server gets it, at both addresses of the tunnel."""
    script = "curl -g -s -m 3 http://$0:8080/ || true"
    addresses = (TUNNEL["v4"], f"[{TUNNEL['v6']}]")
    return [world.internet.run("sh", "-c", script, address) for address in addresses]


@pytest.mark.long
def test_under_services_it_is_refused_and_the_page_is_named(place: Place) -> None:
    """Podman as root, by the unit that Quadlet makes of the recipe, too."""
    world = place.world
    with written(world, place.recipe) as unit:
        write_tunnel(world, [unit])
        done = wgconfine(world, "plan", check=False)
        write_tunnel(world)

    assert 0 != done.returncode
    assert "runs podman as root" in done.stderr
    assert "docs/containers.md" in done.stderr


@pytest.mark.long
def test_with_another_run_podman_forgets_the_containers_that_run(place: Place) -> None:
    """Why Podman, run as root, is no service of a tunnel: it takes that for a reboot."""
    machine = place.world.machine
    machine.sh("""
        mkdir -p /srv/run
        podman run --detach --rm --name open --network none localhost/web
        podman ps --format '{{.Names}}' | grep -x open
        systemd-run --wait --quiet --property=BindPaths=/srv/run:/run podman ps
    """)
    assert "" == machine.sh("podman ps --quiet")
    assert "" != machine.sh("pgrep -x conmon")
    machine.sh("pkill -x conmon; systemctl stop 'libpod-*.scope'")


@pytest.fixture(scope="module")
def user(place: Place) -> str:
    """A user that nobody else has, with the image in a storage of its own."""
    machine = place.world.machine
    machine.sh("""
        useradd --create-home web
        sed -i '/^web:/d' /etc/subuid /etc/subgid
        folder=/home/web/.config/containers
        runuser -u web -- mkdir -p $folder
        printf '[storage]\\ndriver = "vfs"\\n' >$folder/storage.conf
        systemd-run --wait --quiet --property=User=web podman load --input /srv/image/web.tar
    """)
    return "web"


@pytest.mark.long
@pytest.mark.parametrize(("network", "said"), [("host", "ran"), (f"ns:{NAME}", "")])
def test_a_user_may_not_join_by_the_path(place: Place, user: str, network: str, said: str) -> None:
    """The kernel refuses, and nothing runs; the same on the host's network does."""
    done = place.world.machine.run(
        *("systemd-run", "--wait", "--pipe", "--quiet", "--property=Delegate=yes"),
        *(f"--property=User={user}", "podman", "run", "--rm", "--cgroups=split"),
        *("--network", network, "localhost/web", "/bin/busybox", "echo", "ran"),
        check=False,
    )
    assert (said, said == "ran") == (done.stdout.strip(), done.returncode == 0), done.stderr


def test_a_users_container_is_confined(place: Place, user: str) -> None:
    """As a service of the tunnel it has the guard, and `verify` finds nothing open but its root."""
    world = place.world
    with written(world, AS_USER) as unit:
        write_tunnel(world, [unit])
        wgconfine(world, "apply")
        with nothing_foreign(world):
            world.machine.systemctl("start", unit)
            assert is_inside(world, unit)
            assert set(TUNNEL.values()) == goes_out(world, unit)
            done = wgconfine(world, "verify", check=False)

    assert "web" == user
    assert 0 == done.returncode, done.stdout
    assert f"other-roots of {unit}" in done.stdout


@pytest.mark.long
def test_images_of_several_users_need_newuidmap_with_capabilities(place: Place, user: str) -> None:
    """With a setuid bit it would need more than a confined service has; 252 gives it neither."""
    world, machine = place.world, place.world.machine
    machine.sh(f"echo '{user}:100000:65536' | tee /etc/subuid >/etc/subgid")
    forget = f"pkill -u {user}; rm -rf /tmp/storage-run-*"
    with written(world, AS_USER) as unit:
        write_tunnel(world, [unit])
        wgconfine(world, "apply")
        machine.sh(forget, check=False)
        with_setuid = machine.systemctl("start", unit, check=False)
        machine.sh("""
            for id in uid gid; do
                chmod u-s /usr/bin/new${id}map
                setcap cap_set$id+ep /usr/bin/new${id}map
            done
        """)
        machine.sh(forget, check=False)
        with_capabilities = machine.systemctl("start", unit, check=False)

    assert 0 != with_setuid.returncode
    assert (place.release == "bookworm") == (with_capabilities.returncode != 0)


@pytest.mark.long
def test_it_comes_back_after_a_reboot(place: Place) -> None:
    """By its tunnel, and nothing leaves outside of that meanwhile."""
    world = place.world
    with written(world, place.recipe) as unit:
        with world.capture_uplink(beacons="world") as uplink:
            world.machine.reboot()
            comes_back(world, unit)

        assert () == uplink.traffic.foreign()
