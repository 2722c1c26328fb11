"""The guard: whatever goes wrong with the namespace, no command of the unit runs, loudly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from lab.fixtures import BootContainer
from tests.matrix import EVERYWHERE
from tests.scenario import refused, wgconfine, write_service, write_tunnel
from tests.watching import look_away, tick_by_hand

pytestmark = pytest.mark.container

RAN = "/var/lib/ran"
WITNESS = f"""\
[Service]
ExecCondition=/bin/sh -c 'echo condition >> {RAN}'
ExecStartPre=/bin/sh -c 'echo pre >> {RAN}'
ExecStart=/bin/sh -c 'echo start >> {RAN}; exec sleep infinity'
ExecStop=/bin/sh -c 'echo stop >> {RAN}'
ExecStopPost=/bin/sh -c 'echo post >> {RAN}'
"""
"""A unit that leaves a line in a file for every command of it that runs."""

OWN_RAN = "/var/lib/own/ran"
OWN_USERS = WITNESS.replace(RAN, OWN_RAN) + "User=games\nStateDirectory=own\n"
STRICT = '[service."own.service"]\nhardening = "strict"\n'
"""The same with a user namespace of its own, which its user may write that file in."""

LOADED = "/var/lib/loaded"
LOADERS = f"""\
[Service]
Type=oneshot
EnvironmentFile=/srv/loaders
SuccessExitStatus=2
ExecStart=/sbin/ldconfig -C {LOADED}
"""
"""A program that is linked statically, and leaves a file; the loader's variables say nothing to it,
and have any other program end with success before it begins. Nor do a shell's, by which that ends.
"""

RUNTIME = ("/opt/wgconfine/bin/python3", "-I", "-m", "wgconfine.runtime")


@pytest.fixture(scope="module", params=EVERYWHERE)
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with one confined witness, stopped."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        look_away(world)
        tick_by_hand(world)
        write_service(world, "witness.service", WITNESS)
        write_service(world, "lenient.service", WITNESS + "SuccessExitStatus=255 254 1 2\n")
        write_service(world, "own.service", OWN_USERS)
        world.machine.write("/srv/loaders", "")
        write_service(world, "loaders.service", LOADERS)
        services = ("witness.service", "lenient.service", "own.service", "loaders.service")
        write_tunnel(world, services, extra=STRICT)
        wgconfine(world, "apply")
        yield world


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test of the shared machine starts with the tunnel up and the witness stopped."""
    if "world" not in request.fixturenames:
        yield
        return
    machine = request.getfixturevalue("world").machine
    machine.sh(f"systemctl stop witness lenient own; systemctl reset-failed; rm -f {RAN} {OWN_RAN}")
    yield
    machine.sh(
        "systemctl stop witness lenient own; systemctl restart wgconfine-netns@vpn wgconfine@vpn"
    )


def ran(world: World, path: str = RAN) -> list[str]:
    return world.machine.run("cat", path, check=False).stdout.split()


def start(world: World, unit: str = "witness.service") -> int:
    return world.machine.systemctl("start", unit, check=False).returncode


def test_inside_every_command_of_the_unit_runs(world: World) -> None:
    """The control: with its namespace in place the unit's own commands run, each once, in order."""
    assert 0 == start(world)
    world.machine.wait_for(lambda: len(ran(world)) == 3, "all three commands ran")
    assert ["condition", "pre", "start"] == ran(world)
    assert "witness.service: confined" == refused(world, "witness.service")
    world.machine.systemctl("stop", "witness.service")
    assert ["condition", "pre", "start", "stop", "post"] == ran(world)


def test_a_foreign_namespace_under_the_name_is_refused(world: World) -> None:
    """Another namespace, with an uplink of its own, put on /run/netns/NAME: nothing runs there."""
    world.machine.sh("""
        ip netns add foreign
        ip link add up0 type veth peer name up1 netns foreign
        ip -n foreign link set up1 up
        mount --bind /run/netns/foreign /run/netns/vpn
    """)
    try:
        assert 0 != start(world)
        assert [] == ran(world)
        assert "failed" == world.machine.show("witness.service", "ActiveState")
        assert refused(world, "witness.service").startswith(
            "witness.service: refused (another namespace has taken the name /run/netns/vpn"
        )
    finally:
        world.machine.sh("umount /run/netns/vpn; ip netns del foreign")


def test_the_first_ip_netns_add_of_somebody_else_hides_no_name(world: World) -> None:
    """iproute2 then makes /run/netns a mount: ours lies there already, and stops without a rest."""
    machine = world.machine
    machine.sh("ip netns add theirs")
    try:
        inode = machine.sh("stat -Lc %i /run/netns/vpn")
        machine.sh("systemctl stop wgconfine-netns@vpn.service")
        assert "failed" != machine.show("wgconfine-netns@vpn.service", "ActiveState")
        assert "theirs" == machine.sh("ls /run/netns")
        assert f"net:[{inode}]" not in machine.read("/proc/self/mountinfo")
    finally:
        machine.sh("ip netns del theirs")


