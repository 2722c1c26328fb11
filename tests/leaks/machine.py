"""A machine with a service of each form for each channel, and what became of their tokens."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lab import World
from lab.capture import Packet
from tests.leaks.channel import Channel, Form, Outcome
from tests.leaks.probes import WEB
from tests.scenario import wgconfine, write_tunnel
from wgconfine.model.errors import ExitCode

__all__ = ["BEATS", "EXTRA_PACKAGES", "Trial", "run_channels"]

EXTRA_PACKAGES = (
    "avahi-daemon",
    "cron",
    "libnss-mdns",
    "libnss-resolve",
    "nscd",
    "systemd-resolved",
)

HOST = """
sed -i 's/^hosts:.*/hosts: files resolve [!UNAVAIL=return] dns/' /etc/nsswitch.conf
groupadd --system docker
groupadd --system incus-admin
useradd --system neighbour
useradd --system crontabs
mkdir -p /etc/netns/recipe /var/lib/incus /srv/leaks/probe /srv/leaks/early /srv/leaks/said
echo nameserver 10.66.0.1 >/etc/netns/recipe/resolv.conf
sed 's/^hosts:.*/hosts: files dns/' /etc/nsswitch.conf >/etc/netns/recipe/nsswitch.conf
systemctl daemon-reload
systemctl restart systemd-resolved nscd
systemctl start avahi-daemon lab-daemon recipe-tunnel
"""

# As the NixOS recipe has them, but for the link: where the kernel has no WireGuard, wireguard-go.
NAMESPACE = """\
[Unit]
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
PrivateNetwork=yes
{mounts}\
ExecStart=/usr/sbin/ip netns add %i
ExecStart=/usr/bin/umount /run/netns/%i
ExecStart=/usr/bin/mount --bind /proc/self/ns/net /run/netns/%i
ExecStop=/usr/sbin/ip netns delete %i
"""
TUNNEL = """\
[Unit]
BindsTo=netns@recipe.service
After=netns@recipe.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/bash /srv/recipe-up
"""
UP = """\
set -e
wireguard-go -f wgr &
# Not wg(8): it deletes a socket at which nobody listens yet.
until ss -Hx state listening | grep -q /wgr.sock; do sleep 0.05; done
wg setconf wgr <(wg-quick strip recipe)
ip link set wgr netns recipe name wg0
for address in 10.66.0.3/32 fd66::3/128; do ip -n recipe address add $address dev wg0; done
ip -n recipe link set lo up
ip -n recipe link set wg0 up
ip -n recipe route add default dev wg0
ip -n recipe -6 route add default dev wg0
"""

DAEMON = """\
import grp, os, socket, socketserver

class Sends(socketserver.BaseRequestHandler):
    def handle(self):
        token = self.request.recv(64)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.sendto(token, ("203.0.113.80", 9))
        self.request.sendall(b"sent")

places = {
    "/run/docker.sock": "docker",
    "/var/lib/incus/unix.socket": "incus-admin",
    "\\0lab-daemon": "",
}
import threading
for place, group in places.items():
    server = socketserver.ThreadingUnixStreamServer(place, Sends)
    if group:
        os.chown(place, 0, grp.getgrnam(group).gr_gid)
        os.chmod(place, 0o660)
    threading.Thread(target=server.serve_forever).start()
