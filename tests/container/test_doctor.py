"""`wgconfine doctor` on machines that lack something, or have something in the way."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import DENY_SETNS, World, boot_container
from tests import lan
from tests.matrix import EVERYWHERE, first
from tests.scenario import HOST, UNVERIFIED, wgconfine, write_service, write_tunnel
from tests.terminal import Terminal

pytestmark = pytest.mark.container

SITE, PORT = "site.service", 8084
UNIT = """\
[Service]
DynamicUser=yes
WorkingDirectory=/usr/share/doc
ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 8084
"""
PUBLISH = f"""\
publish = [{{ listen = "{HOST["v4"]}:{PORT}", to = {PORT}, from = ["{lan.FROM["v4"]}"] }}]
"""
TICK = "wgconfine-tick.timer"
CHROOT = """\
mount -t tmpfs none /run
umount -l /sys
mount -t proc proc /proc
wgconfine doctor --json
"""
"""A namespace of mounts in which nothing is as where systemd has booted."""
FIREWALLD_IS_READY = "until firewall-cmd --list-all-zones >/dev/null; do sleep 0.2; done"
"""It is active before its rules are loaded."""
DOCTORS = "/etc/systemd/system/wgconfine-doctor-.service.d"
UNITS = "systemctl list-units --all --plain --no-legend 'wgconfine-doctor-*'"

Finding = dict[str, Any]


@pytest.fixture(scope="module", params=first("trixie"))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine in a LAN with two firewalls installed, both off, and wgconfine, and no tunnel."""
    packages = ("firewalld", "ufw")
    with boot_container(request.param, wheelhouse=wheelhouse, extra_packages=packages) as world:
        lan.add_neighbours(world)
        # Stopped before its rules are loaded it leaves them behind.
        world.machine.sh(FIREWALLD_IS_READY, timeout=120)
        world.machine.systemctl("disable", "--now", "firewalld.service", "ufw.service")
        world.machine.wait_for(lambda: is_open(world), "no rule is left")
        write_service(world, SITE, UNIT)
        yield world


def is_open(world: World) -> bool:
    return world.machine.run("nft", "list", "tables").stdout == ""


@pytest.fixture(scope="module")
def tunnel(world: World) -> World:
    """The same with a tunnel and a service in it that is published to the LAN."""
    write_tunnel(world, [SITE], extra=f"{PUBLISH}{UNVERIFIED}")
    wgconfine(world, "apply")
    world.machine.systemctl("start", SITE)
    world.machine.wait_for(lambda: reaches(world), "the neighbour reaches it")
    return world


@pytest.fixture(scope="module")
def copied(tunnel: World) -> World:
    """The same with its `.conf` in /etc/wgconfine."""
    tunnel.machine.sh("""
        install -m 600 /etc/wireguard/vpn.conf /etc/wgconfine/vpn.conf
        sed -i s,/etc/wireguard/vpn.conf,/etc/wgconfine/vpn.conf, /etc/wgconfine/vpn.toml
    """)
    wgconfine(tunnel, "apply")
    return tunnel


def reaches(world: World) -> bool:
    url = f"http://{HOST['v4']}:{PORT}/"
    return 0 == lan.ask_from(world, lan.FRIEND["v4"], url, seconds=60, knock=2)[0]


def examined(world: World, *before: str, grade: str = "") -> list[Finding]:
    """Give the findings of that grade, or all."""
    done = world.machine.run(*before, "wgconfine", "doctor", "--json", check=False, timeout=120)
    found = json.loads(done.stdout)
    assert done.returncode == found["exit_code"]
    return [each for each in found["findings"] if grade in {"", each["grade"]}]


def broken(world: World) -> list[Finding]:
    return examined(world, grade="will not work")


def names(findings: list[Finding]) -> set[str]:
    return {each["name"] for each in findings}


def test_before_there_is_any_tunnel(world: World) -> None:
    """All is well, and the next command is said; what is not there is no hindrance."""
    found = examined(world)
    assert {"note", "fine"} == {each["grade"] for each in found}
    (settings,) = [each for each in found if each["subject"] == "settings"]
    assert "wgconfine init CONF --name NAME" == settings["mend"]


