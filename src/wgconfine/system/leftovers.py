"""What tunnels and services that are gone have left: small files of ours."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from wgconfine.runtime.paths import HANDSHAKES, STATE

__all__ = ["sweep_state"]

OF_TUNNELS = (("switch", ("state", "counted")), ("tunnel", ()))
PLAIN = ("health", "trouble")
"""A file by the name of each tunnel, and nothing else."""
OF_VERIFY = (".json", ".stamp")
OF_PROBE = (".in", ".out", ".lock")


def sweep_state(
    tunnels: Collection[str],
    stems: Collection[str],
    state: Path = Path(STATE),
    handshakes: Path = Path(HANDSHAKES),
) -> None:
    """Delete what is kept of other tunnels, and of other services: `stems` is %N of each of these.

    Never a private /run: the host's own files may be mounted there. What can't be deleted stays.
    """
    # While there are other tunnels the tick forgets the handshakes of those that are gone. It goes
    # with the last one.
    tick = () if tunnels else (handshakes, handshakes.parent, state / "exec")
    for path in [*kept_of_tunnels(state, tunnels), *kept_of_services(state, stems), *tick]:
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()


def kept_of_tunnels(state: Path, tunnels: Collection[str]) -> Iterator[Path]:
    """Give files before the directory that they are in."""
    for place, files in OF_TUNNELS:
        for name in names_in(state / place):
            if name not in tunnels and not (state / place / name).is_symlink():
                yield from (state / place / name / each for each in files)
                yield state / place / name
    yield from (
        state / "namespace" / name for name in names_in(state / "namespace") if name not in tunnels
    )
    yield from others_in(state / "verify", OF_VERIFY, tunnels)
    for place in PLAIN:
        yield from others_in(state / place, ("",), tunnels)


def kept_of_services(state: Path, stems: Collection[str]) -> Iterator[Path]:
    yield from others_in(state / "probe", OF_PROBE, stems)
    for name in names_in(state / "bus"):
        if name not in stems and not (state / "bus" / name).is_symlink():
            yield state / "bus" / name / "system_bus_socket"
            yield state / "bus" / name


def others_in(place: Path, endings: Collection[str], stems: Collection[str]) -> Iterator[Path]:
    """Give files of ours by their endings, less those of `stems`."""
    for path in (place / name for name in names_in(place)):
        if path.suffix in endings and path.stem not in stems:
            yield path


def names_in(directory: Path) -> list[str]:
    with suppress(OSError):
        return [path.name for path in directory.iterdir()]
    return []
