"""Every channel that a probe tries: by which observation of the host's it counts as closed, and
what an answer of the probe's means. Pure.

The probe runs as the service's user, who may forge what it says. So it is believed when it says
that it got out, and never that it did not.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from wgconfine.model.verify import Verdict
from wgconfine.runtime.paths import private_bus
from wgconfine.verify.attempt import BLOCKED, OPEN, OUT, PROGRAMS, SENT, SPOOLS
from wgconfine.verify.bus import SYSTEM_BUS
from wgconfine.verify.facts import Facts, HostFacts, Peer, stat_of
from wgconfine.verify.mounts import below, foreign_mounts, join, reachable, seen_at, top_at

__all__ = ["CHANNELS", "Answer", "Around", "Channel", "Ground", "judge"]

CAP_SETUID, CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_ADMIN = 7, 12, 19, 21

OURS = tuple(
    PurePosixPath("/run", each)
    for each in (
        *("systemd/notify", "systemd/journal"),
        *("current-system", "booted-system", "wrappers", "binfmt"),
        *("opengl-driver", "opengl-driver-32"),
    )
)
"""What the drop-in leaves of the host's /run on purpose."""
DYNAMIC_USERS = PurePosixPath("/run/systemd/userdb/io.systemd.DynamicUser")
"""Left to all but root, for whom systemd 262 starts units by it."""
MADE_BY_SYSTEMD = tuple(
    PurePosixPath("/run/systemd", each)
    for each in ("incoming", "propagate", "inaccessible", "unit-root", "mount-rootfs", "namespace")
)
SET_ID, WRITE = 0o6000, 2
SSSD = "/var/lib/sss/pipes/"
WAYS_OUT = (
    *("docker", "containerd", "podman", "crio", "buildkit", "libvirt", "incus", "lxd", "lxc"),
    *("snapd", "cups", "system_bus_socket", "/systemd/private", "io.systemd.Resolve", "nscd"),
    *("avahi", "machine", "/user/", "sss/pipes", "/systemd/userdb/"),
)
"""Parts of paths of sockets whose daemons do work, or look names up, for whom asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the probe says of a channel."""

    word: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is observed of one probe, and what its owner allowed the service.

    `tunnel` is the tunnel's name, `stem` the service's without its suffix; `named` are socket files
    that are bound in the tunnel's own namespace.
    """

    tunnel: str
    stem: str
    facts: Facts
    host: HostFacts
    allow_paths: tuple[PurePosixPath, ...] = ()
    allow_bus: tuple[str, ...] = ()
    named: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Why a channel is closed (`holds`), is not (False), or that nothing shows either (None)."""

    holds: bool | None
    why: str


Need = Callable[[Around], Ground]


def inside(around: Around) -> Ground:
    if around.facts.inside is None:
        return Ground(holds=None, why="its network namespace can't be seen")
    if not around.facts.inside:
        return Ground(holds=False, why="it is not in the tunnel's network namespace")
    return Ground(holds=True, why="it is in the tunnel's network namespace")


def left_open(facts: Facts) -> tuple[PurePosixPath, ...]:
    """What of the host's /run the drop-in leaves to somebody with these rights."""
    root = facts.credentials.user == 0 or facts.credentials.has(CAP_SETUID)
    return OURS if root else (*OURS, DYNAMIC_USERS)


