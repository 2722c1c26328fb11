"""A machine without systemd, for the runtime alone: namespaces whose first process is its PID 1.

They have a /run, an /etc and an /usr/sbin of their own, a network that counts as the host's, and a
`world` beyond it. The real machine sees nothing of what is done there.
"""

import ast
import json
import os
import socket
import subprocess  # noqa: TID253 — a test may take its time
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lab.layers import GUEST
from lab.namespaces import Namespaces
from lab.requirements import require
from wgconfine.config.settings import parse_settings
from wgconfine.model.settings import Backend
from wgconfine.render.record import host_link, record_file
from wgconfine.runtime.namespace import enter

KEY = "UFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFA="
SHARED_KEY = "U1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1M="
PEER = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
SECRETS = (KEY, SHARED_KEY)

CONF = f"""\
[Interface]
PrivateKey = {KEY}
Address = 10.66.0.2/32, fc00:66::2/128
DNS = 10.66.0.1
[Peer]
PublicKey = {PEER}
PresharedKey = {SHARED_KEY}
Endpoint = 192.0.2.2:51820
AllowedIPs = 0.0.0.0/0, ::/0
"""
SETTINGS = 'config = "/etc/wireguard/vpn.conf"\nbackend = "userspace"\nservices = ["a.service"]\n'
LINK = host_link(parse_settings("vpn", [(PurePosixPath("/vpn.toml"), SETTINGS)]).name)

START = r"""
set -e
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
for place in etc usr/sbin; do
    own=/run/lab/$place
    mkdir -p $own/upper $own/work
    mount -t overlay -o lowerdir=/$place,upperdir=$own/upper,workdir=$own/work overlay /$place
done
mkdir -p /run/wireguard /etc/wgconfine /etc/wireguard
ip link set lo up
ip netns add world
ip link add uplink type veth peer name eth0 netns world
ip address add 192.0.2.1/24 dev uplink
ip link set uplink up
ip -n world address add 192.0.2.2/24 dev eth0
ip -n world link set eth0 up
# What is sent is lost until a thread of the kernel's has seen the carrier.
until ip -o link show dev uplink | grep -q ' state UP '; do sleep 0.01; done
until ip -n world -o link show dev eth0 | grep -q ' state UP '; do sleep 0.01; done
touch /run/lab/ready
exec cat
"""

