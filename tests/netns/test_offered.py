"""Paths of the host in a directory that a service, which may be root, can write anything into."""

import pytest

from tests.netns.machine import SETTINGS, Machine

pytestmark = pytest.mark.netns

OFFERED = """
[service."a.service"]
allow-paths = ["/run/db", "/run/one/socket"]
"""
PRIVATE = "/run/wgconfine/run/a"


@pytest.fixture
def offering(machine: Machine) -> Machine:
    """What is offered is there, and so is the service's own /run; nothing is mounted yet."""
    machine.configure(settings=SETTINGS + OFFERED)
    machine.sh(
        f"mkdir -p {PRIVATE} /run/db /run/one; echo host >/run/db/file; mkfifo -m 666 /run/x"
    )
    machine.sh("mv /run/x /run/one/socket")
    return machine


def mounted(machine: Machine) -> list[str]:
    """The mounts below the service's own /run, and below its directories that were put aside."""
    return machine.sh("findmnt -rno TARGET | grep ^/run/wgconfine/run/ || true").split()


def outside(machine: Machine) -> str:
    """Every other mount."""
    return machine.sh("findmnt -rno TARGET | grep -v ^/run/wgconfine/run/")


BOTH = [f"{PRIVATE}/db", f"{PRIVATE}/one/socket"]


def test_twice_is_once(offering: Machine) -> None:
    """Both are mounted, and a second time nothing is done."""
    assert "mount --bind /run/db" in offering.succeed("paths-up")
    assert "" == offering.succeed("paths-up")

    assert BOTH == mounted(offering)
    assert "host" == offering.sh(f"cat {PRIVATE}/db/file")


def test_what_was_made_anew_is_mounted_anew(offering: Machine) -> None:
    """A directory and a file of another inode; neither lies on the one before."""
    offering.succeed("paths-up")
    offering.sh("rm -r /run/db /run/one; mkdir /run/db /run/one; echo new >/run/db/file")
    offering.sh("mkfifo /run/one/socket")
    offering.succeed("paths-up")

    assert BOTH == mounted(offering)
    assert "new" == offering.sh(f"cat {PRIVATE}/db/file")


def test_what_is_gone_goes(offering: Machine) -> None:
    """An empty directory stays, for what the unit's own settings name must exist."""
    offering.succeed("paths-up")
    offering.sh("rm -r /run/db")
    offering.succeed("paths-up")

    assert BOTH[1:] == mounted(offering)
    assert "" == offering.sh(f"ls -A {PRIVATE}/db")


def test_a_directory_becomes_a_file(offering: Machine) -> None:
    """And the other way round: what it is mounted on is made anew."""
    offering.succeed("paths-up")
    offering.sh("rm -r /run/db /run/one/socket; echo file >/run/db; mkdir /run/one/socket")
    offering.succeed("paths-up")

    assert BOTH == mounted(offering)
    assert "file" == offering.sh(f"cat {PRIVATE}/db")


def test_another_list_is_in_force_at_once(offering: Machine) -> None:
    """What is not in it any more is unmounted, with the service that has left it."""
    offering.succeed("paths-up")
    offering.configure(settings=SETTINGS + OFFERED.replace("/run/db", "/run/lab"))
    offering.succeed("paths-up")
    changed = mounted(offering)
    offering.configure()
    offering.succeed("paths-up")

    assert [f"{PRIVATE}/lab", BOTH[1]] == sorted(changed)
    assert [] == mounted(offering)


@pytest.mark.parametrize(
    "plant",
    [
        "ln -s /etc db; ln -s /usr one",
        "ln -s /etc/passwd db; mkdir one; ln -s /etc/passwd one/socket",
        "touch db one",
        "mkfifo db one",
        "mkdir -p one/socket; ln -s ../../../../../etc db",
    ],
)
def test_what_a_service_has_planted_is_not_followed(offering: Machine, plant: str) -> None:
    """It is removed, and nothing of the host is mounted over."""
    before = outside(offering), offering.sh("ls -A /etc /usr | sha256sum")
    offering.sh(f"cd {PRIVATE}; {plant}")
    offering.succeed("paths-up")

    assert BOTH == mounted(offering)
    assert before == (outside(offering), offering.sh("ls -A /etc /usr | sha256sum"))


def test_what_cannot_be_mounted_does_not_keep_the_rest_from_it(offering: Machine) -> None:
    """A file's place is a directory with something in it: only the service has harm from that."""
    offering.sh(f"mkdir -p {PRIVATE}/one/socket/full")
    said = offering.succeed("paths-up")

    assert BOTH[:1] == mounted(offering)
    assert "a.service can't be given /run/one/socket: " in said


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("ln -s /etc /run/db", "/run/db leads out of /run, where nothing is hidden"),
        ("ln -s ../../etc /run/db", "/run/db leads out of /run"),
        ("ln -s /run/db /run/db", "symbolic links lead in a circle at /run/db"),
        ("mkdir /run/nscd; ln -s nscd /run/db", "leads to /run/nscd, which can't be opened"),
        ("mkdir /run/dbus; ln -s x/../dbus /run/db", "leads to /run/dbus, which can't be opened"),
        ("mkdir /run/y; ln -s y /run/db; chown -h 5 /run/db", "link of user 5, not of root"),
    ],
)
def test_a_link_of_the_host_leads_nowhere_else(offering: Machine, link: str, why: str) -> None:
    """What was shown before it was there is not shown any more."""
    offering.succeed("paths-up")
    offering.sh(f"rm -r /run/db; {link}")
    said = offering.succeed("paths-up")

    assert why in said
    assert BOTH[1:] == mounted(offering)


def test_a_link_of_root_is_followed_within_run(offering: Machine) -> None:
    """As /var/run/x is, and /run/agenix."""
    offering.sh("mv /run/db /run/db.7; ln -s db.6 /run/db; ln -s /var/run/db.7 /run/db.6")
    offering.succeed("paths-up")

    assert "host" == offering.sh(f"cat {PRIVATE}/db/file")


def test_all_of_them_go_with_the_tunnel(offering: Machine) -> None:
    """Also what the service has moved, and what is in a /run that was put aside."""
    offering.succeed("paths-up")
    offering.sh(f"mv {PRIVATE}/one {PRIVATE}/'t w\\o'; mv {PRIVATE} /run/wgconfine/run/=0=a")
    offering.sh(f"mkdir {PRIVATE}")
    offering.succeed("paths-up")
    again = mounted(offering)
    offering.succeed("paths-down")

    assert BOTH == again
    assert [] == mounted(offering)


def test_what_the_host_has_is_never_cleared_away(closed: Machine) -> None:
    """Where a mount could not be taken off, what the last run left stays, with a word."""
    closed.configure(settings=SETTINGS + OFFERED)
    closed.sh("mkdir -p /run/db; echo host >/run/db/file")
    closed.succeed("up")
    closed.succeed("paths-up")
    said = closed.succeed("up")

    assert "what the last run of a.service left in its /run stays" in said
    assert "host" == closed.sh("cat /run/db/file")


def test_a_path_below_another_is_not_mounted_into_it(offering: Machine) -> None:
    """What lies there is the host's directory: nothing is made in it."""
    paths = '"/run/one", "/run/one/deep/socket"'
    offering.sh("mkdir /run/one/deep; mkfifo /run/one/deep/socket")
    offering.configure(settings=f'{SETTINGS}[service."a.service"]\nallow-paths = [{paths}]\n')
    said = offering.succeed("paths-up")

    assert "another path lies over one in its /run" in said
    assert [f"{PRIVATE}/one"] == mounted(offering)