def own_run(around: Around) -> Ground:
    """Whether its /run is the directory that we prepared, with nothing of the host's beside ours.

    Only sockets there reach the host's resolver, bus and name service daemons.
    """
    home = top_at(around.host.mounts, "/run")
    seen = top_at(around.facts.mounts, "/run")
    if home is None or seen is None:
        return Ground(holds=None, why="its mounts can't be seen")
    within = "" if home.point == "/run" else "/run"
    private = f"{home.root.rstrip('/')}{within}/wgconfine/run/{around.stem}"
    if (seen.device, seen.root) != (home.device, private):
        return Ground(holds=False, why="its /run is not the one that wgconfine prepared")
    state = PurePosixPath("/run/wgconfine/tunnel", around.tunnel)
    proxy = (PurePosixPath(private_bus(around.stem)),) if around.allow_bus else ()
    ours = (*left_open(around.facts), *MADE_BY_SYSTEMD, state, *proxy, *around.allow_paths)
    foreign = foreign_mounts(
        around.facts.mounts, device=home.device, private=private, ours=ours, within=within
    )
    if foreign:
        return Ground(holds=False, why=f"it sees {' '.join(foreign[:4])} of the host")
    return Ground(holds=True, why="its /run is its own")


def is_proxy(around: Around, path: str) -> bool:
    """Whether what it sees at a path is the socket of its own proxy of the bus, which filters."""
    place = private_bus(around.stem)
    seen, ours = top_at(around.facts.mounts, path), top_at(around.host.mounts, place)
    if not around.allow_bus or seen is None or ours is None:
        return False
    root = join(ours.root, below(place, ours.point) or "")
    return (seen.device, seen.root) == (ours.device, root)


def no_family(*names: str) -> Need:
    def need(around: Around) -> Ground:
        left = [name for name in names if not around.facts.refuses_family(name)]
        if left:
            return Ground(holds=None, why=f"no filter keeps it from {' '.join(left)}")
        return Ground(holds=True, why=f"a filter refuses {' '.join(names)}")

    return need


def cannot_enter(around: Around) -> Ground:
    facts = around.facts
    if facts.refuses_namespaces("net") or facts.refuses_call("setns"):
        return Ground(holds=True, why="a filter refuses to enter namespaces")
    return without(CAP_SYS_ADMIN, "CAP_SYS_ADMIN")(around)


def cannot_unmount(around: Around) -> Ground:
    if around.facts.refuses_call("umount2"):
        return Ground(holds=True, why="a filter refuses to unmount")
    return without(CAP_SYS_ADMIN, "CAP_SYS_ADMIN")(around)


def cannot_route(around: Around) -> Ground:
    if around.facts.refuses_family("AF_NETLINK"):
        return Ground(holds=True, why="a filter refuses AF_NETLINK")
    return without(CAP_NET_ADMIN, "CAP_NET_ADMIN")(around)


def without(capability: int, name: str) -> Need:
    def need(around: Around) -> Ground:
        facts = around.facts
        if facts.own_users or not facts.credentials.has(capability):
            return Ground(holds=True, why=f"it is without {name}")
        return Ground(holds=None, why=f"it has {name}")

    return need


def no_ring(around: Around) -> Ground:
    if around.facts.refuses_call("io_uring_setup"):
        return Ground(holds=True, why="a filter refuses io_uring")
    admin = around.facts.credentials.has(CAP_SYS_ADMIN)
    if around.host.rings > int(admin):
        return Ground(holds=True, why="the kernel gives it no io_uring")
    return Ground(holds=None, why="nothing keeps it from io_uring")


def no_peer(around: Around) -> Ground:
    """Whether no process that is not confined is one that it could trace: ptrace(2)."""
    facts = around.facts
    if facts.own_users or facts.own_processes:
        return Ground(holds=True, why="processes of the host are out of its sight")
    found = [peer.pid for peer in around.host.peers if _may_trace(facts, peer)]
    if found:
        return Ground(holds=None, why=f"process {found[0]} of the host is its own user's")
    return Ground(holds=True, why="no process of the host is its user's, with no more rights")


def _may_trace(facts: Facts, peer: Peer) -> bool:
    credentials = facts.credentials
    if credentials.has(CAP_SYS_PTRACE) or credentials.user in peer.owners:
        return True
    if peer.owners:
        return False
    same = peer.users == {credentials.user} and peer.groups <= credentials.groups
    return same and not peer.capabilities & ~credentials.capabilities


