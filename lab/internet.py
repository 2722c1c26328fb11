"""The world of one machine: a namespace with a WireGuard server, resolvers, web and echo servers.

Nothing leads from there to the real internet. Addresses are of documentation or private ranges.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from lab.cache import scratch_folder
from lab.layers import GUEST
from lab.namespaces import LEASHED, Namespaces
from lab.requirements import require

UPLINK = "uplink"  # a bridge, so that a capture lives through a reboot of the machine
WORLD = ("198.51.100.1", "2001:db8:51::1")
ELSEWHERE = ("198.51.100.3", "2001:db8:51::3")
"""Further addresses of the WireGuard server, for a provider that moves it."""
MACHINE = ("198.51.100.2", "2001:db8:51::2")
WEB = ("203.0.113.80", "2001:db8:113::80")
TUNNEL = ("10.66.0.1", "fd66::1")
WIREGUARD_PORT = 51820
INNER = ("10.77.0.1", "fd77::1")
INNER_PORT = 51821
KINDS = ("net", "mount")
ECHO_PORT, WEB_PORT = "7", "80"
LISTENING = ("ss", "-Hx", "state", "listening")
"""Shows unix sockets at which somebody listens, and not those that are only bound, as `ss -l` does.

By wg(8) nobody may ask whether wireguard-go is there: it deletes such a one.
"""

SETUP = f"""set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs /run  # wireguard-go's control sockets
mkdir /run/lab
cd /proc/sys/net
echo 0 | tee ipv4/conf/all/rp_filter ipv4/conf/default/rp_filter >/dev/null
echo 0 | tee ipv6/conf/default/accept_dad ipv6/conf/default/accept_ra >/dev/null
echo 1 | tee ipv6/conf/all/keep_addr_on_down ipv6/conf/default/keep_addr_on_down >/dev/null
ip link set lo up
ip address add {WEB[0]}/32 dev lo
ip address add {WEB[1]}/128 dev lo
ip link add {UPLINK} type bridge mcast_snooping 0
ip link set {UPLINK} addrgenmode none up
ip address add {WORLD[0]}/24 brd + dev {UPLINK}
ip address add {WORLD[1]}/64 dev {UPLINK} nodad
ip address add {ELSEWHERE[0]}/24 dev {UPLINK}
ip address add {ELSEWHERE[1]}/64 dev {UPLINK} nodad preferred_lft 0
ip route add 224.0.0.0/4 dev {UPLINK}
touch /run/lab/ready
exec sleep infinity
"""

QUERY = re.compile(r"query\[(?P<type>[^]]+)\] (?P<name>\S+) from (?P<client>\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A look-up that reached a resolver of the world: `tunnel` (the VPN's), `inner` or `isp`."""

    name: str
    type: str
    client: str
    resolver: str


class Request(NamedTuple):
    """What the web server was asked: by whom, under which name, for what."""

    client: str
    host: str
    path: str