"""
CLIENT = """\
#!/usr/bin/python3
import os, socket
daemon = socket.socket(socket.AF_UNIX)
daemon.connect("/run/docker.sock")
daemon.sendall(os.environ["MARK"].encode())
print(daemon.recv(16))
"""

# The service waits until the host has done what it does meanwhile, and says when the probe ended.
# It sends before its probe, with a token that is not the probe's: one that did nothing would prove
# nothing. Not all at once, for what a link cannot take it drops.
DRIVE = f"""\
pulse() {{
    for burst in {{1..25}}; do
        for packet in 1 2 3 4; do
            echo $PULSE >/dev/udp/{WEB}/9
        done
        sleep 0.2
    done
}}
run() {{
    read -r first <$1
    case $first in
        import*holds) timeout 600 python3 -u $1;;
        import*) timeout 60 python3 -u $1;;
        *) timeout 60 bash $1;;
    esac
}}
if [ -e /srv/leaks/early/$1 ]; then run /srv/leaks/early/$1; fi
while ! [ -e /srv/leaks/go-$2 ]; do sleep 0.1; done
pulse
run /srv/leaks/probe/$1
echo "ended $?"
"""
UNIT = """\
[Service]
Type=exec
Environment=UNIT={unit} MARK={mark} PULSE={pulse} NAME={mark}.leak.example.net
StandardOutput=append:/srv/leaks/said/{unit}
StandardError=inherit
ExecStart=/bin/bash /srv/leaks/drive {channel} {wave}
"""
RECIPE = """\
[Unit]
BindsTo=recipe-tunnel.service
After=recipe-tunnel.service
JoinsNamespaceOf=netns@recipe.service
[Service]
PrivateNetwork=yes
"""

PATIENCE = 240
BEATS = 50
"""So many packets of a service must have been seen inside: one that did nothing proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One service: a channel in one form, its token, and what became of that."""

    channel: Channel
    form: Form
    mark: str = field(default_factory=lambda: secrets.token_hex(4))
    pulse: str = field(default_factory=lambda: secrets.token_hex(4))
    number: int = 0
    beats: int = 0
    """How many packets with its pulse were seen inside the tunnel."""
    astray: int = 0
    """How many were seen on the uplink."""
    outcome: Outcome = Outcome.NOTHING
    said: str = field(default="", repr=False)
    """What the probe printed: for whoever has to find out why."""

    @property
    def unit(self) -> str:
        return f"leak-{self.channel.name}-{self.form}"

    @property
    def service(self) -> str:
        return f"{self.unit}.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Where tokens can turn up, each as one text."""

    uplink: str
    tunnel: str
    isp: str
    host: str

    def outcome(self, mark: str) -> Outcome:
        """Judge by the worst: what came out counts though it was seen inside, too."""
        for text, outcome in (
            (self.uplink, Outcome.LEAK),
            (self.host, Outcome.HOST),
            (self.isp, Outcome.ISP),
            (self.tunnel, Outcome.TUNNEL),
        ):
            if mark in text:
                return outcome
        return Outcome.NOTHING


def run_channels(
    world: World, channels: Sequence[Channel], forms: Sequence[Form] = tuple(Form)
) -> dict[str, dict[Form, Trial]]:
    """Try every channel in each form, all at once under one capture; by the channel's name."""
    trials = [
        Trial(channel=channel, form=form, number=7000 + len(forms) * place + nth)
        for place, channel in enumerate(channels)
        for nth, form in enumerate(forms)
    ]
    set_up(world)
    write_units(world, trials)
    open_first = [each for each in trials if each.channel.open_first]
    start(world, open_first)
    refused = confine(world, trials)
    trials = [each for each in trials if each.unit not in refused]
    judged = judge(world, trials)
    found: dict[str, dict[Form, Trial]] = {channel.name: {} for channel in channels}
    for trial in (*judged, *refused.values()):
        found[trial.channel.name][trial.form] = trial
    return found


def set_up(world: World) -> None:
    """The host with its daemons, and the recipe's tunnel."""
    machine = world.machine
    old = machine.sh("systemctl --version").startswith("systemd 252")
    mounts = "" if old else "PrivateMounts=no\n"
    conf = world.internet.provider_conf(client=3)
    machine.write("/etc/wireguard/recipe.conf", conf, mode=0o600)
    write_files(
        world,
        {
            "/etc/systemd/system/netns@.service": NAMESPACE.format(mounts=mounts),
            "/etc/systemd/system/recipe-tunnel.service": TUNNEL,
            "/etc/systemd/system/lab-daemon.service": (
                "[Service]\nType=exec\nExecStart=/usr/bin/python3 /srv/lab-daemon\n"
            ),
            "/etc/systemd/resolved.conf.d/lab.conf": "[Resolve]\nDNS=198.51.100.1\nDNSSEC=no\n",
            "/srv/recipe-up": UP,
            "/srv/lab-daemon": DAEMON,
            "/srv/leaks/drive": DRIVE,
            "/usr/bin/docker": CLIENT,
        },
    )
    machine.sh(HOST)


