"""What is closed beside the network: each way out works the recipe's way, and not confined."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import World, boot_container
from tests import programs
from tests.matrix import EVERYWHERE
from tests.scenario import printed, wgconfine, write_tunnel

pytestmark = pytest.mark.container

ATTACKS = (Path(__file__).parent / "attacks.py").read_text(encoding="utf-8")

# A daemon of the host's that does whatever it is asked for, at several places.
DAEMON = """
import os, socket, sys, threading
def serve(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    os.chmod(path, 0o666)
    server.listen()
    while True:
        client, _ = server.accept()
        try:
            client.send(b"at your service")
        except OSError:  # a probe of verify does not stay
            pass
        client.close()
for path in sys.argv[1:]:
    threading.Thread(target=serve, args=(path,)).start()
"""

PLACES = "/var/lib/incus/unix.socket /var/lib/sss/pipes/nss /tmp/.X11-unix/X0 /tmp/daemon.socket"

UNIT = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/python3 /opt/attacks.py "
AS = {"root": "root\n", "user": "user\nUser=games\n"}
# As somebody would write it who knows of vsock, but without what else belongs to it.
RECIPE = (
    "[Unit]\nBindsTo=wgconfine@vpn.service\nAfter=wgconfine@vpn.service\n"
    "[Service]\nNetworkNamespacePath=/run/netns/vpn\nRestrictAddressFamilies=~AF_VSOCK\n"
)
SET_UP = f"""
mkdir -p /var/spool/cron/crontabs && chmod 1777 /var/spool/cron/crontabs
cp /usr/bin/id /opt/setuid-id && chmod 4755 /opt/setuid-id
systemd-run --unit=daemon python3 /opt/daemon.py {PLACES}
"""
SETTINGS = """
[service."root-strict.service"]
hardening = "strict"
[service."user-strict.service"]
hardening = "strict"
[service."nginx.service"]
hardening = "strict"
"""
SETTINGS_OF_TWO = "".join(
    f'[service."{unit}"]\nhardening = "strict"\n'
    for unit in (programs.ARIA2, programs.TRANSMISSION, programs.DELUGED)
)


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """A machine, and what every attack came to in each unit."""

    world: World
    version: int
    outcomes: dict[str, dict[str, str]]


@pytest.fixture(scope="module", params=EVERYWHERE)
def attacked(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[Attacked]:
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        machine = world.machine
        machine.write("/opt/attacks.py", ATTACKS)
        machine.write("/opt/daemon.py", DAEMON)
        programs.set_up(world)
        machine.sh(SET_UP)
        for who, line in AS.items():
            for way in ("baseline", "strict"):
                machine.write(f"/etc/systemd/system/{who}-{way}.service", UNIT + line)
            machine.write(f"/etc/systemd/system/{who}-recipe.service", RECIPE + UNIT + line)
        machine.systemctl("daemon-reload")
        units = [f"{who}-{way}.service" for who in AS for way in ("baseline", "strict")]
        strict = SETTINGS + SETTINGS_OF_TWO
        write_tunnel(world, [*units, *programs.HOSTS], extra=strict)
        machine.wait_for(
            lambda: {*PLACES.split()} <= {*machine.sh("ss -Hx state listening").split()},
            "the daemon listens",
        )
        wgconfine(world, "apply")
        outcomes = {}
        for unit in (*units, "root-recipe.service", "user-recipe.service"):
            machine.systemctl("start", unit)
            said = printed(world, unit).splitlines()
            (outcome,) = (line for line in said if line.startswith("{"))
            outcomes[unit.removesuffix(".service")] = json.loads(outcome)
        yield Attacked(
            world=world,
            version=int(machine.sh("systemctl --version").split()[1]),
            outcomes=outcomes,
        )


def out(attacked: Attacked, unit: str) -> set[str]:
    return {name for name, word in attacked.outcomes[unit].items() if word == "out"}


STARTS_BY_VARLINK = 262
STAYS_SHUT = {"vsock", "user_namespace", "nested_link", "nested_unmount"}
"""Not even the recipe lets these out; a user namespace of one's own is no way to the host's net."""


@pytest.mark.parametrize("who", AS)
def test_the_attacks_work_the_recipes_way(attacked: Attacked, who: str) -> None:
    """Each of them is seen to get out of a unit that merely joins the namespace."""
    everything = set(attacked.outcomes[f"{who}-recipe"])
    filters = {"setuid"} if attacked.version < 255 else set()  # a filter brings NoNewPrivileges=
    filters |= {"manager"} if attacked.version < STARTS_BY_VARLINK else set()

    seen = attacked.outcomes[f"{who}-recipe"]
    assert everything - STAYS_SHUT - filters == out(attacked, f"{who}-recipe"), seen


@pytest.mark.parametrize("who", AS)
def test_baseline_closes_all_but_what_is_documented(attacked: Attacked, who: str) -> None:
    """What is left are sockets in /tmp and, from 257 on, programs with a setuid bit."""
    left = {"temporary"}
    if who == "user" and attacked.version >= 255:
        left.add("setuid")

    assert left == out(attacked, f"{who}-baseline"), attacked.outcomes[f"{who}-baseline"]


@pytest.mark.parametrize("who", AS)
def test_strict_closes_all(attacked: Attacked, who: str) -> None:
    """Also those, and every namespace."""
    assert set() == out(attacked, f"{who}-strict"), attacked.outcomes[f"{who}-strict"]


def test_programs_of_debian_work_all_the_same(attacked: Attacked) -> None:
    """nginx, aria2, transmission and deluged are strict, qbittorrent-nox lives in /home."""
    attacked.world.machine.systemctl("start", *programs.HOSTS)
    programs.have_each_ask(attacked.world)
    done = wgconfine(attacked.world, "status", check=False)

    shown = [line.strip() for line in done.stdout.splitlines()]
    missing = [unit for unit in programs.HOSTS if f"{unit}: confined" not in shown]
    assert [] == missing, (done.stdout, done.stderr)


def test_what_comes_along_is_said(attacked: Attacked) -> None:
    """`plan` says it of services that are new, and no more afterwards."""
    world = attacked.world
    assert "setuid bit" not in wgconfine(world, "plan", check=False).stderr
    world.machine.write("/etc/systemd/system/new.service", UNIT + "user\nUser=games\n")
    world.machine.systemctl("daemon-reload")
    units = [f"{who}-{way}.service" for who in AS for way in ("baseline", "strict")]
    extra = SETTINGS + SETTINGS_OF_TWO
    write_tunnel(world, [*units, *programs.HOSTS, "new.service"], extra=extra)
    said = wgconfine(world, "plan", check=False).stderr
    write_tunnel(world, [*units, *programs.HOSTS], extra=extra)

    assert "new.service: has a view of the mounts of its own" in said
    assert (attacked.version < 255) == ("new.service: programs with a setuid bit" in said)


def test_groups_and_lingering_users_are_told(attacked: Attacked) -> None:
    """A user who is put into a group that leads out, and who lingers, is named with the way out."""
    world = attacked.world
    world.machine.sh(
        "groupadd -f docker; usermod -aG docker games;"
        " mkdir -p /var/lib/systemd/linger; touch /var/lib/systemd/linger/games"
    )
    said = wgconfine(world, "plan", check=False).stderr
    world.machine.sh("gpasswd -d games docker; rm /var/lib/systemd/linger/games")

    assert "its user is in group docker, which has dockerd start containers" in said
    assert "its user games lingers" in said
    assert "its user" not in wgconfine(world, "plan", check=False).stderr