class Internet:
    """The world around one machine. Its WireGuard server listens on port 51820 of `WORLD`."""

    def __init__(self) -> None:
        require("dnsmasq", "ip", "nsenter", "wg", "wireguard-go")
        self.folder = scratch_folder()
        self._servers: list[subprocess.Popen[bytes]] = []
        self._clients: dict[int, str] = {}
        self._inner_clients: dict[int, str] = {}
        self._inner_key: str | None = None
        log = self._log("world")
        self._namespaces = Namespaces(("pid", *KINDS), ["bash", "-c", SETUP], output=log)
        os.close(log)
        self._namespaces.go()
        try:
            self._start_servers()
        except BaseException:
            self.close()
            raise

    def _log(self, name: str) -> int:
        return os.open(
            self.folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the world."""
        self._namespaces.kill()
        for server in self._servers:
            server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *argv: str) -> list[str]:
        """The command line that becomes `argv` in the world, and dies with us."""
        # Not in its process namespace: nsenter would fork, and keep signals and our end to itself.
        return [*LEASHED, *self._namespaces.command(argv, kinds=KINDS)]

    def run(self, *argv: str, text: str = "") -> str:
        """Run a command in the world, with `text` to read; gives its standard output."""
        command = self.command(*argv)
        return subprocess.run(
            command, input=text, text=True, check=True, stdout=subprocess.PIPE
        ).stdout

    def _serve(self, name: str, *argv: str) -> None:
        # In its process namespace: dnsmasq changes its credentials, which slips the leash.
        command = self._namespaces.command(argv)
        log = self._log(name)
        self._servers.append(
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log),
        )
        os.close(log)

    def _start_servers(self) -> None:
        self._wait_for(lambda: self._succeeds("test", "-e", "/run/lab/ready"), "world")
        self._server_key = self._serve_wireguard("wireguard", "wg0", WIREGUARD_PORT, TUNNEL)
        self._serve_dns("tunnel", TUNNEL)
        self._serve_dns("isp", WORLD)
        self._serve("web", sys.executable, "-I", os.fspath(GUEST / "web.py"))
        self._wait_for(lambda: f"*:{WEB_PORT}" in self._listening("tcp"), "web")
        self._serve("echo", sys.executable, "-I", os.fspath(GUEST / "echo.py"), *WEB)
        ends = {f"{WEB[0]}:{ECHO_PORT}", f"[{WEB[1]}]:{ECHO_PORT}"}
        for kind in ("tcp", "udp"):
            self._wait_for(lambda kind=kind: ends <= self._listening(kind), "echo")  # type: ignore[misc]

    def _serve_wireguard(self, log: str, link: str, port: int, addresses: tuple[str, str]) -> str:
        """Start a server with these addresses of its own, and give its private key."""
        self._serve(log, "wireguard-go", "-f", link)
        self._wait_for(lambda: f"/{link}.sock " in self.run(*LISTENING), log)
        key = self.run("wg", "genkey").strip()
        set_up = ("wg", "set", link, "listen-port", str(port), "private-key", "/dev/stdin")
        self.run(*set_up, text=key)
        self.run("ip", "address", "add", f"{addresses[0]}/24", "dev", link)
        self.run("ip", "address", "add", f"{addresses[1]}/64", "dev", link, "nodad")
        self.run("ip", "link", "set", link, "up")
        return key

    def _serve_dns(self, resolver: str, addresses: Sequence[str]) -> None:
        (self.folder / f"hosts-{resolver}").touch()
        self._serve(
            f"dnsmasq-{resolver}",
            "dnsmasq",
            "--conf-file=/dev/null",
            "--keep-in-foreground",
            "--bind-interfaces",
            *(f"--listen-address={address}" for address in addresses),
            "--user=root",
            f"--pid-file=/run/lab/dnsmasq-{resolver}",
            "--no-resolv",
            "--no-hosts",
            # Read anew at SIGHUP, and what is in there goes before --address.
            f"--addn-hosts={self.folder / f'hosts-{resolver}'}",
            "--cache-size=0",
            "--log-queries",
            f"--log-facility={self.folder / f'queries-{resolver}'}",
            *(f"--address=/example.net/{address}" for address in WEB),
            *(f"--address=/vpn.example.net/{address}" for address in WORLD),
        )
        self._wait_for(lambda: self._times_read(resolver) > 0, f"dnsmasq-{resolver}")

    def _times_read(self, resolver: str) -> int:
        """Tell how often a resolver has read its hosts: at first when it listens already."""
        log = self.folder / f"queries-{resolver}"
        words = f"read {self.folder / f'hosts-{resolver}'} - "
        return log.read_text().count(words) if log.exists() else 0

    def _listening(self, kind: str) -> set[str]:
        """Give the addresses, with their ports, where somebody listens by `tcp` or `udp`."""
        listeners = self.run("ss", "-Hln", f"--{kind}").splitlines()
        return {line.split()[3] for line in listeners}

    def _succeeds(self, *argv: str) -> bool:
        return subprocess.run(self.command(*argv), capture_output=True, check=False).returncode == 0

    def _wait_for(self, predicate: Callable[[], bool], log: str) -> None:
        deadline = time.monotonic() + 120
        while not predicate():
            if time.monotonic() > deadline:
                words = (self.folder / f"{log}.log").read_text(errors="replace")
                raise ChildProcessError(f"the world's {log} did not start: {words}")
            time.sleep(0.02)

    def attach_container(self, pid: int, name: str) -> None:
        """Give the namespaces of `pid` an interface `name` that ends in our uplink."""
        # In the world's network namespace only, where `pid` counts as on the real machine.
        ip = self._namespaces.command(("ip", "-batch", "-"), kinds=("net",))
        # After a reboot the kernel may still be taking the old one down.
        subprocess.run([*ip[:-2], "link", "delete", "port0"], capture_output=True, check=False)
        lines = (
            f"link add port0 type veth peer name {name} netns {pid}",
            f"link set port0 master {UPLINK} addrgenmode none up",
        )
        subprocess.run(ip, input="\n".join(lines), text=True, check=True)

    def attach_vm(self) -> str:
        """Make the tap device for a virtual machine that runs in the world; gives its name."""
        self.run("ip", "tuntap", "add", "port0", "mode", "tap")
        self.run("ip", "link", "set", "port0", "master", UPLINK, "addrgenmode", "none", "up")
        return "port0"

    def provider_conf(
        self,
        endpoint: str = f"{WORLD[0]}:{WIREGUARD_PORT}",
        *,
        dns: str | None = TUNNEL[0],
        client: int = 2,
    ) -> str:
        """What a provider hands out for wg-quick. Each `client`, 2 to 253, is a peer of its own."""
        addresses = client_addresses(client)
        if client not in self._clients:
            self._clients[client] = self._make_client("wg0", addresses)
        return self._conf(self._clients[client], addresses, dns, self._server_key, endpoint)

    def inner_conf(self, endpoint: str = f"{WEB[0]}:{INNER_PORT}", *, client: int = 2) -> str:
        """The same of a second provider, whose server is at the web server's addresses.

        So it is reached in the open and through the first one's tunnel. It has a resolver, too.
        """
        if self._inner_key is None:
            self._inner_key = self._serve_wireguard("inner", "wg1", INNER_PORT, INNER)
            self._serve_dns("inner", INNER)
        addresses = inner_addresses(client)
        if client not in self._inner_clients:
            self._inner_clients[client] = self._make_client("wg1", addresses)
        return self._conf(
            self._inner_clients[client], addresses, INNER[0], self._inner_key, endpoint
        )

    def _make_client(self, link: str, addresses: tuple[str, str]) -> str:
        """Have a server know a new peer, and give that one's private key."""
        key = self.run("wg", "genkey").strip()
        public = self.run("wg", "pubkey", text=key).strip()
        self.run("wg", "set", link, "peer", public, "allowed-ips", ",".join(addresses))
        return key

    def _conf(
        self, key: str, addresses: tuple[str, str], dns: str | None, server: str, endpoint: str
    ) -> str:
        lines = (
            "[Interface]",
            f"PrivateKey = {key}",
            f"Address = {', '.join(addresses)}",
            *((f"DNS = {dns}",) if dns else ()),
            "",
            "[Peer]",
            f"PublicKey = {self.run('wg', 'pubkey', text=server).strip()}",
            "AllowedIPs = 0.0.0.0/0, ::/0",
            f"Endpoint = {endpoint}",
        )
        return "\n".join(lines) + "\n"

    def point(self, name: str, addresses: Sequence[str]) -> None:
        """From now on the provider's resolver gives a name these addresses; none: as before."""
        lines = "".join(f"{address} {name}\n" for address in addresses)
        before = self._times_read("isp")
        (self.folder / "hosts-isp").write_text(lines)
        # Its number is that of its own process namespace.
        reload = ("sh", "-c", "kill -HUP $(cat /run/lab/dnsmasq-isp)")
        subprocess.run(self._namespaces.command(reload), check=True)
        # Until then whoever asks may be told what was.
        self._wait_for(lambda: self._times_read("isp") > before, "dnsmasq-isp")

    def renew_server_key(self) -> None:
        """The server has another key, which provider_conf() hands out from now on."""
        self._server_key = self.run("wg", "genkey").strip()
        self.run("wg", "set", "wg0", "private-key", "/dev/stdin", text=self._server_key)

    def stop_wireguard(self) -> None:
        """The server falls silent: its port is closed, its addresses stay."""
        self.run("ip", "link", "set", "wg0", "down")

    def start_wireguard(self) -> None:
        self.run("ip", "link", "set", "wg0", "up")

    def web_requests(self) -> tuple[Request, ...]:
        """Everything that the web server was asked so far."""
        # Whoever hangs up has the server write of that, too.
        lines = (self.folder / "web.log").read_text().splitlines()
        words = (line.split(" ", 2) for line in lines)
        return tuple(Request(*each) for each in words if len(each) == len(Request._fields))

    def dns_queries(self) -> tuple[Query, ...]:
        """Every look-up so far, first the tunnel's resolver's, then the provider's."""
        logs = ((each, self.folder / f"queries-{each}") for each in ("tunnel", "isp", "inner"))
        return tuple(
            Query(**found.groupdict(), resolver=resolver)
            for resolver, log in logs
            if log.exists()
            for found in QUERY.finditer(log.read_text())
        )


def client_addresses(client: int) -> tuple[str, str]:
    """The tunnel addresses of a client."""
    return f"10.66.0.{client}/32", f"fd66::{client:x}/128"


def inner_addresses(client: int) -> tuple[str, str]:
    """Those of a client of the second server."""
    return f"10.77.0.{client}/32", f"fd77::{client:x}/128"