def test_who_is_not_root_is_told_what_was_not_looked_at(world: World) -> None:
    """And all the rest; exit code 6, and nothing on standard error."""
    done = world.machine.run("runuser", "-u", "nobody", "--", "wgconfine", "doctor", check=False)
    assert 6 == done.returncode
    assert "" == done.stderr
    assert "not looked at: container: " in done.stdout
    assert "fine: systemd: version " in done.stdout


def test_where_no_systemd_runs(world: World) -> None:
    """It says so, and looks at the rest."""
    command = ("unshare", "--mount", "--pid", "--fork", "sh", "-euc", CHROOT)
    done = world.machine.run(*command, check=False)
    found = {each["name"]: each for each in json.loads(done.stdout)["findings"]}
    assert 1 == done.returncode
    assert "not booted with systemd, but by sh: " in found["systemd"]["words"]
    assert "fine" == found["tools"]["grade"]


def test_in_a_chroot_without_proc(world: World) -> None:
    """It is called that, and no module is to be loaded from there."""
    hide = "mount -t tmpfs none /run; mount -t tmpfs none /dev/net; umount -l /proc; exec $0 $*"
    found = {each["name"]: each for each in examined(world, "unshare", "-m", "sh", "-euc", hide)}
    assert "no systemd is to be seen from here, as in a chroot: " in found["systemd"]["words"]
    assert {"will not work"} == {found[each]["grade"] for each in ("systemd", "tun")}
    assert "" == found["tun"]["mend"]


def test_it_leaves_nothing_behind(world: World) -> None:
    """Neither rules nor links, mounts, namespaces or units."""
    look = (
        "nft list ruleset; ip -o link; cat /proc/mounts; ls -A /run/netns 2>&1 || true; "
        "systemctl list-units --all --plain --no-legend 'run-*' 'wgconfine*'"
    )
    world.machine.wait_for(lambda: "" == world.machine.sh(UNITS), "those of others are gone")
    before = world.machine.sh(look)
    examined(world)
    world.machine.wait_for(lambda: before == world.machine.sh(look), "it is as before")


@pytest.mark.parametrize("limit", ["", "TimeoutStartSec=infinity\n"], ids=["its own", "none"])
def test_units_that_do_not_start(world: World, limit: str) -> None:
    """That is no verdict, it takes no longer than the limit, and no unit of ours goes on."""
    machine = world.machine
    drop = f"[Service]\nExecStartPre=/bin/sleep 300\n{limit}"
    machine.write(f"{DOCTORS}/90-x.conf", drop)
    machine.systemctl("daemon-reload")
    try:
        before = time.monotonic()
        found = {each["name"]: each["grade"] for each in examined(world, grade="not looked at")}
        took = time.monotonic() - before
        assert {"unit": "not looked at", "join": "not looked at"} == found
        machine.wait_for(lambda: "" == machine.sh(UNITS), "they are gone")
    finally:
        machine.sh(f"rm -r {DOCTORS}; systemctl daemon-reload")
    assert took < 60


def test_units_of_a_machine_in_rescue_mode(world: World) -> None:
    """They pull nothing in that was not started, and without a bus there is no verdict."""
    machine = world.machine
    look = "systemctl show -p DefaultDependencies -p Requires -p Wants %n >>/run/seen"
    machine.write(f"{DOCTORS}/90-x.conf", f"[Service]\nExecStartPre=/bin/sh -c '{look}'\n")
    machine.systemctl("daemon-reload")
    try:
        assert [] == broken(world)
        seen = machine.sh("sort -u /run/seen; rm /run/seen").splitlines()
    finally:
        machine.sh(f"rm -r {DOCTORS}; systemctl daemon-reload")
    assert {"DefaultDependencies=no", "Wants="} <= {*seen}
    assert "sysinit.target" not in "".join(seen)
    command = ("unshare", "--mount", "sh", "-euc", "mount -t tmpfs none /run/dbus; exec $0 $*")
    found = examined(world, *command, grade="not looked at")
    assert {"unit", "join"} == names(found)
    assert all("Failed to connect to " in each["words"] for each in found)


