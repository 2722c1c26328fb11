"""wgconfine-netns@NAME.service: the namespace is proven, closed, named and recorded."""

import pytest

from tests.netns.machine import Machine

pytestmark = pytest.mark.netns

NAMED, RECORD = "/run/netns/vpn", "/run/wgconfine/netns/vpn"


def named(machine: Machine) -> list[str]:
    """Those of the two names that are mounted."""
    mounted = machine.sh("findmnt -rno TARGET").split("\n")
    return [path for path in (NAMED, RECORD) if path in mounted]


def up_in_known_namespace(machine: Machine, before: str = "") -> int:
    """Run netns-up in a new namespace, prepared by a script; gives its inode."""
    script = f'stat -Lc %i /proc/self/ns/net; {before}\nexec "$0" "$@"'
    done = machine.runtime("netns-up", prefix=["unshare", "--net", "sh", "-ec", script])
    assert done.status == 0, done.said
    return int(done.said.splitlines()[0])


def test_it_is_named_and_recorded(machine: Machine) -> None:
    """Both names lead to the very namespace that systemd made."""
    inode = up_in_known_namespace(machine)

    assert [inode, inode] == [machine.identity(NAMED), machine.identity(RECORD)]
    assert inode != machine.identity("/proc/1/ns/net")


def test_the_hosts_namespace_is_refused(machine: Machine) -> None:
    """Invariant 2: systemd runs the unit there, with success, where it may make none."""
    done = machine.runtime("netns-up")

    assert done.status == 1
    said = "systemd gave this unit no namespace of its own: it is in the host's. Refused."
    assert said in done.said
    assert not machine.path(NAMED).exists()
    assert not machine.path(RECORD).exists()
    assert machine.sh("nft list ruleset") == ""


def test_an_unseen_first_process_is_refused(machine: Machine) -> None:
    """Without CAP_SYS_PTRACE nobody can tell whether this is the host's namespace."""
    # Then the kernel shows only processes with no capability that one has not: PID 1 has this one.
    unable = ["setpriv", "--bounding-set=-sys_ptrace"]
    done = machine.runtime("netns-up", prefix=["unshare", "--net", *unable])

    assert done.status == 1
    assert "can't be seen, so this namespace may be the host's. Refused." in done.said
    assert [] == named(machine)


def test_a_foreign_namespace_of_that_name_is_refused_and_left(machine: Machine) -> None:
    """It may be docker's, or its owner's own."""
    machine.sh("ip netns add vpn")
    inode = machine.identity(NAMED)

    done = machine.runtime("netns-up", prefix=["unshare", "--net"])

    assert done.status == 1
    assert f"{NAMED}: is a namespace that wgconfine did not make." in done.said
    assert inode == machine.identity(NAMED)
    assert [NAMED] == named(machine)


@pytest.mark.parametrize("path", [NAMED, RECORD])
@pytest.mark.parametrize("make", ["mkdir", "mkfifo", "ln -s /dev/null", "echo mine >"])
def test_something_else_of_that_name_is_refused_and_left(
    machine: Machine, path: str, make: str
) -> None:
    """Named at once, and a stop leaves it, too."""
    machine.sh(f"mkdir -p /run/netns /run/wgconfine/netns; {make} {path}")
    before = machine.sh(f"stat -c '%i %F %z' {path}")

    done = machine.runtime("netns-up", prefix=["unshare", "--net"])
    assert done.status == 1
    assert f"{path}: " in done.said
    assert "is in the way, which wgconfine did not make. Remove or rename it." in done.said
    assert "it is left alone" in machine.succeed("netns-down")
    assert before == machine.sh(f"stat -c '%i %F %z' {path}")


def test_a_foreign_namespace_that_took_the_name_is_refused_and_left(machine: Machine) -> None:
    """Our own record of the one before does not make it ours."""
    machine.succeed("netns-up")
    machine.sh(f"umount -l {NAMED}; rm {NAMED}; ip netns add vpn")
    inode, record = machine.identity(NAMED), machine.identity(RECORD)

    assert machine.runtime("netns-up", prefix=["unshare", "--net"]).status == 1
    assert [inode, record] == [machine.identity(NAMED), machine.identity(RECORD)]


