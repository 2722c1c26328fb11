"""The command line where everything is wrong: a documented exit code and clear words, always.

Without systemd. What a machine lacks and what its files are is set up by a line of shell.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.netns.machine import KEY, Machine, boot
from wgconfine.model.errors import ExitCode

pytestmark = pytest.mark.netns

WG = f"{sys.executable} -I -m wgconfine"
NOBODY = f"setpriv --reuid 65534 --regid 65534 --clear-groups {WG}"
TOML = "/etc/wgconfine/vpn.toml"
NO_FILE = "is not a regular file. Put one there."
CONF = "/etc/wireguard/vpn.conf"
GOOD = f"""echo 'config = "{CONF}"' >{TOML}"""
NO_SYSTEMD = """\
systemctl: systemd does not run here
Use --root DIR or render for the files of another machine"""
NAME_HINT = "Use small letters, digits and '-', at most 31, and no '-' at the beginning."
NOTHING = (
    f"{TOML}: it says neither config nor address, private-key-file and [[peer]]. "
    "Name a wg-quick file in config."
)


@dataclass(frozen=True, slots=True)
class Case:
    """A machine made by `setup`, a command on it, its exit code and all that stderr says."""

    setup: str
    command: str
    code: int
    said: str


PYTHON_WRITES = f"python3 -c 'print({{}})' >{TOML}"
CASES = {
    # The place of the settings.
    "no place": Case("rmdir /etc/wgconfine", f"{WG} check", 0, ""),
    "no place to plan": Case("rmdir /etc/wgconfine", f"{WG} plan", 0, ""),
    "a file for a place": Case(
        "rmdir /etc/wgconfine; touch /etc/wgconfine", f"{WG} check", 78,
        "/etc/wgconfine: Not a directory.",
    ),
    "a file for a place to plan": Case(
        "rmdir /etc/wgconfine; touch /etc/wgconfine", f"{WG} plan", 1,
        "list /etc/wgconfine: Not a directory",
    ),
    "a place of root's alone": Case(
        f"{GOOD}; chmod 700 /etc/wgconfine", f"{NOBODY} check", 4,
        "/etc/wgconfine: Permission denied. Run it as root.",
    ),
    "a place of root's alone to plan": Case(
        f"{GOOD}; chmod 700 /etc/wgconfine", f"{NOBODY} plan", 4,
        "list /etc/wgconfine: Permission denied. Run it as root.",
    ),
    "settings of root's alone": Case(
        f"{GOOD}; chmod 600 {TOML}", f"{NOBODY} check", 4,
        f"{TOML}: Permission denied. Run it as root.",
    ),
    # What is no file of settings.
    "a directory": Case(f"mkdir {TOML}", f"{WG} check", 78, f"{TOML}: {NO_FILE}"),
    "a FIFO": Case(f"mkfifo {TOML}", f"{WG} check", 78, f"{TOML}: {NO_FILE}"),
    "a device": Case(
        f"ln -s /dev/zero {TOML}", f"{WG} check", 78, f"{TOML}: {NO_FILE}"
    ),
    "a link to itself": Case(
        f"ln -s vpn.toml {TOML}", f"{WG} check", 78,
        f"{TOML}: symbolic links lead in a circle there. Mend them.",
    ),
    "a link to nothing": Case(
        f"ln -s nothing {TOML}", f"{WG} check", 78, f"{TOML}: No such file or directory."
    ),
    "too large": Case(
        f"head -c 2000000 /dev/zero >{TOML}",
        f"{WG} check",
        78,
        f"{TOML}: is larger than 1 MiB. Name the right file.",
    ),
    # Texts.
    "an empty file": Case(f": >{TOML}", f"{WG} check", 78, NOTHING),
    "bytes": Case(
        f"printf '\\377' >{TOML}", f"{WG} check", 78,
        f"{TOML}:1: is not UTF-8 text. Save it as UTF-8.",
    ),
    "deeply nested": Case(
        PYTHON_WRITES.format('"a = " + "[" * 100000'), f"{WG} check", 78,
        f"{TOML}: not TOML: too deeply nested.",
    ),
    "a million digits": Case(
        PYTHON_WRITES.format('"mtu = " + "9" * 1000000'), f"{WG} check", 78,
        f"{TOML}: not TOML: a number is too long.",
    ),
    "numbers that are none": Case(
        f"{GOOD}; printf 'mtu = nan\\nfwmark = -inf\\nlisten-port = 1e400\\n' >>{TOML}",
        f"{WG} check", 78,
        f"{TOML}: fwmark: -inf is not a whole number from 0 to 4294967295.\n"
        f"{TOML}: listen-port: inf is not a whole number from 1 to 65535.\n"
        f"{TOML}: mtu: nan is not a whole number from 576 to 65535.",
    ),
    "letters that the locale lacks": Case(
        f"""{GOOD}; printf '"gr\\303\\274n" = 1\\n' >>{TOML}""",
        f"LC_ALL=C PYTHONCOERCECLOCALE=0 {WG.replace('-I', '-X utf8=0')} check", 78,
        f"{TOML}: gr\\xfcn: unknown key.",
    ),
    "a .conf in UTF-16": Case(
        f"{GOOD}; printf '[\\0I\\0' >{CONF}; chmod 600 {CONF}", f"{WG} check", 78,
        f"{CONF}:1: the line holds a NUL byte. Save the file as UTF-8.",
    ),
    "a .conf that is a FIFO": Case(
        f"{GOOD}; mkfifo {CONF}", f"{WG} check", 78, f"{CONF}: {NO_FILE}"
    ),
    "a .conf that all may write": Case(
        f"{GOOD}; touch {CONF}; chmod 666 {CONF}", f"{WG} check", 78,
        f"{CONF}: others than root may write there. chmod go-w it.",
    ),
    "a .conf that is closed": Case(
        f"{GOOD}; chmod 700 /etc/wireguard", f"{NOBODY} check", 6,
        f"{CONF}: can't be read without root, and was not checked. Run it as root.",
    ),
    # Streams.
    "no output": Case(GOOD, f"{WG} check >&-", 0, ""),
    "a full output": Case(
        GOOD, f"{WG} check >/dev/full", 1, "standard output: No space left on device."
    ),
    "a full output for help": Case(
        GOOD, f"{WG} --help >/dev/full", 1, "standard output: No space left on device."
    ),
    "a full output for the version": Case(
        GOOD, f"{WG} --version >/dev/full", 1, "standard output: No space left on device."
    ),
    "a reader that is gone": Case(GOOD, f"({WG} check; echo $? >&2) | true", 0, "1"),
    "a reader of help that is gone": Case(GOOD, f"({WG} --help; echo $? >&2) | true", 0, "1"),
    "no complaints": Case(f": >{TOML}", f"{WG} check 2>&-", 78, ""),
    "no complaints of usage": Case("", f"{WG} frobnicate 2>&-", 2, ""),
    "full complaints": Case(f": >{TOML}", f"{WG} check 2>/dev/full", 78, ""),
    "no stream at all": Case(f": >{TOML}", f"{WG} check <&- >&- 2>&-", 78, ""),
    "no input": Case(GOOD, f"{WG} apply <&-", 1, NO_SYSTEMD),
    # Surroundings.
    "no environment": Case(GOOD, f"env -i {WG} check", 0, ""),
    "no place for temporary files": Case(GOOD, f"TMPDIR=/none {WG} check", 0, ""),
    "no current directory": Case(
        "mkdir /run/gone", f"cd /run/gone; rmdir /run/gone; {WG} check vpn.toml", 2,
        "vpn.toml: the current directory is gone. Give the whole path.",
    ),
    "no systemd for plan": Case(GOOD, f"{WG} plan", 1, NO_SYSTEMD),
    "no systemd for status": Case(GOOD, f"{WG} status --json", 1, NO_SYSTEMD),
    "no systemctl": Case(
        f"{GOOD}; mount --bind /dev/null /usr/bin/systemctl", f"{WG} status; code=$?;"
        " umount /usr/bin/systemctl; exit $code", 1,
        "systemctl show wgconfine-netns@vpn.service wgconfine@vpn.service "
        "wgconfine-reload@vpn.service wgconfine-wireguard@vpn.service "
        "wgconfine-endpoint@vpn.service wgconfine-ready@vpn.service: Permission denied",
    ),
    "a /run that can't be written": Case(
        # Busy as long as somebody ends who has a file there that was unlinked: mount(2), EBUSY.
        f"{GOOD}; until mount -o remount,ro /run 2>/dev/null; do sleep 0.1; done",
        f"{WG} apply; code=$?; mount -o remount,rw /run; exit $code", 1,
        "/run/wgconfine/lock/=apply: Read-only file system.",
    ),
    "a stranger applies": Case(
        GOOD, f"{NOBODY} apply", 4, "This changes the machine: run it as root."
    ),
    "a stranger renders": Case(
        GOOD, f"{NOBODY} render --output /etc/x", 4, "/etc/x: Permission denied. Run it as root."
    ),
    # Words.
    "a name that is no text": Case(
        "", f"{WG} check \"$(printf '\\377.toml')\"", 78,
        f"/\\udcff.toml: '\\udcff' is not the name of a tunnel. {NAME_HINT}\n"
        "/\\udcff.toml: No such file or directory.",
    ),
    "a name of two lines": Case(
        "", f"{WG} check \"$(printf 'a\\nb')\"", 2,
        "/a\\x0ab: no settings file. Name one that ends in .toml.",
    ),
    "a name like an option": Case(
        "", f"{WG} check -- --x.toml", 78,
        f"/--x.toml: '--x' is not the name of a tunnel. {NAME_HINT}\n"
        "/--x.toml: No such file or directory.",
    ),
    "a name that is too long": Case(
        "", f"{WG} check $(printf '%05000d' 0).toml 2>&1 | grep -c 'File name too long'", 0, ""
    ),
    "an empty name": Case(
        "", f"{WG} check ''", 2, "/: no settings file. Name one that ends in .toml."
    ),
    "a bad name": Case(
        "echo 'mtu = 1' >/run/Bad_Name.toml", f"{WG} check /run/Bad_Name.toml", 78,
        "/run/Bad_Name.toml: 'Bad_Name' is not the name of a tunnel. "
        f"{NAME_HINT}\n/run/Bad_Name.toml: it says neither config nor address, private-key-file "
        "and [[peer]]. Name a wg-quick file in config.\n"
        "/run/Bad_Name.toml: mtu: 1 is not a whole number from 576 to 65535.",
    ),
    "the same file twice": Case(GOOD, f"{WG} check {TOML} {TOML}", 0, ""),
    "a tree that is not there": Case(
        "", f"{WG} plan --root /none", 2,
        "wgconfine plan: argument --root: '/none' is not a directory\nSee wgconfine plan --help.",
    ),
    "an unset variable for a tree": Case(
        "", f'{WG} plan --root ""', 2,
        "wgconfine plan: argument --root: it is empty\nSee wgconfine plan --help.",
    ),
    "an unset variable for the output": Case(
        GOOD, f'{WG} render --output ""', 2,
        "wgconfine render: argument --output: it is empty\nSee wgconfine render --help.",
    ),
    "an output that is a file": Case(
        GOOD, f"{WG} render --output {TOML}", 1, f"{TOML}: File exists."
    ),
    "an interruption": Case(
        f"{GOOD}; mkdir -p /run/wgconfine/lock; rm -f /run/said",
        "flock /run/wgconfine/lock/=apply sh -c '"
        # A shell has what it runs in the background ignore that signal.
        f"env --default-signal=INT {WG} apply 2>/run/said & until grep -qs Waiting /run/said;"
        " do sleep 0.1; done; kill -INT $!; wait $!; code=$?; cat /run/said >&2; exit $code'", 1,
        "Waiting for another wgconfine that changes this machine; Ctrl-C ends the wait.\n"
        "interrupted",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def machines() -> Iterator[Machine]:
    """One machine for all of them."""
    with boot() as machine:
        machine.sh("cp -a /etc/wireguard /run/lab/wireguard")
        yield machine


@pytest.fixture
def machine(machines: Machine) -> Machine:
    """It has no settings."""
    machines.sh("rm -rf /etc/wgconfine /etc/wireguard; mkdir -m 755 /etc/wgconfine /etc/wireguard")
    return machines


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_world_is_no_defect(machine: Machine, name: str) -> None:
    """The code is of the table, what is said is this, and there is no traceback."""
    case = CASES[name]
    machine.sh(case.setup or ":")

    done = machine.shell(case.command)

    assert case.code in set(ExitCode)
    assert (case.code, case.said) == (done.returncode, done.stderr.strip())


def test_one_directory_and_one_conf_are_told_once(machine: Machine) -> None:
    """However many tunnels and both halves of `check` come across them."""
    for tunnel in ("one", "two", "three"):
        config = f'config = "/etc/wireguard/{tunnel}.conf"\nservcies = []\n'
        machine.write(f"/etc/wgconfine/{tunnel}.toml", config)
    machine.sh("chmod 777 /etc/wireguard; touch /etc/wireguard/one.conf /etc/wireguard/two.conf")
    good = 'config = "/etc/wireguard/{}.conf"\n'
    machine.write("/etc/wgconfine/four.toml", good.format("one"))
    machine.write("/etc/wgconfine/five.toml", good.format("two"))
    machine.write("/etc/wgconfine/six.toml", good.format("six"))
    machine.write("/etc/wgconfine/six.d/10.toml", "publish = []\n", mode=0o666)
    machine.write("/etc/wgconfine/seven.toml", f'mtu = 1\n\nprivate-key = "{KEY}\n')
    machine.sh("chown 65534 /etc/wgconfine/six.toml")

    done = machine.shell(f"{WG} check")

    assert [
        "/etc/wgconfine/one.toml: servcies: unknown key. Did you mean 'services'?",
        "/etc/wgconfine/seven.toml:3: not TOML: …",
        "/etc/wgconfine/six.d/10.toml: others than root may write there. chmod go-w it.",
        "/etc/wgconfine/six.toml: belongs to user 65534, not to root. chown root it.",
        "/etc/wgconfine/three.toml: servcies: unknown key. Did you mean 'services'?",
        "/etc/wgconfine/two.toml: servcies: unknown key. Did you mean 'services'?",
        "/etc/wireguard: others than root may write there. chmod go-w it.",
    ] == [re.sub("not TOML: .*", "not TOML: …", line) for line in done.stderr.splitlines()]
    assert (ExitCode.SETTINGS, "") == (done.returncode, done.stdout)
    assert KEY[:20] not in done.stderr