def test_a_machine_without_programs(world: World) -> None:
    """They are named, with the command that installs them; it does not fail itself."""
    hide = "for each in nft wg wireguard-go; do mv $(command -v $each) /root/; done"
    world.machine.sh(hide)
    try:
        found = broken(world)
    finally:
        world.machine.sh("mv /root/nft /usr/sbin/; mv /root/wg /root/wireguard-go /usr/bin/")
    tools = {each["name"]: each for each in found}
    assert "nft, wg are not in" in tools["tools"]["words"]
    assert "apt install nftables wireguard-tools" == tools["tools"]["mend"]
    assert "apt install wireguard-go" == tools["backend"]["mend"]
    assert {"tools", "backend"} == names(found)


@pytest.mark.long
def test_rules_of_a_firewalld_that_was_killed(tunnel: World) -> None:
    """The kernel keeps them: that is said, with what takes them away."""
    machine = tunnel.machine
    machine.systemctl("start", "firewalld.service")
    machine.wait_for(lambda: not reaches(tunnel), "it is dropped")
    machine.systemctl("kill", "--signal=KILL", "firewalld.service")
    machine.wait_for(lambda: not machine.is_active("firewalld.service"), "it is killed")
    (found,) = [each for each in examined(tunnel) if each["name"] == "firewalld"]
    assert not reaches(tunnel)
    machine.sh(found["mend"])
    assert reaches(tunnel)


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        ("ufw --force enable", "ufw --force reset; ufw disable"),
        (f"systemctl start firewalld; {FIREWALLD_IS_READY}", "systemctl stop firewalld"),
    ],
    ids=["ufw", "firewalld"],
)
def test_a_firewall_that_drops_a_published_port(tunnel: World, start: str, stop: str) -> None:
    """The neighbour is dropped, the printed command lets him in, and no rule was changed before."""
    machine = tunnel.machine
    assert [] == broken(tunnel)
    machine.sh(start)
    try:
        machine.wait_for(lambda: not reaches(tunnel), "it is dropped")
        rules = machine.sh("nft list ruleset | sed 's/packets [0-9]* bytes [0-9]*//'")
        (found,) = broken(tunnel)
        after = machine.sh("nft list ruleset | sed 's/packets [0-9]* bytes [0-9]*//'")
        assert rules == after
        assert "firewall" == found["subject"]
        machine.sh(found["mend"])
        machine.wait_for(lambda: reaches(tunnel), "it is let in")
        assert [] == broken(tunnel)
    finally:
        machine.sh(stop)
    assert reaches(tunnel)


def test_a_rule_of_ufw_that_denies_it(tunnel: World) -> None:
    """The printed command stands before that rule."""
    machine = tunnel.machine
    machine.sh(f"ufw --force enable; ufw deny {PORT}/tcp")
    try:
        (found,) = broken(tunnel)
        machine.sh(found["mend"])
        assert "ufw prepend allow " in found["mend"]
        machine.wait_for(lambda: reaches(tunnel), "it is let in")
        assert [] == broken(tunnel)
    finally:
        machine.sh("ufw --force reset; ufw disable")


def test_rules_written_by_hand(tunnel: World) -> None:
    """What a chain lets in is not known, so that it is a note; its command lets the port in."""
    machine = tunnel.machine
    machine.run(
        *("nft", "-f", "-"),
        input="table inet own { chain in { type filter hook input priority 0; policy drop;\n"
        'iifname "lo" accept\nudp sport 51820 accept\n}\n}\n',
    )
    try:
        assert not reaches(tunnel)
        (found,) = [each for each in examined(tunnel) if each["name"] == "nftables"]
        assert "note" == found["grade"]
        machine.sh(found["mend"])
        assert reaches(tunnel)
    finally:
        machine.run("nft", "delete", "table", "inet", "own")


