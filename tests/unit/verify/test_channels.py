"""What an answer of the probe's and the host's observations come to."""

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from wgconfine.model.verify import Verdict
from wgconfine.system.mounts import parse_mounts
from wgconfine.verify.attempt import BLOCKED, OPEN, OUT, SENT
from wgconfine.verify.channels import CHANNELS, Answer, Around, judge
from wgconfine.verify.facts import Facts, HostFacts, Peer
from wgconfine.verify.mounts import Credentials
from wgconfine.verify.probe import load

RUN = "0:5 / /run rw - tmpfs tmpfs rw\n"
ROOT = "8:1 / / ro - ext4 x rw\n"
HOST_MOUNTS = parse_mounts(f"20 1 {ROOT}21 20 {RUN}")
OWN_MOUNTS = parse_mounts(
    f"40 30 {ROOT}41 40 {RUN}42 41 0:5 /wgconfine/run/x /run rw - tmpfs tmpfs rw\n"
)
DENIED = (
    "~AF_VSOCK AF_BLUETOOTH AF_PACKET AF_ALG AF_KEY AF_RDS AF_TIPC AF_QIPCRTR AF_CAN AF_NFC AF_SMC"
    " AF_XDP AF_ISDN AF_IUCV"
)
FACTS = Facts(
    inside=True,
    filtered=True,
    keeps_rights=True,
    credentials=Credentials(user=7, groups=frozenset({7}), capabilities=0),
    mounts=OWN_MOUNTS,
    settings={"RestrictAddressFamilies": DENIED, "SystemCallFilter": "~io_uring_setup:1 x"},
    own_users=False,
    own_processes=False,
)
HOST = HostFacts(
    namespace="net:[1]", mounts=HOST_MOUNTS, sockets=(), peers=(), rings=0, resolvers=()
)
AROUND = Around(tunnel="vpn", stem="x", facts=FACTS, host=HOST)
SHUT = Answer(word=BLOCKED, detail="EPERM")
ALL = 0x1FFFFFFFFFF


def facts(**changed: object) -> Around:
    return replace(AROUND, facts=replace(FACTS, **changed))  # type: ignore[arg-type]  # a test names what it is about


def host(**changed: object) -> Around:
    return replace(AROUND, host=replace(HOST, **changed))  # type: ignore[arg-type]  # a test names what it is about


def user(number: int, capabilities: int = 0) -> Credentials:
    return Credentials(user=number, groups=frozenset({number}), capabilities=capabilities)


def verdict(name: str, answer: Answer | None, around: Around = AROUND) -> Verdict:
    return judge(name, answer, around, ())[0]


def test_each_channel_is_tried() -> None:
    """The names of the probe's attempts are those of the host's table."""
    assert CHANNELS.keys() == load().keys()


@pytest.mark.parametrize("name", CHANNELS)
def test_closed_by_what_the_host_sees(name: str) -> None:
    """The probe says that it was refused, and the host sees why."""
    assert Verdict.OK == verdict(name, SHUT)


@pytest.mark.parametrize("name", CHANNELS)
def test_a_token_seen_outside_is_a_leak(name: str) -> None:
    """Whatever the probe says of it."""
    for answer in (SHUT, None):
        assert Verdict.LEAK == judge(name, answer, AROUND, ["eth0"])[0]


@pytest.mark.parametrize("name", CHANNELS)
def test_no_answer_is_unknown(name: str) -> None:
    """So is one that broke; one that has no end, where it is not packets that count."""
    assert Verdict.UNKNOWN == verdict(name, None)
    assert Verdict.UNKNOWN == verdict(name, Answer(word="failed"))
    expected = Verdict.OK if CHANNELS[name].packets else Verdict.UNKNOWN
    assert expected == verdict(name, Answer(word="timeout"))
    assert expected == verdict(name, Answer(word=SENT))


@pytest.mark.parametrize("name", CHANNELS)
def test_what_got_out_is_never_closed(name: str) -> None:
    """The probe is believed when it speaks against itself."""
    for word in (OUT, OPEN):
        assert verdict(name, Answer(word=word, detail="/run/x")) in {
            *(Verdict.LEAK, Verdict.NOT_CONFINED, Verdict.OPEN)
        }


