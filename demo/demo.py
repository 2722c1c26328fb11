"""A torrent client goes into a tunnel, loses it, and leaves it again, with every packet counted.

The machine is a container with Debian's own systemd as PID 1; around it is an internet of its own
(lab/): a WireGuard server, two resolvers and a web server, which answers with the address it saw.
"""

import json
import time
from pathlib import Path

from demo.screen import Screen
from lab import Completed, Traffic, World, boot_container, build_wheelhouse
from lab.internet import MACHINE, WEB, client_addresses
from lab.requirements import LabUnavailableError

REPOSITORY = Path(__file__).parent.parent
TORRENT = "transmission-daemon.service"
FETCH = "fetch.service"
IN_THE_OPEN = set(MACHINE)
IN_THE_TUNNEL = set(client_addresses(2)[0].split("/")[:1] + client_addresses(2)[1].split("/")[:1])
FAMILIES = 2  # IPv4 and IPv6
PAUSE = 2  # seconds
PLAN_HAS_CHANGES = 5
NOT_CONFINED = 3
ENOUGH = 50  # packets inside the tunnel: a service that did nothing proves nothing

SETTINGS = """\
# The file's name, vpn.toml, is the tunnel's name.
# What the provider gave for wg-quick. It is read each time the tunnel starts.
config = "/etc/wireguard/vpn.conf"

# These run inside the tunnel or not at all. Nothing else is touched.
services = [
  "transmission-daemon.service",
  "fetch.service",
]
# The client's web page, on 127.0.0.1 and ::1 of this machine.
publish = ["9091"]
# dns = ["10.64.0.1"]    # instead of the DNS= of the .conf
"""

PAGES = ("127.0.0.1", "[::1]")

# A second service, with a user of its own, that tells what the web server saw. Each run looks up a
# name that nobody has asked for before, so that no cache hides a look-up.
FETCH_UNIT = """\
[Unit]
Description=Ask a web server which address it sees

[Service]
Type=oneshot
DynamicUser=yes
SyslogIdentifier=fetch
ExecStart=sh -c 'name=$$INVOCATION_ID.example.net; for family in -4 -6; do \
echo "$$name sees $$(curl $$family -sS --max-time 3 http://$$name || echo nobody)"; done'
"""

MAGNET = (
    "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567"
    "&tr=http%3A%2F%2Fweb.example.net%2Fannounce"
)
# Transmission's RPC wants a session id, which it gives with its first refusal. $1 is the request.
RPC = """\
url=http://127.0.0.1:9091/transmission/rpc
id=$(curl -s -u transmission:transmission -D - -o /dev/null $url |
  tr -d '\\r' | sed -n 's/^X-Transmission-Session-Id: //p')
curl -sS -u transmission:transmission -H "X-Transmission-Session-Id: $id" -d "$1" $url
"""


def main() -> int:
    """Run the demo; gives 0 if every claim held."""
    screen, started = Screen(), time.monotonic()
    screen.heading("wgconfine: systemd services whose only way out is a WireGuard tunnel")
    screen.say(
        "This boots a Debian machine in a container, with an internet of its own. Nothing leaves"
        " this computer. Every line that begins with 'ok' was checked; the packets were counted on"
        " the machine's uplink."
    )
    try:
        with boot_container("trixie", wheelhouse=build_wheelhouse(REPOSITORY)) as world:
            Demo(screen, world).run()
    except LabUnavailableError as error:
        screen.claim("the demo can run here", holds=False, seen=str(error))
    except AssertionError as error:
        screen.claim("the demo came to its end", holds=False, seen=str(error))
    screen.heading("The end")
    took = time.monotonic() - started
    held = screen.checked - screen.failed
    screen.say(f"{held} of {screen.checked} claims held. It took {took:.0f} s.")
    return 1 if screen.failed else 0


