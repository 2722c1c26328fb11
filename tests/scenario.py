"""What tests of every tier say again and again: a tunnel and its services on a machine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lab import Completed, World

TUNNEL = {"v4": "10.66.0.2", "v6": "fd66::2"}
HOST = {"v4": "198.51.100.2", "v6": "2001:db8:51::2"}
WEB = "http://web.example.net/"

PROBE = """\
[Service]
DynamicUser=yes
ExecStart=/bin/sh -c 'while :; do for v in 4 6; do curl -$v -s -m 3 http://web.example.net/; done; \
getent hosts probe-$$$$.example.net >/dev/null; sleep 0.2; done'
[Install]
WantedBy=multi-user.target
"""
"""A service that sends without pause, TCP over both families and DNS, and says what the web saw."""

PATIENT = PROBE.replace("sleep 0.2", "sleep 1")
"""The same for an emulated processor, which it would have to itself otherwise."""

ONESHOT = """\
[Service]
Type=oneshot
User=nobody
ExecStart=/bin/sh -c 'for v in 4 6; do curl -$v -s -m 30 http://web.example.net/; done'
"""


def _silence(to: str = "", source: str = "") -> str:
    return f"""\
table inet silence {{
	chain input {{
		type filter hook input priority 0;
		{to}udp dport 51820 drop
	}}
	chain output {{
		type filter hook output priority 0;
		{source}udp sport 51820 drop
	}}
}}
"""


SILENCE = _silence()
"""Of the world, both ways: what is under way there would be an answer."""


def silence_at(address: str) -> str:
    """Give the same for one of the server's addresses alone, an IPv4 one."""
    return _silence(f"ip daddr {address} ", f"ip saddr {address} ")


UNVERIFIED = """\
[verify]
every = "off"
"""
"""Settings of a tunnel that is verified where a test says so, and not in its middle by the clock.

The first time by the clock is a minute after the tunnel was applied. Who changes something then
waits for its end, and says so.
"""


def write_service(world: World, name: str, text: str) -> None:
    """Put a unit of the machine's owner in place."""
    world.machine.write(f"/etc/systemd/system/{name}", text)
    world.machine.systemctl("daemon-reload")


def write_tunnel(
    world: World,
    services: Sequence[str] = (),
    *,
    name: str = "vpn",
    client: int = 2,
    extra: str = "",
) -> None:
    """Write a provider's .conf and the settings of a tunnel, and apply nothing yet."""
    conf = world.internet.provider_conf(client=client)
    world.machine.write(f"/etc/wireguard/{name}.conf", conf, mode=0o600)
    listed = "".join(f'  "{service}",\n' for service in services)
    world.machine.write(
        f"/etc/wgconfine/{name}.toml",
        f'config = "/etc/wireguard/{name}.conf"\nservices = [\n{listed}]\n{extra}',
    )


def wgconfine(world: World, *arguments: str, check: bool = True) -> Completed:
    """Run the installed command as root, as its user would."""
    return world.machine.run("wgconfine", *arguments, check=check, timeout=600)


def confine(world: World, *services: str, name: str = "vpn", client: int = 2) -> None:
    """Confine services to a tunnel, as its user would."""
    write_tunnel(world, services, name=name, client=client)
    wgconfine(world, "apply")


def seen_by_web(world: World, unit: str) -> set[str]:
    """Give the addresses that the web server told a service it was asked from."""
    text = world.machine.run(
        "journalctl", "--no-pager", "-o", "cat", "-u", unit, "_TRANSPORT=stdout"
    ).stdout
    known = {*TUNNEL.values(), *HOST.values()}
    return {line for line in text.splitlines() if line in known}


def printed(world: World, unit: str) -> str:
    """Give what a service has printed since the boot, all of it: the journal takes its time."""
    journal = ("journalctl", "-b", "-o", "cat", "--no-pager", "-u", unit, "_TRANSPORT=stdout")
    return world.machine.run(*journal).stdout


def wait_until_asked(world: World, unit: str, times: int = 10) -> None:
    """Wait until PROBE has got so many answers more: what it sends for one are ten packets."""

    def answers() -> int:
        known = {*TUNNEL.values(), *HOST.values()}
        return sum(line in known for line in printed(world, unit).splitlines())

    before = answers()
    world.machine.wait_for(lambda: answers() >= before + times, f"{unit} asks on")


def refused(world: World, unit: str) -> str:
    """Give the line of `wgconfine status` about a service."""
    lines = wgconfine(world, "status", check=False).stdout.splitlines()
    return next(line.strip() for line in lines if line.strip().startswith(f"{unit}:"))


@contextmanager
def silence(world: World, text: str = SILENCE) -> Iterator[None]:
    """The server, or what the rules name of it, neither hears nor says anything."""
    world.internet.run("nft", "-f", "-", text=text)
    try:
        yield
    finally:
        world.internet.run("nft", "delete", "table", "inet", "silence")