def write_files(world: World, files: Mapping[str, str]) -> None:
    """All at once, for they are many."""
    script = "".join(
        f"mkdir -p \"$(dirname '{path}')\"\ncat >'{path}' <<'END_OF_FILE'\n{text}\nEND_OF_FILE\n"
        for path, text in files.items()
    )
    world.machine.run("bash", "-eu", input=script)


def write_units(world: World, trials: Sequence[Trial]) -> None:
    """The owner's units, as they are before anybody confines them, and the probes they run."""
    files: dict[str, str] = {}
    for trial in trials:
        channel = trial.channel
        text = UNIT.format(
            unit=trial.unit,
            mark=trial.mark,
            pulse=trial.pulse,
            channel=channel.name,
            wave=channel.wave,
        )
        files[f"/etc/systemd/system/{trial.service}"] = text + channel.unit
        files[f"/srv/leaks/probe/{channel.name}"] = channel.probe
        if channel.early:
            files[f"/srv/leaks/early/{channel.name}"] = channel.early
        for name, other in channel.files:
            path = f"/etc/systemd/system/{name.format(unit=trial.unit)}"
            files[path] = other.format(unit=trial.unit, number=trial.number)
    write_files(world, files)
    world.machine.sh("chmod 755 /usr/bin/docker; systemctl daemon-reload")


def start(world: World, trials: Sequence[Trial]) -> None:
    """Start them; one that fails to start says so in what became of its probe."""
    plain = [trial for trial in trials if not trial.channel.prepare]
    for trial in trials:
        if trial.channel.prepare:
            script = f"UNIT={trial.unit}\n{trial.channel.prepare}\nsystemctl start {trial.service}"
            world.machine.sh(script)
    if plain:
        world.machine.systemctl("start", *(trial.service for trial in plain), check=False)


def confine(world: World, trials: Sequence[Trial]) -> dict[str, Trial]:
    """Confine each by its form; gives those that `wgconfine plan` refuses by name."""
    ours = [trial for trial in trials if trial.form is not Form.RECIPE]
    write_settings(world, ours)
    said = wgconfine(world, "plan", check=False).stderr.splitlines()
    problems = [line for line in said if not line.startswith("warning: ")]
    refused = {}
    for trial in ours:
        reasons = [line for line in problems if trial.service in line]
        if reasons:
            words = "\n".join(reasons)
            refused[trial.unit] = replace(trial, outcome=Outcome.REFUSED, said=words)
    write_settings(world, [trial for trial in ours if trial.unit not in refused])
    apply(world)
    recipe = [trial for trial in trials if trial.form is Form.RECIPE]
    write_files(
        world,
        {
            f"/etc/systemd/system/{trial.service}.d/recipe.conf": RECIPE + trial.channel.masks
            for trial in recipe
        },
    )
    world.machine.systemctl("daemon-reload")
    for trial in recipe:
        if trial.channel.open_first:
            world.machine.systemctl("restart", trial.service)
    return refused


def apply(world: World) -> None:
    """`apply` verifies what it did: nothing is wrong but groups, and users with others outside."""
    done = wgconfine(world, "apply", check=False)
    words = ("NOT CONFINED: ", "LEAK: ", "unknown: ", "broken: ")
    wrong = [line.strip() for line in done.stdout.splitlines() if line.strip().startswith(words)]
    known = ("NOT CONFINED: group:", "NOT CONFINED: processes of ")
    others = [line for line in wrong if not line.startswith(known)]
    if done.returncode not in {ExitCode.OK, ExitCode.NOT_CONFINED} or others:
        raise AssertionError("\n".join([*others, done.stderr[-2000:]]))