def no_sssd(around: Around) -> Ground:
    found = [path for path, _ in host_sockets(around) if path.startswith(SSSD)]
    if found:
        return Ground(holds=None, why=f"{found[0]} is open to its user")
    return Ground(holds=True, why="none of its sockets is open to this user")


def host_sockets(around: Around) -> list[tuple[str, str]]:
    """The host's sockets that its user and its view let it connect to: there, and in its view."""
    if around.facts.refuses_family("AF_UNIX"):
        return []
    ours = tuple(map(str, left_open(around.facts)))
    return [
        (path, place)
        for path in dict.fromkeys(around.host.sockets)
        for place, walked in seen_at(around.host.mounts, around.facts.mounts, path)
        if not place.startswith(ours)
        if reachable(around.facts.credentials, path, walked, stat_of)
    ]


def no_spool(around: Around) -> Ground:
    """Whether there is no place of the host's, or program, by which to leave a command."""
    facts = around.facts
    found = [path for path in SPOOLS if _may_write(facts, path)]
    found += [path for path in PROGRAMS if not facts.keeps_rights and _lends_rights(path)]
    if found:
        return Ground(holds=None, why=f"{' '.join(found)} would let its user")
    return Ground(holds=True, why="none is open to its user")


def _may_write(facts: Facts, path: str) -> bool:
    found, mount = stat_of(path), top_at(facts.mounts, path)
    if found is None or (mount is not None and mount.read_only):
        return False
    return facts.credentials.may(WRITE, *found)


