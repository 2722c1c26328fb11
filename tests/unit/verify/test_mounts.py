"""What a process sees of the host, by its list of mounts."""

from pathlib import PurePosixPath

import pytest

from wgconfine.system.mounts import parse_mounts
from wgconfine.verify.mounts import (
    CAP_DAC_OVERRIDE,
    Credentials,
    foreign_mounts,
    reachable,
    seen_at,
    top_at,
)

HOST = parse_mounts(
    "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "21 20 0:5 / /run rw,nosuid - tmpfs tmpfs rw\n"
    "22 21 0:5 /netns /run/netns rw - tmpfs tmpfs rw\n"
    "23 20 0:6 / /a\\040b rw - tmpfs tmpfs rw\n"
)
INSIDE = parse_mounts(
    "40 30 8:1 / / ro - ext4 /dev/sda1 rw\n"
    "41 40 0:5 / /run rw,nosuid - tmpfs tmpfs rw\n"
    "42 41 0:5 /netns /run/netns rw - tmpfs tmpfs rw\n"
    "43 41 0:5 /wgconfine/run/x /run rw - tmpfs tmpfs rw\n"
    "44 43 0:5 /systemd/notify /run/systemd/notify ro - tmpfs tmpfs rw\n"
)
PRIVATE = "/wgconfine/run/x"
NOTIFY = [PurePosixPath("/run/systemd/notify")]


def with_line(line: str) -> list[str]:
    view = (*INSIDE, *parse_mounts(line))
    return list(foreign_mounts(view, device="0:5", private=PRIVATE, ours=NOTIFY))


def test_only_a_newline_ends_a_line() -> None:
    """The kernel escapes that in names, and no other character that ends one to Python."""
    (found,) = parse_mounts("20 1 8:1 / /a\x0b21\x851\u2028 rw - ext4 /dev/sda1 rw\n")

    assert "/a\x0b21\x851\u2028" == found.point


def test_the_list_is_read() -> None:
    """With its octal escapes; lines that are none are left out."""
    assert "/a b" == HOST[3].point
    assert [True, False] == [INSIDE[0].read_only, INSIDE[3].read_only]
    assert () == parse_mounts("\n20 1 8:1\n")


@pytest.mark.parametrize(
    ("path", "number"),
    [("/etc/x", 40), ("/run", 43), ("/run/netns/vpn", 43), ("/run/systemd/notify", 44)],
)
def test_a_mount_hides_what_was_below_it(path: str, number: int) -> None:
    """/run/netns of the host's lies below the private /run."""
    found = top_at(INSIDE, path)

    assert found is not None
    assert number == found.number


def test_no_mounts_lead_nowhere() -> None:
    """A process that is gone has none."""
    assert top_at((), "/run") is None


def test_its_own_run_has_nothing_of_the_hosts() -> None:
    """But what is bound in on purpose."""
    assert [] == with_line("")


@pytest.mark.parametrize(
    ("root", "point"),
    [("/docker.sock", "/opt/odd"), ("/", "/mnt"), ("/dbus", "/run/dbus"), (PRIVATE[:-1], "/m")],
)
def test_a_bind_of_the_hosts_run_is_seen_wherever_it_lies(root: str, point: str) -> None:
    """Also the whole of it, and another service's."""
    assert 1 == len(with_line(f"50 {43 if '/run' in point else 40} 0:5 {root} {point} rw - x x rw"))


@pytest.mark.parametrize(
    ("root", "point"), [(f"{PRIVATE}/sub", "/mnt"), ("/systemd/notify", "/mnt")]
)
def test_binds_of_its_own_run_are_its_own(root: str, point: str) -> None:
    """And those of what it sees anyway."""
    assert [] == with_line(f"50 40 0:5 {root} {point} rw - x x rw")


def test_a_run_that_is_no_mount() -> None:
    """Where /run is a directory of the root file system, the rest of that does not count."""
    view = parse_mounts(
        "40 30 8:1 / / rw - x x rw\n"
        "43 40 8:1 /run/wgconfine/run/x /run rw - x x rw\n"
        "44 40 8:1 /run/docker.sock /opt/odd rw - x x rw\n"
    )
    private = "/run/wgconfine/run/x"

    assert ("/run/docker.sock",) == tuple(
        each
        for each in foreign_mounts(view, device="8:1", private=private, ours=[], within="/run")
        if each != "/run/"
    )


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("/var/lib/x.sock", [("/var/lib/x.sock", "var/lib/x.sock")]),
        ("/run/docker.sock", []),
        ("/run/systemd/notify", [("/run/systemd/notify", "")]),
        ("/run/wgconfine/run/x/own", [("/run/own", "own")]),
        ("/a b/x", []),
    ],
)
def test_where_a_file_of_the_hosts_is_seen(path: str, places: list[tuple[str, str]]) -> None:
    """And what of the way to it has to be walked."""
    assert places == list(seen_at(HOST, INSIDE, path))


MODES = {"/": (0o755, 0, 0), "/d": (0o750, 0, 5), "/d/s": (0o660, 0, 7)}


@pytest.mark.parametrize(
    ("user", "groups", "capabilities", "walked", "there"),
    [
        (1, {5, 7}, 0, "d/s", True),
        (1, {7}, 0, "d/s", False),
        (1, {7}, 0, "", True),
        (1, {5}, 0, "d/s", False),
        (0, set(), 0, "d/s", True),
        (1, set(), 1 << CAP_DAC_OVERRIDE, "d/s", True),
    ],
)
def test_modes_decide_who_connects(
    user: int, groups: set[int], capabilities: int, walked: str, *, there: bool
) -> None:
    """Search for the directories on the way, write for the socket: unix(7)."""
    credentials = Credentials(user=user, groups=frozenset(groups), capabilities=capabilities)

    assert there == reachable(credentials, "/d/s", walked, MODES.get)


def test_a_socket_that_is_gone_is_not_reached() -> None:
    """Nor one whose directory is gone."""
    root = Credentials(user=0, groups=frozenset(), capabilities=-1)

    assert not reachable(root, "/d/gone", "d/gone", MODES.get)
    assert not reachable(root, "/gone/s", "gone/s", MODES.get)