def test_a_missing_namespace_file_is_refused(world: World) -> None:
    """Somebody deletes the namespace's name: the unit does not start, and `status` says why."""
    world.machine.run("ip", "netns", "del", "vpn")
    assert 0 != start(world)
    assert [] == ran(world)
    assert refused(world, "witness.service").startswith(
        "witness.service: refused (/run/netns/vpn is missing"
    )


def test_an_unmounted_namespace_file_is_refused(world: World) -> None:
    """The name is still there, but leads to no namespace: nothing runs."""
    world.machine.run("umount", "--lazy", "/run/netns/vpn")
    start(world)
    assert [] == ran(world)
    assert not world.machine.is_active("witness.service")
    assert refused(world, "witness.service").startswith("witness.service: refused")


def test_a_user_namespace_is_made_after_the_guard(world: World) -> None:
    """Inside of it no other could be joined. The control: it runs in one where all is well."""
    machine = world.machine
    assert 0 == start(world, "own.service")
    machine.wait_for(lambda: len(ran(world, OWN_RAN)) == 3, "all three commands ran")
    pid = machine.show("own.service", "MainPID")
    users = machine.sh(f"readlink /proc/1/ns/user /proc/{pid}/ns/user").split()
    assert machine.sh("stat -Lc %i /run/netns/vpn") == machine.sh(f"stat -Lc %i /proc/{pid}/ns/net")
    machine.sh(f"""
        systemctl stop own.service; rm {OWN_RAN}
        mount --bind /proc/1/ns/net /run/netns/vpn
    """)
    try:
        assert 0 != start(world, "own.service")
        assert [] == ran(world, OWN_RAN)
        assert "failed" == machine.show("own.service", "ActiveState")
    finally:
        machine.sh("umount /run/netns/vpn")
    assert 2 == len(set(users))


def test_exit_statuses_that_the_unit_calls_success_do_not_pass(world: World) -> None:
    """SuccessExitStatus=255 lets an exit status through: the guard dies by a signal instead."""
    world.machine.sh("""
        ip netns add foreign
        mount --bind /run/netns/foreign /run/netns/vpn
    """)
    try:
        assert 0 != start(world, "lenient.service")
        assert [] == ran(world)
        assert "failed" == world.machine.show("lenient.service", "ActiveState")
    finally:
        world.machine.sh("umount /run/netns/vpn; ip netns del foreign")


def test_the_guard_refuses_also_where_nobody_reads_what_it_says(world: World) -> None:
    """It would die by SIGPIPE before it refuses, which SuccessExitStatus= may let pass."""
    machine = world.machine
    text = f"IgnoreSIGPIPE=no\nSuccessExitStatus=SIGPIPE\nStandardError=file:{RAN}.fifo\n"
    write_service(world, "lenient.service.d/deaf.conf", f"[Service]\n{text}")
    machine.sh(f"mkfifo -m 666 {RAN}.fifo")
    wgconfine(world, "apply")
    failed = machine.sh(f"""
        (while [ -e {RAN}.fifo ]; do : <{RAN}.fifo; sleep 0.002; done) >/dev/null 2>&1 &
        mount --bind /proc/1/ns/net /run/netns/vpn
        for number in 1 2 3 4 5 6; do
            systemctl start lenient.service 2>/dev/null || echo $?
            systemctl stop lenient.service
        done
        systemctl show --value --property=Result lenient.service
        umount /run/netns/vpn
        rm {RAN}.fifo /etc/systemd/system/lenient.service.d/deaf.conf
        systemctl daemon-reload
    """)
    wgconfine(world, "apply")
    assert ["1"] * 6 == failed.split()[:6]
    assert [] == ran(world)


@pytest.mark.parametrize(
    ("variable", "status"), [("LD_TRACE_LOADED_OBJECTS=1", 0), ("OPTIND=x", 2)]
)
def test_the_environment_of_a_unit_has_no_guard_end_before_it_begins(
    world: World, variable: str, status: int
) -> None:
    """Neither the drop-in's nor the closing file's. The controls: a shell does, and inside."""
    machine = world.machine
    machine.write("/srv/loaders", f"{variable}\n")
    unit, there = "loaders.service", f"test -e {LOADED} && echo there || true"
    ends = machine.run("env", variable, "/bin/sh", "-p", "-c", "exit 7", check=False).returncode
    inside = start(world, unit), machine.sh(f"{there}; rm -f {LOADED}")
    dropin = f"/etc/systemd/system/{unit}.d/zz-wgconfine.conf"
    machine.sh("ip netns add foreign; mount --bind /run/netns/foreign /run/netns/vpn")
    try:
        foreign = start(world, unit), machine.sh(there)
    finally:
        machine.sh("umount /run/netns/vpn; ip netns del foreign")
    machine.sh(f"mv {dropin} /root/kept; systemctl daemon-reload")
    try:
        closed = start(world, unit), machine.sh(there)
    finally:
        machine.sh(f"mv /root/kept {dropin}; systemctl daemon-reload")

    assert status == ends
    assert (0, "there") == inside
    assert (1, "") == foreign
    assert (1, "") == closed


