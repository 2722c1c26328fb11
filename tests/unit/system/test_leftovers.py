"""What is kept of tunnels and services that are gone is swept; nothing else is touched."""

from pathlib import Path

from wgconfine.system.leftovers import sweep_state

KEPT = (
    "bus/a/system_bus_socket",
    "handshakes",
    "health/vpn",
    "namespace/vpn",
    "probe/a.in",
    "probe/a.lock",
    "run/gone/file",
    "switch/vpn/state",
    "trouble/vpn",
    "tunnel/vpn/in-force",
    "verify/=refused",
    "verify/vpn.json",
)
SWEPT = (
    "bus/gone/system_bus_socket",
    "health/gone",
    "namespace/gone",
    "probe/gone.in",
    "probe/gone.out",
    "probe/x@gone.lock",
    "switch/gone/counted",
    "switch/gone/state",
    "trouble/gone",
    "verify/gone.json",
    "verify/gone.stamp",
)


def written(state: Path, *files: str) -> None:
    for each in files:
        (state / each).parent.mkdir(parents=True, exist_ok=True)
        (state / each).write_text("")


def test_of_what_is_gone_nothing_stays_but_its_private_run(tmp_path: Path) -> None:
    """The host's own files may be mounted in the latter."""
    written(tmp_path, *KEPT, *SWEPT)
    (tmp_path / "tunnel/gone").mkdir()

    sweep_state({"vpn"}, {"a"}, tmp_path, tmp_path / "handshakes")

    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [*KEPT] == sorted(str(path.relative_to(tmp_path)) for path in left)
    for place in ("bus/gone", "switch/gone", "tunnel/gone"):
        assert not (tmp_path / place).exists()


def test_what_is_somebody_elses_in_there_stays(tmp_path: Path) -> None:
    """A directory with another file in it, and where a link leads."""
    written(tmp_path, "switch/gone/mine", "elsewhere/state")
    (tmp_path / "switch/linked").symlink_to("../elsewhere")

    sweep_state((), (), tmp_path, tmp_path / "handshakes")

    assert (tmp_path / "switch/gone/mine").exists()
    assert (tmp_path / "elsewhere/state").exists()


def test_where_nothing_was_kept_nothing_is_done(tmp_path: Path) -> None:
    """As on a machine that has just booted."""
    sweep_state({"vpn"}, {"a"}, tmp_path / "not-there")
    assert [] == list(tmp_path.iterdir())


def test_the_last_tunnel_takes_the_handshakes_with_it(tmp_path: Path) -> None:
    """And the directory, which is the tick's."""
    written(tmp_path, "lib/handshakes")
    sweep_state((), (), tmp_path / "run", tmp_path / "lib/handshakes")
    assert [] == list(tmp_path.iterdir())