def _lends_rights(path: str) -> bool:
    found = stat_of(path)
    return found is not None and bool(found[0] & SET_ID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One way that is tried.

    `needs` must all hold for it to be closed. `out` and `open` are what the probe's words come to.
    By `packets` it is the host that sees whether anything left: the probe may well have sent.
    """

    needs: tuple[Need, ...]
    out: Verdict = Verdict.LEAK
    open: Verdict = Verdict.NOT_CONFINED
    packets: bool = False


_PACKETS = Channel(needs=(inside,), packets=True)
_DAEMON = Channel(needs=(inside, own_run))
_COMMAND = Channel(needs=(own_run,), out=Verdict.NOT_CONFINED)
_RIGHT = Verdict.NOT_CONFINED

CHANNELS: Mapping[str, Channel] = {
    **dict.fromkeys(("tcp4", "tcp6", "udp4", "udp6", "link-local"), _PACKETS),
    **dict.fromkeys(("multicast4", "multicast6", "broadcast", "raw", "bind-device"), _PACKETS),
    **dict.fromkeys(("dns-stub", "dns-resolvers", "dns-outside"), _PACKETS),
    "packet": Channel(needs=(no_family("AF_PACKET"),)),
    "dns-libc": Channel(needs=(inside, own_run), packets=True),
    **dict.fromkeys(("dns-varlink", "dns-dbus", "dns-nscd", "dns-avahi"), _DAEMON),
    "dns-sssd": Channel(needs=(no_sssd,), out=Verdict.NOT_CONFINED),
    "unix-sockets": Channel(needs=(own_run,), open=Verdict.OPEN),
    "abstract-socket": Channel(needs=(inside,)),
    "system-bus": _COMMAND,
    "systemd-dbus": _COMMAND,
    "systemd-private": _COMMAND,
    "vsock": Channel(needs=(no_family("AF_VSOCK"),)),
    "families": Channel(
        needs=(
            no_family(
                *("AF_KEY", "AF_RDS", "AF_CAN", "AF_TIPC", "AF_BLUETOOTH", "AF_ALG", "AF_NFC"),
                *("AF_QIPCRTR", "AF_SMC", "AF_XDP", "AF_ISDN", "AF_IUCV"),
            ),
        )
    ),
    "setns": Channel(needs=(cannot_enter,)),
    "processes": Channel(needs=(no_peer,), out=_RIGHT),
    "unmount": Channel(needs=(cannot_unmount,), out=_RIGHT),
    "routes": Channel(needs=(cannot_route,)),
    "io-uring": Channel(needs=(no_ring,), out=_RIGHT, open=Verdict.OPEN),
    "spools": Channel(needs=(no_spool,), open=Verdict.OPEN),
}
"""By name; docs/probes.md says what each is."""

Finding = tuple[Verdict, str]


def judge(name: str, answer: Answer | None, around: Around, seen: Iterable[str]) -> Finding:
    """Give the verdict of one channel. `seen` is where the host saw its token."""
    channel = CHANNELS[name]
    sightings = sorted(set(seen))
    if sightings:
        return Verdict.LEAK, f"the host saw it: {'; '.join(sightings[:3])}"
    if answer is not None and answer.word in {OUT, OPEN}:
        return told(name, channel, answer, around)
    grounds = [need(around) for need in channel.needs]
    broken = [ground.why for ground in grounds if ground.holds is False]
    if broken:
        return Verdict.NOT_CONFINED, "; ".join(broken)
    doubt = doubted(channel, answer, grounds)
    if doubt or answer is None:
        return Verdict.UNKNOWN, doubt
    if name == "unix-sockets":
        return overlooked((), around)
    return Verdict.OK, "; ".join((*(ground.why for ground in grounds), answer.detail))


def doubted(channel: Channel, answer: Answer | None, grounds: Iterable[Ground]) -> str:
    """Say why a channel of which nothing is seen open does not count as closed either."""
    if answer is None:
        return "the probe did not answer"
    if not closed(channel, answer):
        return f"the probe: {answer.word}, {answer.detail}"
    unseen = [ground.why for ground in grounds if ground.holds is None]
    return f"only the probe says that it is closed: {'; '.join(unseen)}" if unseen else ""


def closed(channel: Channel, answer: Answer) -> bool:
    return answer.word == BLOCKED or (channel.packets and answer.word in {SENT, "timeout"})


def told(name: str, channel: Channel, answer: Answer, around: Around) -> Finding:
    """Judge what the probe says that it got to."""
    if name == "unix-sockets":
        return overlooked(tuple(answer.detail.splitlines()), around)
    if name == "system-bus" and any(is_proxy(around, path) for path in SYSTEM_BUS):
        return Verdict.OPEN, f"allowed by its owner: {' '.join(around.allow_bus)}"
    return (channel.out if answer.word == OUT else channel.open), answer.detail


def overlooked(reached: tuple[str, ...], around: Around) -> Finding:
    """Judge sockets: those that the probe reached, and those that the host says it could reach."""
    ground = own_run(around)
    expected = host_sockets(around)
    theirs = {place: path for path, place in expected}
    others = [path for path in reached if path not in around.named or path in theirs]
    all_of_them = sorted({*others, *theirs})
    allowed = {
        path
        for path in all_of_them
        if is_allowed(path, around.allow_paths) or is_proxy(around, path)
    }
    ways = [path for path in all_of_them if is_way_out(path) and path not in allowed]
    missed = sorted(theirs.keys() - set(reached) - allowed)
    if ways:
        return Verdict.NOT_CONFINED, f"within reach: {' '.join(ways[:8])}"
    if ground.holds is False:
        return Verdict.NOT_CONFINED, ground.why
    if missed:
        return Verdict.UNKNOWN, f"the probe says nothing of {' '.join(missed[:8])}"
    if all_of_them:
        return Verdict.OPEN, f"within reach: {' '.join(all_of_them[:16])}"
    return Verdict.OK, "no socket of the host's is open to its user"


def is_allowed(path: str, allowed: Iterable[PurePosixPath]) -> bool:
    return any(PurePosixPath(path).is_relative_to(each) for each in allowed)


def is_way_out(path: str) -> bool:
    return any(part in path for part in WAYS_OUT)