@pytest.mark.parametrize(
    "left_over",
    [
        f"umount -l {NAMED} && rm {NAMED}",
        f"umount -l {NAMED}",
        f"umount -l {RECORD}; umount -l {NAMED}",
        f"mount --bind {RECORD} {RECORD}; mount --bind {NAMED} {NAMED}",
        ":",
    ],
    ids=["record alone", "record and empty file", "empty files", "bound twice", "both"],
)
def test_what_an_earlier_run_left_is_no_obstacle(machine: Machine, left_over: str) -> None:
    """The new namespace gets both names, each once."""
    machine.succeed("netns-up")
    machine.sh(left_over)

    inode = up_in_known_namespace(machine)

    assert [inode, inode] == [machine.identity(NAMED), machine.identity(RECORD)]
    assert [f"{NAMED}", f"{RECORD}"] == named(machine)
    assert machine.sh(f"findmnt -rno TARGET | grep -cE '^({NAMED}|{RECORD})$'") == "2"


def test_settings_of_the_kernel_are_its_own(machine: Machine) -> None:
    """Whatever the namespace began with: the host may be a router, or have IPv6 off."""
    wrong = {
        "ipv4/ip_forward": ("1", "0"),
        "ipv4/conf/all/rp_filter": ("1", "0"),
        "ipv4/conf/default/rp_filter": ("1", "0"),
        "ipv4/conf/all/route_localnet": ("0", "1"),
        "ipv4/conf/all/accept_redirects": ("1", "0"),
        "ipv4/conf/all/promote_secondaries": ("0", "1"),
        "ipv6/conf/all/disable_ipv6": ("1", "0"),
        "ipv6/conf/default/disable_ipv6": ("1", "0"),
        "ipv6/conf/all/forwarding": ("1", "0"),
        "ipv6/conf/all/accept_ra": ("1", "0"),
        "ipv6/conf/default/accept_ra": ("1", "0"),
        "ipv6/conf/default/addr_gen_mode": ("0", "1"),
    }
    lines = [f"echo {value} >/proc/sys/net/{key}" for key, (value, _) in wrong.items()]
    up_in_known_namespace(machine, before="\n".join(lines))

    keys = " ".join(f"/proc/sys/net/{key}" for key in wrong)
    assert [right for _, right in wrong.values()] == machine.sh(
        f"cat {keys}", inside="vpn"
    ).splitlines()
    assert "::1/128" in machine.sh("ip -6 -br address show dev lo", inside="vpn")


def test_down_takes_both_names_away(machine: Machine) -> None:
    """And once more is nothing: it converges."""
    machine.succeed("netns-up")

    for _ in range(2):
        machine.succeed("netns-down")
        assert not machine.path(NAMED).exists()
        assert not machine.path(RECORD).exists()


def test_down_leaves_a_foreign_namespace(machine: Machine) -> None:
    """What a run did not make it does not tear down (invariant 7); our record goes."""
    machine.succeed("netns-up")
    machine.sh(f"umount -l {NAMED}; rm {NAMED}; ip netns add vpn")
    inode = machine.identity(NAMED)

    said = machine.succeed("netns-down")

    assert f"[!] {NAMED}: another namespace has taken the name; it is left alone" in said
    assert inode == machine.identity(NAMED)
    assert [NAMED] == named(machine)


def test_down_names_the_processes_that_stay(machine: Machine) -> None:
    """With their names escaped, which they choose themselves; it does not name its own helpers."""
    machine.succeed("netns-up")
    machine.sh(r'cp /usr/bin/sleep "/run/lab/$(printf "\033[2J")"')
    machine.start("/run/lab/\x1b[2J", "60", inside="vpn")
    # Not what becomes it, and has the same words at its end.
    machine.wait_for(lambda: machine.sh("pgrep -f '^[^ ]*J 60$' || true"))
    pid = machine.sh("pgrep -f '^[^ ]*J 60$'")

    done = machine.runtime("netns-down", inside="vpn")

    assert done.status == 0
    warnings = [line for line in done.said.splitlines() if line.startswith("[!]")]
    assert [f"[!] process {pid} (\\x1b[2J) stays in the namespace, without a way out"] == warnings
    assert [] == named(machine)
    assert machine.sh(f"nsenter --net=/proc/{pid}/ns/net nft list tables") == "table inet wgconfine"