@contextmanager
def own_vpn(world: World) -> Iterator[None]:
    """A WireGuard link of the host's own, by which all goes but what bears its mark."""
    machine = world.machine
    conf = world.internet.provider_conf(client=4).replace("[Peer]", "Table = 51820\n[Peer]")
    lines = (line for line in conf.splitlines() if not line.startswith("DNS"))
    machine.write("/etc/wireguard/host.conf", "\n".join(lines), mode=0o600)
    machine.run("wg-quick", "up", "host", check=False)
    machine.sh("wg set host fwmark 51820; ip rule add not fwmark 51820 table 51820")
    try:
        yield
    finally:
        machine.sh("ip rule del not fwmark 51820 table 51820; wg-quick down host")
        machine.run("rm", "/etc/wireguard/host.conf")


def test_a_vpn_of_the_hosts_own(tunnel: World) -> None:
    """It is a note, with the line that has the tunnel's packets go beside it."""
    with own_vpn(tunnel):
        (found,) = [each for each in examined(tunnel) if each["name"] == "carrier"]
    assert "note" == found["grade"]
    assert "goes through host (" in found["words"]
    assert ["beside it, in the settings: fwmark = 51820"] == found["lines"]


def test_wg_quick_with_the_same_conf(tunnel: World) -> None:
    """Said as soon as it would come up with the next boot, and of a link that is up."""
    machine = tunnel.machine
    machine.run("cp", "/etc/wireguard/vpn.conf", "/etc/wireguard/same.conf")
    machine.systemctl("enable", "wg-quick@same.service")
    machine.sh("wg show wg9 >/dev/null 2>&1 || wireguard-go wg9 >/dev/null 2>&1")
    machine.sh("grep PrivateKey /etc/wireguard/same.conf | cut -d' ' -f3 >/run/key")
    machine.sh("wg set wg9 private-key /run/key; rm /run/key")
    try:
        found = broken(tunnel)
    finally:
        machine.systemctl("disable", "wg-quick@same.service")
        machine.sh("rm /etc/wireguard/same.conf; ip link del wg9")
    assert {"same-key"} == names(found)
    assert "systemctl disable --now wg-quick@same.service" == found[0]["mend"]
    key = machine.sh("grep PrivateKey /etc/wireguard/vpn.conf | cut -d' ' -f3")
    assert key not in json.dumps(found)


def test_fix_mends_what_is_ours(copied: World) -> None:
    """Files that are missing or altered, modes, the timer; what is somebody else's stays so."""
    machine = copied.machine
    machine.sh(f"""
        chmod 644 /etc/wgconfine/vpn.conf
        rm /etc/systemd/system/wgconfine-tick.service
        echo '# mine' >>/etc/systemd/system/{SITE}.d/zz-wgconfine.conf
        chown daemon /etc/systemd/system/wgconfine-look.socket
        echo '[Unit]' >/etc/systemd/system/{SITE}.d/own.conf
        chown daemon /etc/systemd/system/{SITE}.d/own.conf
        systemctl daemon-reload
        systemctl stop {TICK}
    """)
    pid = machine.show(SITE, "MainPID")
    assert {"permissions", "settings", "files"} >= names(broken(copied))
    refused = machine.run("wgconfine", "doctor", "--fix", check=False)
    assert 2 == refused.returncode
    assert "This would be done:\n" in refused.stderr
    assert "create /etc/systemd/system/wgconfine-tick.service" in refused.stderr
    assert "doctor --fix: say --yes where there is no terminal to ask on." in refused.stderr
    terminal = Terminal(copied, "wgconfine doctor --fix")
    terminal.interrupt("Do it? [y/N]")
    assert 1 == terminal.ended()[0]
    assert not machine.is_active(TICK)

    done = wgconfine(copied, "doctor", "--fix", "--yes", check=False)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert [] == broken(copied)
    assert machine.is_active(TICK)
    assert "600 root" == machine.sh("stat -c '%a %U' /etc/wgconfine/vpn.conf")
    assert "root" == machine.sh("stat -c %U /etc/systemd/system/wgconfine-look.socket")
    assert "daemon" == machine.sh(f"stat -c %U /etc/systemd/system/{SITE}.d/own.conf")
    assert pid == machine.show(SITE, "MainPID")
    assert 0 == wgconfine(copied, "plan", check=False).returncode
    again = wgconfine(copied, "doctor", "--fix")
    assert "There is nothing of wgconfine's own to mend.\n" == again.stderr