@pytest.mark.parametrize("name", CHANNELS)
def test_the_word_of_a_probe_alone_closes_nothing(name: str) -> None:
    """With all rights, in the host's namespace and its /run, beside a process of the same user."""
    around = Around(
        tunnel="vpn",
        stem="x",
        facts=replace(
            FACTS,
            inside=False,
            filtered=False,
            keeps_rights=False,
            credentials=user(0, ALL),
            mounts=HOST_MOUNTS,
        ),
        host=replace(
            HOST, peers=(Peer(pid=1, users=frozenset({0}), groups=frozenset({0}), capabilities=0),)
        ),
    )
    expected = {Verdict.UNKNOWN, Verdict.NOT_CONFINED}

    # Whether there are such sockets and places is a matter of the machine that this runs on.
    assert verdict(name, SHUT, around) in expected | (
        {Verdict.OK} if name in {"dns-sssd", "spools"} else set()
    )


@pytest.mark.parametrize(
    ("name", "around", "expected"),
    [
        ("tcp4", facts(inside=False), Verdict.NOT_CONFINED),
        ("tcp4", facts(inside=None), Verdict.UNKNOWN),
        ("dns-varlink", facts(mounts=HOST_MOUNTS), Verdict.NOT_CONFINED),
        ("dns-varlink", facts(mounts=()), Verdict.UNKNOWN),
        ("dns-libc", facts(mounts=HOST_MOUNTS), Verdict.NOT_CONFINED),
        ("vsock", facts(filtered=False), Verdict.UNKNOWN),
        ("vsock", facts(settings={"RestrictAddressFamilies": "~AF_ALG"}), Verdict.UNKNOWN),
        ("vsock", facts(settings={"RestrictAddressFamilies": "AF_UNIX"}), Verdict.OK),
        ("packet", facts(settings={}), Verdict.UNKNOWN),
        ("setns", facts(credentials=user(0, ALL)), Verdict.UNKNOWN),
        ("setns", facts(credentials=user(0, ALL), own_users=True), Verdict.OK),
        (
            "setns",
            facts(credentials=user(0, ALL), settings={"RestrictNamespaces": "mnt user"}),
            Verdict.OK,
        ),
        (
            "setns",
            facts(credentials=user(0, ALL), settings={"RestrictNamespaces": "net"}),
            Verdict.UNKNOWN,
        ),
        (
            "unmount",
            facts(credentials=user(0, ALL), settings={"SystemCallFilter": "~umount2"}),
            Verdict.OK,
        ),
        ("unmount", facts(credentials=user(0, ALL)), Verdict.UNKNOWN),
        ("routes", facts(credentials=user(0, ALL)), Verdict.UNKNOWN),
        (
            "routes",
            facts(credentials=user(0, ALL), settings={"RestrictAddressFamilies": "AF_UNIX"}),
            Verdict.OK,
        ),
        ("io-uring", facts(settings={}), Verdict.UNKNOWN),
        ("io-uring", facts(settings={"SystemCallFilter": "read write"}), Verdict.OK),
        (
            "io-uring",
            replace(facts(settings={}), host=replace(HOST, rings=1)),
            Verdict.OK,
        ),
        (
            "processes",
            host(peers=(Peer(pid=9, users=frozenset({7}), groups=frozenset({7}), capabilities=0),)),
            Verdict.UNKNOWN,
        ),
        (
            "processes",
            host(peers=(Peer(pid=9, users=frozenset({7}), groups=frozenset({7}), capabilities=1),)),
            Verdict.OK,
        ),
        (
            "processes",
            host(peers=(Peer(pid=9, users=frozenset({7, 0}), groups=frozenset(), capabilities=0),)),
            Verdict.OK,
        ),
        (
            "unix-sockets",
            facts(
                mounts=(
                    *OWN_MOUNTS,
                    *parse_mounts("50 40 0:5 /x.sock /opt/odd rw - tmpfs tmpfs rw\n"),
                )
            ),
            Verdict.NOT_CONFINED,
        ),
    ],
)
def test_what_the_host_sees_decides(name: str, around: Around, expected: Verdict) -> None:
    """The probe says "blocked" in every case."""
    assert expected == verdict(name, SHUT, around)