def write_settings(world: World, trials: Sequence[Trial]) -> None:
    strict = "".join(
        f'[service."{trial.service}"]\nhardening = "strict"\n'
        for trial in trials
        if trial.form is Form.STRICT
    )
    write_tunnel(world, [trial.service for trial in trials], extra=strict)


def judge(world: World, trials: Sequence[Trial]) -> list[Trial]:
    """Let all probes run between two beacons of each capture, and look for each token."""
    machine = world.machine
    channels = {trial.channel.name: trial.channel for trial in trials}.values()
    with world.capture_uplink() as uplink, world.capture_tunnel() as tunnel:
        for wave in sorted({trial.channel.wave for trial in trials}):
            probe(world, [trial for trial in trials if trial.channel.wave == wave], wave)
        wait_until_sent(world)
        traces = dict.fromkeys(each.trace for each in channels)
        marks = " ".join(trial.mark for trial in trials)
        host = machine.sh(f"MARKS='{marks}'\n" + "\n".join(traces))
        machine.sh("touch /srv/leaks/end")
        if any(channel.minute for channel in channels):
            machine.sh('sleep "$((63 - 10#$(date +%S)))"', timeout=90)
    seen = Seen(
        uplink=text_of(uplink.traffic.foreign()),
        tunnel=text_of(tunnel.traffic.packets),
        isp=" ".join(each.name for each in world.internet.dns_queries() if each.resolver == "isp"),
        host=host,
    )
    return [
        replace(
            trial,
            outcome=seen.outcome(trial.mark),
            beats=seen.tunnel.count(trial.pulse),
            astray=seen.uplink.count(trial.pulse),
            said=said_by(world, trial),
        )
        for trial in trials
    ]


def wait_until_sent(world: World) -> None:
    """Wait for what probes have others do, which end later, and for what is still in the tunnels.

    Whatever is sent in a tunnel comes after what was sent there before.
    """
    machine = world.machine
    others = "systemctl list-jobs --no-legend; pgrep -f 'echo [0-9a-f]{8} >/dev/udp' || true"
    machine.wait_for(lambda: not machine.sh(others), "what probes have started has ended")
    for name in ("recipe", "vpn"):
        ask = f"nsenter --net=/run/netns/{name} curl -s -m 9 http://{WEB}/ || true"
        machine.wait_for(lambda: bool(machine.sh(ask)), f"{name} carries")  # noqa: B023 — is called at once


def probe(world: World, trials: Sequence[Trial], wave: int) -> None:
    """Start the services of one wave, let the host do its part, and wait for the probes' ends."""
    # Those that were open first run again already.
    start(world, [trial for trial in trials if not trial.channel.open_first])
    meanwhile = dict.fromkeys(trial.channel.meanwhile for trial in trials)
    world.machine.sh("\n".join(meanwhile) + f"\ntouch /srv/leaks/go-{wave}")
    awaited = {trial.unit for trial in trials}
    world.machine.wait_for(lambda: ended(world) >= awaited, "every probe has ended", PATIENCE)


def ended(world: World) -> set[str]:
    listing = world.machine.sh("grep -lE '^(ended|listens)' /srv/leaks/said/* || true")
    return {line.rpartition("/")[2] for line in listing.splitlines()}


def said_by(world: World, trial: Trial) -> str:
    return world.machine.run("cat", f"/srv/leaks/said/{trial.unit}", check=False).stdout


def text_of(packets: Iterable[Packet]) -> str:
    """What packets carry, in one text; a label of a DNS name stands in it as it is written."""
    return "\n".join(packet.payload.decode("latin-1").lower() for packet in packets)