def test_what_others_could_have_written_is_not_made_right(copied: World) -> None:
    """A .conf that was writable: only a person can say whether it is still his."""
    machine = copied.machine
    machine.run("chmod", "666", "/etc/wgconfine/vpn.conf")
    try:
        done = wgconfine(copied, "doctor", "--fix", "--yes", check=False)
        assert 1 == done.returncode
        assert "others than root may write there" in done.stdout
        assert "666" == machine.sh("stat -c %a /etc/wgconfine/vpn.conf")
    finally:
        machine.run("chmod", "600", "/etc/wgconfine/vpn.conf")


def test_what_others_have_written_is_not_taken_over(copied: World) -> None:
    """A file of ours that belongs to somebody is never root's with what that one put into it.

    Least of all with a setuid bit. What should be in it is known where all settings are right.
    """
    machine = copied.machine
    record, wrong = "/etc/wgconfine/vpn.json", "/etc/wgconfine/wrong.toml"
    owner = f"stat -c '%a %U' {record}"
    machine.sh(f"echo '{{}} Generated by wgconfine' >{record}; chown daemon {record}")
    machine.sh(f"chmod 4755 {record}; echo 'wrong = 1' >{wrong}")
    try:
        kept = wgconfine(copied, "doctor", "--fix", "--yes", check=False)
        theirs = machine.sh(owner)
    finally:
        machine.sh(f"rm {wrong}")
    mended = wgconfine(copied, "doctor", "--fix", "--yes", check=False)

    assert 1 == kept.returncode
    assert f"{record}: belongs to somebody else than root" in kept.stdout
    assert "There is nothing of wgconfine's own to mend.\n" == kept.stderr
    assert "4755 daemon" == theirs
    assert 0 == mended.returncode, mended.stdout + mended.stderr
    assert f"[#] write {record} anew, as the settings have it\n" in mended.stderr
    assert "644 root" == machine.sh(owner)
    assert 0 == wgconfine(copied, "plan", check=False).returncode


@pytest.mark.long
def test_a_tunnel_that_is_refused(copied: World) -> None:
    """What `status` knows is said here, too, with why."""
    machine = copied.machine
    machine.sh("systemctl stop wgconfine@vpn; mv /etc/wgconfine/vpn.conf /root/")
    machine.systemctl("start", "--no-block", "wgconfine@vpn.service")
    try:
        machine.wait_for(lambda: "tunnel" in names(broken(copied)), "it is said")
        (found,) = [each for each in broken(copied) if each["name"] == "tunnel"]
        assert "vpn: waiting: " in found["words"]
        assert "No such file" in found["words"]
    finally:
        machine.sh("mv /root/vpn.conf /etc/wgconfine/; systemctl start wgconfine@vpn")


NO_ADMIN = ("setpriv", "--bounding-set=-sys_admin")


@pytest.mark.long
@pytest.mark.parametrize(
    ("release", "prefix", "refused"),
    [
        *((release, DENY_SETNS, {"join"}) for release in EVERYWHERE),
        ("trixie", NO_ADMIN, {"unit", "join"}),
        ("forky", NO_ADMIN, {"unit", "join"}),  # 252 does not boot with it
    ],
)
def test_a_systemd_that_is_refused_what_it_needs(
    release: str, prefix: tuple[str, ...], refused: set[str], wheelhouse: Path
) -> None:
    """As a container may do: units that try it find out, whatever systemd says of them."""
    with boot_container(release, wheelhouse=wheelhouse, init_prefix=prefix) as world:
        found = {each["name"]: each["words"] for each in broken(world)}
    assert refused == found.keys(), found