class Demo:
    """The story, one method for each part."""

    def __init__(self, screen: Screen, world: World) -> None:
        self.screen, self.world = screen, world
        self.machine, self.internet = world.machine, world.internet
        self.looked_up = ""  # the name that fetch.service asked for the last time

    def run(self) -> None:
        """Tell it all."""
        self.in_the_open()
        self.settle()
        self.inside()
        self.published()
        self.proof()
        self.link_lost()
        self.tunnel_stopped()
        self.removed_and_released()

    def in_the_open(self) -> None:
        screen = self.screen
        screen.heading("1. Before: a torrent client in the open")
        screen.say(
            "transmission-daemon as Debian ships it, with one magnet link whose tracker is the web"
            " server; and a small service of our own, fetch.service, that asks the web server which"
            " address it sees."
        )
        self.machine.write("/etc/wireguard/vpn.conf", self.internet.provider_conf(), mode=0o600)
        self.machine.write("/etc/systemd/system/fetch.service", FETCH_UNIT)
        self.machine.systemctl("daemon-reload")
        with self.world.capture_uplink() as uplink:
            self.do("systemctl", "start", TORRENT)
            request = {"method": "torrent-add", "arguments": {"filename": MAGNET}}
            self.machine.run("bash", "-c", RPC, "bash", json.dumps(request))
            self.pause("the client announces itself")
            seen = self.fetch()
        self.claim_seen_by_web(seen, IN_THE_OPEN, "the host's own address")
        self.claim_announced(uplink.traffic, IN_THE_OPEN, "the host's own address")
        foreign = uplink.traffic.foreign()
        screen.claim(
            f"{len(foreign)} packets on the uplink that anybody there can read",
            holds=len(foreign) > 0,
        )
        screen.claim(
            "the internet provider's resolver was asked for the tracker's name",
            holds="isp" in self.resolvers_asked("web.example.net"),
        )

    def settle(self) -> None:
        screen = self.screen
        screen.heading("2. Ten lines of settings")
        self.machine.write("/etc/wgconfine/vpn.toml", SETTINGS)
        screen.command("cat /etc/wgconfine/vpn.toml")
        screen.show(SETTINGS)
        checked = self.do("wgconfine", "check")
        screen.claim("the settings and the .conf are right", holds=checked.returncode == 0)
        screen.say("What it would do. Nothing has been touched yet:")
        planned = self.do("wgconfine", "plan")
        screen.claim(
            f"plan says by exit code {PLAN_HAS_CHANGES} that there is work",
            holds=planned.returncode == PLAN_HAS_CHANGES,
        )

        screen.heading("3. Apply")
        before = self.machine.read(f"/usr/lib/systemd/system/{TORRENT}")
        screen.command("wgconfine apply -v")
        applied = self.machine.run("wgconfine", "apply", "-v", check=False)
        steps = [line.removeprefix("[#] ") for line in applied.stderr.splitlines()]
        screen.show("\n".join([*applied.stderr.splitlines()[:1], "…", f"[#] {steps[-1]}"]))
        screen.claim(
            f"apply took the {len(steps)} steps of the plan, in their order, and no other",
            holds=applied.returncode == 0 and steps == planned.stdout.splitlines(),
            seen=applied.stderr,
        )
        again = self.do("wgconfine", "apply")
        screen.claim(
            "a second time there is nothing to do",
            holds=again.returncode == 0 and "Nothing to do" in again.stdout,
        )
        screen.claim(
            "Debian's unit is as it was: what confines it is a drop-in beside it",
            holds=before == self.machine.read(f"/usr/lib/systemd/system/{TORRENT}"),
        )
        self.do("wgconfine", "status")
        self.claim_confined(TORRENT)

    def inside(self) -> None:
        screen = self.screen
        screen.heading("4. Inside: what the world sees now")
        asked_before = self.look_ups()
        with self.world.capture_uplink() as uplink, self.world.capture_tunnel() as tunnel:
            self.do("systemctl", "restart", TORRENT)
            self.pause("the client announces itself")
            seen = self.fetch()
            name = self.looked_up
            for _ in range(2):
                self.fetch(quietly=True)
        self.claim_seen_by_web(seen, IN_THE_TUNNEL, "the tunnel's address")
        self.claim_announced(tunnel.traffic, IN_THE_TUNNEL, "the tunnel's address")
        self.claim_nothing_foreign(uplink.traffic)
        screen.claim(
            f"{len(tunnel.traffic.packets)} packets were seen inside the tunnel meanwhile",
            holds=len(tunnel.traffic.packets) >= ENOUGH,
        )
        screen.claim(
            "the look-up was answered by the tunnel's resolver",
            holds=self.resolvers_asked(name) == {"tunnel"},
        )
        tunnel_asked, provider_asked = (
            after - before for after, before in zip(self.look_ups(), asked_before, strict=True)
        )
        screen.claim(
            f"{tunnel_asked} look-ups reached the tunnel's resolver, {provider_asked} the host's",
            holds=tunnel_asked > 0 and provider_asked == 0,
        )
        screen.say("The rest of the machine goes out as it always did:")
        outside = self.do("curl", "-4", "-s", "http://web.example.net/").stdout.strip()
        screen.claim(
            "the host itself is seen with its own address",
            holds=outside in IN_THE_OPEN,
            seen=outside,
        )

    def published(self) -> None:
        screen = self.screen
        screen.heading("5. Its web page, and no way out for that")
        screen.say(
            "systemd listens on the host and hands connections in. No link leads out of the"
            " namespace beside the tunnel:"
        )
        found = [self.title(f"http://{host}:9091/transmission/web/") for host in PAGES]
        screen.claim(
            "this machine gets the page, by IPv4 and IPv6",
            holds=all(found),
            seen=" ".join(found),
        )
        links = self.do("ip", "-brief", "-netns", "vpn", "link").stdout.splitlines()
        screen.claim(
            "inside there are lo and wg0 alone",
            holds=sorted(line.split()[0] for line in links) == ["lo", "wg0"],
        )

    def title(self, url: str) -> str:
        """Fetch a page and show its title, which is given; empty where there is no page."""
        self.screen.command(f"curl -s -u transmission:transmission {url} | grep '<title>'")
        done = self.machine.run("curl", "-s", "-u", "transmission:transmission", url, check=False)
        lines = [line.strip() for line in done.stdout.splitlines() if "<title>" in line]
        self.screen.show("\n".join(lines))
        return "".join(lines)

    def proof(self) -> None:
        screen = self.screen
        screen.heading("6. Proof, on the running system")
        screen.say(
            "verify compares what runs with what was declared, looks at every process and socket,"
            " and starts a probe with each service's own user and sandbox that tries to get out:"
        )
        with self.world.capture_uplink() as uplink:
            verified = self.do("wgconfine", "verify")
        screen.claim("verify found nothing that gets out", holds=verified.returncode == 0)
        self.claim_nothing_foreign(uplink.traffic)
        screen.say("Now root moves a process of the host's among those of the service:")
        script = (
            'sleep 60 >/dev/null 2>&1 & echo $! >"/sys/fs/cgroup$(systemctl show --value'
            f' --property=ControlGroup {TORRENT})/cgroup.procs"'
        )
        screen.command(script)
        self.machine.run("bash", "-c", script)
        verified = self.do("wgconfine", "verify")
        screen.claim(
            f"verify names it, by exit code {NOT_CONFINED}",
            holds=verified.returncode == NOT_CONFINED,
        )
        self.do("systemctl", "restart", TORRENT)
        self.pause("the client announces itself")
        verified = self.machine.run("wgconfine", "verify", check=False)
        screen.claim(
            "after the command that verify printed, all is well",
            holds=verified.returncode == 0,
            seen=verified.stdout,
        )

    def link_lost(self) -> None:
        screen = self.screen
        screen.heading("7. The link vanishes under the running service")
        pid = self.machine.show(TORRENT, "MainPID")
        with self.world.capture_uplink() as uplink:
            self.take_link_away()
            seen = self.fetch()
            self.announce_now()
            self.pause("the client tries to announce itself")
        screen.claim("fetch.service reached nobody", holds=not seen, seen=" ".join(seen))
        screen.claim(
            "the torrent client runs on, the same process, inside",
            holds=self.machine.show(TORRENT, "MainPID") == pid and self.is_inside(TORRENT),
        )
        self.claim_nothing_foreign(uplink.traffic, wireguard=False)
        screen.say("A restart of the tunnel brings link and services back:")
        self.do("systemctl", "restart", "wgconfine@vpn")
        screen.claim(
            "the service runs again, inside",
            holds=screen.wait(lambda: self.is_inside(TORRENT), f"{TORRENT} runs", 20),
        )
        self.claim_seen_by_web(self.fetch(), IN_THE_TUNNEL, "the tunnel's address")
        if self.backend() == "userspace":
            self.wireguard_crashes()

    def wireguard_crashes(self) -> None:
        screen = self.screen
        screen.say(
            "This kernel has no WireGuard, so wireguard-go carries the tunnel: a process, which can"
            " die. That heals by itself:"
        )
        pid = self.machine.show(TORRENT, "MainPID")
        with self.world.capture_uplink() as uplink:
            self.do("systemctl", "kill", "-s", "KILL", "wgconfine-wireguard@vpn")
            back = screen.wait(lambda: self.fetch(quietly=True) == IN_THE_TUNNEL, "it is back", 20)
        screen.claim("the tunnel carries again, without anybody's hand", holds=back)
        screen.claim(
            "the torrent client never noticed: the same process",
            holds=self.machine.show(TORRENT, "MainPID") == pid,
        )
        self.claim_nothing_foreign(uplink.traffic)

    def tunnel_stopped(self) -> None:
        screen = self.screen
        screen.heading("8. Somebody stops the tunnel")
        with self.world.capture_uplink() as uplink:
            self.do("systemctl", "stop", "wgconfine@vpn")
            self.do("wgconfine", "status")
            screen.claim(
                "the service stopped with its tunnel", holds=not self.machine.is_active(TORRENT)
            )
            screen.say(
                "It waits. Whoever starts it starts the tunnel too, for it cannot run without:"
            )
            self.do("systemctl", "start", TORRENT)
            self.pause("the client announces itself")
        self.claim_confined(TORRENT)
        self.claim_nothing_foreign(uplink.traffic)

    def removed_and_released(self) -> None:
        screen = self.screen
        screen.heading("9. Removed is not released")
        screen.say("The tunnel is taken away. Its services do not fall back into the open:")
        self.do("wgconfine", "remove", "vpn")
        with self.world.capture_uplink() as uplink:
            refused = self.do("systemctl", "start", TORRENT)
        screen.claim(
            "the service refuses to start, as failed, and sent nothing",
            holds=refused.returncode != 0
            and self.machine.show(TORRENT, "ActiveState") == "failed"
            and not uplink.traffic.foreign(),
        )
        self.do("wgconfine", "status")
        screen.say("To run in the open again is a word that somebody says:")
        self.do("wgconfine", "release", "--yes", TORRENT, FETCH)
        with self.world.capture_uplink() as uplink:
            self.do("systemctl", "start", TORRENT)
            self.pause("the client announces itself")
            seen = self.fetch()
        self.claim_seen_by_web(seen, IN_THE_OPEN, "the host's own address")
        self.claim_announced(uplink.traffic, IN_THE_OPEN, "the host's own address")

    # What a person types, and what is looked up behind the scenes.

    def do(self, *argv: str) -> Completed:
        """Run a command on the machine and show it with its output."""
        self.screen.command(" ".join(argv))
        done = self.machine.run(*argv, check=False)
        self.screen.show(done.stdout + done.stderr)
        return done

    def fetch(self, *, quietly: bool = False) -> set[str]:
        """Start fetch.service, and give the addresses that the web server saw it with."""
        if not quietly:
            self.screen.command(f"systemctl start {FETCH}; journalctl -t fetch -o cat")
        last = self.machine.run("journalctl", "-q", "-n", "0", "--show-cursor").stdout
        cursor = last.strip().removeprefix("-- cursor: ")
        self.machine.systemctl("start", FETCH, check=False)
        command = ("journalctl", "-q", "-o", "cat", "-t", "fetch", f"--after-cursor={cursor}")
        deadline = time.monotonic() + PAUSE
        said = ""
        while said.count(" sees ") < FAMILIES and time.monotonic() < deadline:
            said = self.machine.run(*command, check=False).stdout
        if not quietly:
            self.screen.show(said)
        answers = [line.split(" sees ") for line in said.splitlines() if " sees " in line]
        self.looked_up = answers[0][0] if answers else ""
        return {address for _, address in answers if address != "nobody"}

    def look_ups(self) -> tuple[int, int]:
        """Give how many look-ups the tunnel's resolver has had, and the host's."""
        resolvers = [query.resolver for query in self.internet.dns_queries()]
        return resolvers.count("tunnel"), resolvers.count("isp")

    def resolvers_asked(self, name: str) -> set[str]:
        return {query.resolver for query in self.internet.dns_queries() if query.name == name}

    def announce_now(self) -> None:
        """Ask the running client, inside its namespace, to call its tracker."""
        namespace = f"--net=/proc/{self.machine.show(TORRENT, 'MainPID')}/ns/net"
        request = json.dumps({"method": "torrent-reannounce"})
        self.machine.run("nsenter", namespace, "bash", "-c", RPC, "bash", request)

    def take_link_away(self) -> None:
        if self.backend() == "userspace":
            self.do("systemctl", "stop", "wgconfine-wireguard@vpn")
        else:
            self.do("systemctl", "stop", "wgconfine-tick.timer")  # it would make the link anew
            self.do("ip", "-n", "vpn", "link", "delete", "wg0")
        links = self.do("ip", "-n", "vpn", "-br", "link").stdout
        self.screen.claim("there is no wg0 any more", holds="wg0" not in links, seen=links)

    def backend(self) -> str:
        status = json.loads(self.machine.run("wgconfine", "status", "--json").stdout)
        return str(status["tunnels"][0]["backend"])

    def is_inside(self, unit: str) -> bool:
        """Whether the unit's main process is in the tunnel's namespace, and that is not PID 1's."""
        pid = self.machine.show(unit, "MainPID")
        script = (
            f"test {pid} -gt 0 && test /proc/{pid}/ns/net -ef /run/netns/vpn"
            f" && ! test /proc/{pid}/ns/net -ef /proc/1/ns/net"
        )
        return self.machine.run("sh", "-c", script, check=False).returncode == 0

    def pause(self, why: str) -> None:
        """Give the client the time that it takes; there is no sign of it to wait for."""
        self.screen.show(f"({PAUSE} s, in which {why})")
        time.sleep(PAUSE)

    # Claims that are made more than once.

    def claim_confined(self, unit: str) -> None:
        self.screen.claim(
            f"the main process of {unit} is in the tunnel's namespace, not in the host's",
            holds=self.is_inside(unit),
        )

    def claim_seen_by_web(self, seen: set[str], wanted: set[str], whose: str) -> None:
        self.screen.claim(
            f"the web server saw fetch.service with {whose}, on IPv4 and IPv6",
            holds=seen == wanted,
            seen=", ".join(sorted(seen)) or "nothing",
        )

    def claim_announced(self, traffic: Traffic, wanted: set[str], whose: str) -> None:
        seen = {
            packet.source
            for packet in traffic.packets
            if packet.target in WEB and packet.payload.startswith(b"GET /announce")
        }
        self.screen.claim(
            f"the tracker saw the torrent client with {whose}",
            holds=bool(seen) and seen <= wanted,
            seen=", ".join(sorted(seen)) or "no announcement",
        )

    def claim_nothing_foreign(self, traffic: Traffic, *, wireguard: bool = True) -> None:
        foreign, encrypted = traffic.foreign(), traffic.wireguard()
        self.screen.claim(
            f"on the uplink: {len(encrypted)} WireGuard packets, {len(foreign)} others",
            holds=not foreign and (bool(encrypted) or not wireguard),
            seen="\n".join(map(str, foreign[:10])),
        )