def test_a_record_that_was_taken_away_is_refused(world: World) -> None:
    """Without our own record the guard can't agree with anything."""
    world.machine.run("umount", "/run/wgconfine/netns/vpn")
    try:
        assert 0 != start(world)
        assert [] == ran(world)
        assert refused(world, "witness.service").startswith("witness.service: refused")
    finally:
        world.machine.sh("mount --bind /run/netns/vpn /run/wgconfine/netns/vpn")


@pytest.mark.parametrize("release", EVERYWHERE)
@pytest.mark.parametrize("denied", ["one", "both"])
def test_systemd_that_may_not_join_runs_nothing(
    wheelhouse: Path, boot_container: BootContainer, release: str, denied: str
) -> None:
    """setns(2) gives PID 1 EPERM, so that it would run the unit in the host's namespace, rc 0."""
    prefix = ("/usr/bin/python3", "/usr/lib/lab/deny-setns.py", denied)
    world = boot_container(release, wheelhouse=wheelhouse, init_prefix=prefix)
    write_service(world, "witness.service", WITNESS)
    write_service(
        world,
        "open.service",
        WITNESS.replace(RAN, "/var/lib/open") + "NetworkNamespacePath=/run/netns/other\n",
    )
    write_service(world, "own.service", OWN_USERS)
    write_tunnel(world, ["witness.service", "own.service"], extra=STRICT)
    done = wgconfine(world, "apply", check=False)

    world.machine.run("ip", "netns", "add", "other")
    world.machine.systemctl("start", "open.service")
    control = world.machine.show("open.service", "MainPID")
    assert world.machine.sh("readlink /proc/1/ns/net") == world.machine.sh(
        f"readlink /proc/{control}/ns/net"
    )

    assert 0 != done.returncode  # the tunnel itself may not enter its namespace
    if denied == "one":
        stand_in_for_the_tunnel(world)
    assert 0 != start(world)
    assert 0 != start(world, "own.service")
    assert [] == ran(world) + ran(world, OWN_RAN)
    assert not world.machine.is_active("witness.service")
    if denied == "one":
        assert "failed" == world.machine.show("witness.service", "ActiveState")
        assert refused(world, "witness.service").startswith("witness.service: refused")


def stand_in_for_the_tunnel(world: World) -> None:
    """Bring the tunnel up from outside of the filter, where its own unit is denied it.

    So the service comes as far as its guard, with everything else in place.
    """
    # It is tried again every five seconds: a start would wait for one of these, and fail with it.
    world.machine.systemctl("stop", "wgconfine@vpn.service")
    world.machine.write(
        "/etc/systemd/system/wgconfine@vpn.service.d/zz-test.conf",
        "[Service]\nExecStart=\nExecStart=/bin/true\n",
    )
    world.machine.sh("systemctl daemon-reload; systemctl start wgconfine@vpn.service")
    world.machine.run(*RUNTIME, "up", "vpn")


@pytest.mark.parametrize("release", EVERYWHERE)
def test_systemd_without_the_capability_runs_nothing(
    wheelhouse: Path, boot_container: BootContainer, release: str
) -> None:
    """PID 1 lost CAP_SYS_ADMIN: an unguarded unit runs in the host's, a confined one not."""
    world = boot_container(release, wheelhouse=wheelhouse)
    machine = world.machine
    write_service(world, "witness.service", WITNESS)
    write_service(
        world,
        "open.service",
        WITNESS.replace(RAN, "/var/lib/open") + "NetworkNamespacePath=/run/netns/vpn\n",
    )
    write_service(world, "own.service", OWN_USERS)
    write_tunnel(world, ["witness.service", "own.service"], extra=STRICT)
    wgconfine(world, "apply")
    # PID 1 writes its bounding set there too, and these two files are the real machine's.
    machine.sh("""
        for file in bset inheritable; do
            echo 4294967295 511 > /run/$file
            mount --bind /run/$file /proc/sys/kernel/usermodehelper/$file
        done
    """)
    machine.write(
        "/etc/systemd/system.conf.d/lab.conf", "[Manager]\nCapabilityBoundingSet=~CAP_SYS_ADMIN\n"
    )
    machine.systemctl("daemon-reexec")

    machine.systemctl("start", "open.service")
    control = machine.show("open.service", "MainPID")
    assert machine.sh("readlink /proc/1/ns/net") == machine.sh(f"readlink /proc/{control}/ns/net")

    start(world)
    start(world, "own.service")  # now its user namespace would be made first
    assert [] == ran(world) + ran(world, OWN_RAN)
    assert not machine.is_active("witness.service")
    assert refused(world, "witness.service").startswith("witness.service: refused")


def test_a_unit_with_a_root_of_its_own_is_refused_by_apply(world: World) -> None:
    """Below RootDirectory= the guard has neither /bin/sh nor /proc: `apply` refuses the unit."""
    write_service(world, "rooted.service", WITNESS + "RootDirectory=/srv/root\n")
    write_tunnel(world, ["rooted.service"], name="other", client=3)
    done = wgconfine(world, "apply", check=False)
    world.machine.run("rm", "/etc/wgconfine/other.toml")
    assert 78 == done.returncode
    assert "rooted.service" in done.stderr
    assert "RootDirectory=" in done.stderr