def test_sockets_within_reach() -> None:
    """A known way out is not confined, another one is listed; its own are nothing."""
    some = Answer(word=OPEN, detail="/srv/a.sock\n/var/lib/own.sock")
    around = replace(AROUND, named=frozenset({"/var/lib/own.sock"}))

    assert (Verdict.OPEN, "within reach: /srv/a.sock") == judge("unix-sockets", some, around, ())
    ways = replace(some, detail="/srv/docker.sock")
    assert Verdict.NOT_CONFINED == verdict("unix-sockets", ways)


def test_what_its_owner_allows_is_open() -> None:
    """A path and a bus: shown, no failure."""
    allowed = replace(AROUND, allow_paths=(PurePosixPath("/run/docker.sock"),))
    docker = Answer(word=OPEN, detail="/run/docker.sock")
    assert Verdict.OPEN == verdict("unix-sockets", docker, allowed)


def test_an_allowed_bus_is_that_of_its_own_proxy() -> None:
    """What it sees as /run/dbus is its proxy's directory. The host's own bus is no such thing."""
    proxy = parse_mounts("50 42 0:5 /wgconfine/bus/x /run/dbus ro - tmpfs tmpfs rw\n")
    host = parse_mounts("50 42 0:5 /dbus /run/dbus ro - tmpfs tmpfs rw\n")
    socket = Answer(word=OPEN, detail="/run/dbus/system_bus_socket")
    allowed = replace(facts(mounts=(*OWN_MOUNTS, *proxy)), allow_bus=("org.example.X",))
    assert (Verdict.OPEN, Verdict.OPEN) == (
        verdict("system-bus", Answer(word=OPEN), allowed),
        verdict("unix-sockets", socket, allowed),
    )
    assert {Verdict.OK} == {verdict(name, SHUT, allowed) for name in CHANNELS}

    for around in (
        replace(allowed, allow_bus=()),
        replace(facts(mounts=(*OWN_MOUNTS, *host)), allow_bus=("org.example.X",)),
    ):
        assert (Verdict.NOT_CONFINED, Verdict.NOT_CONFINED) == (
            verdict("system-bus", Answer(word=OPEN), around),
            verdict("unix-sockets", socket, around),
        )


def test_an_allowed_path_is_not_foreign() -> None:
    """Its bind is what its owner asked for."""
    bound = parse_mounts("50 42 0:5 /pg /run/pg rw - tmpfs tmpfs rw\n")
    around = facts(mounts=(*OWN_MOUNTS, *bound))
    assert Verdict.NOT_CONFINED == verdict("dns-nscd", SHUT, around)

    allowed = replace(around, allow_paths=(PurePosixPath("/run/pg"),))
    assert Verdict.OK == verdict("dns-nscd", SHUT, allowed)


@pytest.mark.parametrize(
    ("root", "who", "expected"),
    [
        ("/wrappers", user(7), Verdict.OK),
        ("/binfmt", user(0), Verdict.OK),
        ("/systemd/userdb/io.systemd.DynamicUser", user(7), Verdict.OK),
        ("/systemd/userdb/io.systemd.DynamicUser", user(0), Verdict.NOT_CONFINED),
        ("/systemd/userdb/io.systemd.DynamicUser", user(7, 1 << 7), Verdict.NOT_CONFINED),
        ("/systemd/userdb", user(7), Verdict.NOT_CONFINED),
    ],
)
def test_what_the_drop_in_leaves_of_run(root: str, who: Credentials, expected: Verdict) -> None:
    """Programs of NixOS to all, and names of dynamic users to who is not and won't be root."""
    line = f"43 42 0:5 {root} /run{root} ro - tmpfs tmpfs rw\n"
    mounts = (*OWN_MOUNTS, *parse_mounts(line))

    assert expected == verdict("dns-varlink", SHUT, facts(credentials=who, mounts=mounts))


@pytest.mark.parametrize(
    ("owners", "expected"),
    [(frozenset(), Verdict.UNKNOWN), ({0}, Verdict.OK), ({7}, Verdict.UNKNOWN)],
)
def test_a_user_namespace_keeps_all_but_its_owner_out(
    owners: frozenset[int], expected: Verdict
) -> None:
    """As the proxy of the bus is in one of root's; containers of a user are in the user's own."""
    peer = Peer(
        pid=9,
        users=frozenset({7}),
        groups=frozenset({7}),
        capabilities=0,
        owners=frozenset(owners),
    )

    assert expected == verdict("processes", SHUT, host(peers=(peer,)))