PROGRAMS = ("ip", "nft", "wg", "mount", "umount")
# In /usr/sbin, where the runtime looks first: it keeps what each program was told.
WRAPPER = r"""#!/bin/sh
{ printf '%s\n' "$0 $*"; cat /proc/self/environ; echo; } >>/run/lab/told
exec /run/lab/real/PROGRAM "$@"
"""
# What the units' ExecStart= has: render/templates.py.
START_RUNTIME = "from wgconfine.runtime.__main__ import run; run()"
KILL_AT = os.fspath(GUEST / "root/usr/lib/lab/kill-at.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a verb of the runtime ended, and all that it said."""

    status: int
    said: str


def own_namespace(verb: str) -> list[str]:
    """What systemd does for the namespace unit before its command runs."""
    return ["unshare", "--net"] if verb == "netns-up" else []


class Machine:
    """Runs programs and the runtime's verbs in those namespaces."""

    def __init__(self) -> None:
        self._namespaces = Namespaces(("net", "mount", "pid"), ["sh", "-c", START])
        self._started: list[subprocess.Popen[bytes]] = []

    def path(self, path: str) -> Path:
        """A path of the machine, as the test can open it."""
        return Path(f"/proc/{self._namespaces.pid}/root{path}")

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text, encoding="utf-8")
        self.path(path).chmod(mode)

    def sh(self, script: str, *, inside: str = "", timeout: float = 120) -> str:
        """Run a script in the host's namespace or a named one; it must succeed."""
        done = self._run(["sh", "-ec", script], inside=inside, timeout=timeout)
        assert done.returncode == 0, f"{script}: {done.stdout}"
        return done.stdout.strip()

    def shell(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Run a script in the host's namespace, whatever comes of it."""
        return subprocess.run(
            self._command(["sh", "-c", f"cd /; {script}"], ""),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def wait_for_links(self, *ends: tuple[str, str]) -> None:
        """Wait for links, each with its namespace: until then what is sent there is lost.

        Threads of the kernel's see a carrier, and make the local routes of IPv6 addresses, some
        time after they were asked to.
        """
        for namespace, link in ends:
            self.wait_for(lambda end=(namespace, link): self._is_usable(*end))  # type: ignore[misc]

    def _is_usable(self, namespace: str, link: str) -> bool:
        def ask(words: str) -> Any:
            return json.loads(self.sh(f"ip -n {namespace} -j {words}") or "[]")

        (shown,) = ask(f"link show dev {link}")
        wanted = {
            address["local"]
            for each in ask(f"-6 address show dev {link} scope global")
            for address in each.get("addr_info", ())
            if address  # of another scope: ip(8) leaves an empty one
        }
        routed = {route["dst"] for route in ask("-6 route show table local")}
        return shown["operstate"] == "UP" and wanted <= routed

    def start(self, *argv: str, inside: str = "") -> None:
        """Start a program that runs on; it ends with the machine."""
        command = self._command(argv, inside)
        quiet = subprocess.DEVNULL
        self._started.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))

    def close(self) -> None:
        """End every process."""
        self._namespaces.kill()
        for each in self._started:
            each.wait()

    def runtime(self, verb: str, *, prefix: Sequence[str] = (), inside: str = "") -> Done:
        """Run a verb as its unit would. Whatever happens, it says no secret (invariant 8)."""
        argv = [*prefix, sys.executable, "-I", "-c", START_RUNTIME, verb, "vpn"]
        done = self._run(argv, inside=inside)
        assert [] == [secret for secret in SECRETS if secret in done.stdout]
        return Done(status=done.returncode, said=done.stdout)

    def killed_at(
        self, verb: str, step: int, *, within: Sequence[str] = ()
    ) -> tuple[Done, list[str]]:
        """Run a verb, killed at a step of the whole run (0: never); gives the steps too.

        `within` is a program that outlives the kill.
        """
        killer = [sys.executable, KILL_AT, str(step), "/run/lab/steps"]
        done = self.runtime(verb, prefix=[*own_namespace(verb), *within, *killer])
        return done, self.path("/run/lab/steps").read_text().splitlines()

    def succeed(self, verb: str) -> str:
        """Run a verb that must succeed; `netns-up` in a namespace of its own, as systemd does."""
        done = self.runtime(verb, prefix=own_namespace(verb))
        assert done.status == 0, done.said
        return done.said

    def configure(self, *, conf: str = CONF, settings: str = SETTINGS) -> None:
        """Write what `apply` and a provider would have left."""
        self.write("/etc/wireguard/vpn.conf", conf, mode=0o600)
        parsed = parse_settings("vpn", [(PurePosixPath("/etc/wgconfine/vpn.toml"), settings)])
        self.write("/etc/wgconfine/vpn.json", record_file(parsed, Backend.USERSPACE).text)

    def start_wireguard(self) -> None:
        """Do what wgconfine-wireguard@vpn.service does: the link is in the host's namespace."""
        self.start("wireguard-go", "-f", LINK)
        # Not until it is there alone: wg(8) deletes a socket at which nobody listens yet, which
        # `ss -l` shows, too.
        self.wait_for(lambda: f"/{LINK}.sock " in self.sh("ss -Hx state listening"))

    def wireguard_ended(self) -> None:
        """Wait until wireguard-go has followed its link."""
        socket_path = self.path(f"/run/wireguard/{LINK}.sock")
        self.wait_for(lambda: not socket_path.exists())
        self.wait_for(lambda: LINK not in self.sh("ps -A -o args="))

    def identity(self, path: str) -> int:
        """The inode of a namespace."""
        return self.path(path).stat().st_ino

    def socket(self, namespace: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket in a named namespace; it stays there, and the test stays here."""
        place = self.path(f"/run/netns/{namespace}")
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)

        def make() -> socket.socket:
            enter(descriptor, "enter for a socket")  # this thread alone
            return socket.socket(family, kind, protocol)

        try:
            with ThreadPoolExecutor(1) as thread:
                made = thread.submit(make).result()
        finally:
            os.close(descriptor)
        made.settimeout(2)
        return made

    def state(self) -> dict[str, object]:
        """All that the runtime makes, but what is new each time: link index, port and namespace.

        Nor what it says of a failure.
        """
        found: dict[str, object] = {
            "mounts": self.sh("findmnt -rno TARGET | grep -E '^/run/(netns|wgconfine)' | sort"),
            "files": self.sh(
                "mkdir -p /run/wgconfine/tunnel; cd /run/wgconfine; "
                "find . -path ./netns -prune -o -path ./lock -prune -o -path ./trouble -prune -o "
                "-printf '%p %m %U %l\\n' | sort; find tunnel -type f | sort | xargs -r head -n 99"
            ),
            "host": self.sh("ip -o link | grep -v ' uplink@'"),
        }
        if self.sh("findmnt /run/netns/vpn || true"):
            found |= {
                "rules": self.sh("nft -s list ruleset", inside="vpn"),
                "addresses": self.addresses(),
                "routes": self.routes(),
                "up": self.sh("ip -br link show up | cut -d' ' -f1 | sort", inside="vpn"),
            }
        if self.path(f"/run/wireguard/{LINK}.sock").exists():
            lines = self.sh(f"wg showconf {LINK}").splitlines()
            found["wg"] = [line for line in lines if not line.startswith("ListenPort")]
        return found

    def addresses(self) -> list[str]:
        links = json.loads(self.sh("ip -j address show", inside="vpn"))
        return [
            f"{link['ifname']} {address['local']}/{address['prefixlen']} mtu {link['mtu']}"
            for link in links
            for address in link["addr_info"]
        ]

    def missing(self) -> list[str]:
        """What the tunnel lacks, as the look for faults and the tick see it."""
        look = "from wgconfine.runtime import link; print(link.missing(link.declared('vpn')))"
        found: list[str] = ast.literal_eval(
            self.sh(f'{sys.executable} -I -c "{look}"', inside="vpn")
        )
        return found

    def routes(self) -> list[str]:
        texts = [self.sh(f"ip -j {family} route", inside="vpn") for family in ("-4", "-6")]
        found = [each for text in texts for each in json.loads(text or "[]")]
        return [f"{each['dst']} dev {each['dev']}" for each in found]

    def listen_to_programs(self) -> None:
        """Keep from now on what each program of the runtime is told."""
        self.sh("mkdir /run/lab/real; touch /run/lab/told")
        for program in PROGRAMS:
            self.sh(f"cp -L $(command -v {program}) /run/lab/real/{program}")
            self.sh(f"rm -f /usr/sbin/{program}")
            wrapper = WRAPPER.replace("PROGRAM", program)
            self.write(f"/usr/sbin/{program}", wrapper, mode=0o755)

    def told(self) -> str:
        """Arguments and environment of every program that ran since we listen."""
        return self.path("/run/lab/told").read_text()

    def _command(self, argv: Sequence[str], inside: str) -> list[str]:
        place = [] if not inside else ["nsenter", f"--net=/run/netns/{inside}"]
        # A process group of its own, as each unit's processes have.
        return self._namespaces.command([*place, "setsid", *argv])

    def _run(
        self, argv: Sequence[str], inside: str = "", timeout: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self._command(argv, inside),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout,
        )

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until something holds, at most two minutes: the machine may be a busy one."""
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in two minutes"
            time.sleep(0.01)

    def waiting_for(self, path: str) -> int:
        """Tell how many wait for the lock on a file: proc_locks(5)."""
        inode = self.path(path).stat().st_ino
        lines = self.sh("cat /proc/locks").splitlines()
        return sum(" -> FLOCK " in line and f":{inode} " in line for line in lines)


@contextmanager
def boot() -> Iterator[Machine]:
    """A machine that ends, with every process on it, when the block does."""
    require("ip", "nft", "wg", "wireguard-go", "nsenter", "unshare", "flock", "findmnt", "setsid")
    machine = Machine()
    try:
        machine.wait_for(machine.path("/run/lab/ready").exists)
        yield machine
    finally:
        machine.close()
