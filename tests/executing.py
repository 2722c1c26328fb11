"""`wgconfine exec` as people use it: a person, two tunnels, and something that runs meanwhile."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from lab import Completed, World
from tests.scenario import wgconfine, write_service, write_tunnel

DROPIN = "/etc/systemd/system/wgconfine-exec-vpn-.service.d/zz-wgconfine.exec.conf"


def set_up(world: World) -> None:
    """Have a person who may use sudo(8), and two tunnels with names alike."""
    world.machine.sh("useradd --create-home --shell /bin/bash alice")
    world.machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    write_tunnel(world)
    write_tunnel(world, name="vpn-b", client=3)
    wgconfine(world, "apply")


def run(world: World, *words: str, name: str = "vpn", check: bool = True) -> Completed:
    """Run something inside as root."""
    return wgconfine(world, "exec", name, "--", *words, check=check)


def as_alice(world: World, line: str) -> Completed:
    """Have her shell run a line, at home."""
    return world.machine.run("su", "--login", "alice", "-c", line, check=False, timeout=120)


@contextmanager
def dropin(world: World, name: str, line: str) -> Iterator[str]:
    """Have a drop-in of the owner's say a line of [Service] meanwhile, and give its path."""
    path = f"/etc/systemd/system/{name}"
    write_service(world, name, f"[Service]\n{line}\n")
    try:
        yield path
    finally:
        world.machine.sh(f"rm {path}; systemctl daemon-reload")


@contextmanager
def running(world: World, line: str, *, name: str = "vpn", user: str = "root") -> Iterator[str]:
    """Have a line of shell run inside meanwhile, and give its unit; how it ended is in /root/rc."""
    words = f"exec {name} --user {user} -- sh -c {shlex.quote(line)}"
    world.machine.sh(f"""
        rm -f /root/rc
        {{ code=0; wgconfine {words} || code=$?; echo $code >/root/rc; }} </dev/null &>/dev/null &
    """)
    found: list[str] = []

    def runs() -> bool:
        found[:] = units(world, name)
        return bool(found)

    world.machine.wait_for(runs, "it runs", 60)
    try:
        yield found[0]
    finally:
        for unit in units(world, name):
            world.machine.systemctl("stop", unit, check=False)
        world.machine.wait_for(lambda: ended(world) is not None, "it has ended", 60)


def units(world: World, name: str = "vpn") -> list[str]:
    """Give the units of a tunnel's commands whose program runs."""
    pattern = f"wgconfine-exec-{name.replace('-', '?x2d')}-*"
    listing = ("list-units", "--plain", "--no-legend", "--state=active", pattern)
    return [line.split()[0] for line in world.machine.systemctl(*listing).stdout.splitlines()]


def ended(world: World) -> int | None:
    text = world.machine.run("cat", "/root/rc", check=False).stdout.strip()
    return int(text) if text else None


def wgconfine_pid(world: World) -> str:
    return world.machine.sh("pgrep -o -f '^[^ ]*python[^ ]* [^ ]*wgconfine exec'")
