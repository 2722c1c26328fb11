"""Roots in layers: Debian, then what the lab and wgconfine put on it. Machines add their own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.cache import cached, digest, tree_digest
from lab.debian import base_root
from lab.requirements import require_namespaces

GUEST = Path(__file__).parent / "guest"

# These would wait for hardware that is not there, send something while a test counts packets, or,
# in a container, open the real machine's kernel (debugfs and its like).
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "container-getty@.service",
    "dev-ttyS0.device",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty@tty1.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "proc-sys-fs-binfmt_misc.automount",
    "serial-getty@ttyS0.service",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
)

# The wheels are laid out as an administrator would: a venv of root's, one link on the path.
INSTALL = """set -eu
python3 -m venv /opt/wgconfine
/opt/wgconfine/bin/pip --quiet install --no-index --find-links /wheels wgconfine
ln -s /opt/wgconfine/bin/wgconfine /usr/local/bin/wgconfine
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A root to boot: folders from the lowest to the highest, none of which is written to."""

    release: str
    layers: tuple[Path, ...]
    key: str

    @property
    def lowerdir(self) -> str:
        """For the mount option of overlayfs, which wants the highest first."""
        return ":".join(map(os.fspath, reversed(self.layers)))


def installed_root(
    release: str,
    wheelhouse: Path | None = None,
    extra_packages: Sequence[str] = (),
) -> Root:
    """A Debian root with the lab's files and, from `wheelhouse`, wgconfine in /opt/wgconfine."""
    base = base_root(release, extra_packages)
    wheels = tree_digest(wheelhouse) if wheelhouse else ""
    key = digest(base, tree_digest(GUEST / "root"), *MASKED, INSTALL, wheels)

    def build(folder: Path) -> None:
        upper = folder / "root"
        shutil.copytree(GUEST / "root", upper, symlinks=True)
        for path in (upper, *upper.rglob("*")):
            if not path.is_symlink():
                os.chown(path, 0, 0)
        for unit in MASKED:
            (upper / "etc/systemd/system" / unit).symlink_to("/dev/null")
        if wheelhouse:
            _install(base, upper, wheelhouse)
        # Newer than /usr: the first boot need not run ldconfig, sysusers and their like again.
        (upper / "etc/.updated").touch()
        (upper / "var").mkdir(exist_ok=True)
        (upper / "var/.updated").touch()

    what = (
        f"installing wgconfine on {release}" if wheelhouse else f"preparing {release} for the lab"
    )
    layer = cached(f"installed-{release}", key, what, build) / "root"
    return Root(release=release, layers=(base, layer), key=key)


def _install(base: Path, upper: Path, wheelhouse: Path) -> None:
    with merged((base,), upper.parent, upper) as (root, enter):
        script = (
            f'mkdir "{root}/wheels"; mount --bind "{wheelhouse}" "{root}/wheels"; '
            f'mount -t proc proc "{root}/proc"; mount -t tmpfs tmpfs "{root}/tmp"; '
            f'exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "{root}" sh -c "$1"'
        )
        subprocess.run([*enter, "sh", "-euc", script, "sh", INSTALL], check=True)
    (upper / "wheels").rmdir()


@contextmanager
def merged(
    lower: Sequence[Path],
    scratch: Path,
    upper: Path | None = None,
) -> Iterator[tuple[Path, list[str]]]:
    """A mount point in `scratch`, and the prefix of a command that alone sees the layers there."""
    require_namespaces()
    work, root = scratch / "work", scratch / "merged"
    work.mkdir()
    root.mkdir()
    options = f"lowerdir={':'.join(map(os.fspath, reversed(lower)))}"
    if upper:
        options += f",upperdir={upper},workdir={work}"
    mount = 'mount -t overlay -o "$0" lab "$1" && shift && exec "$@"'
    try:
        yield root, ["unshare", "--mount", "--net", "sh", "-c", mount, options, os.fspath(root)]
    finally:
        shutil.rmtree(work)
        root.rmdir()


def build_wheelhouse(repository: Path) -> Path:
    """The wheels of the project and of what it depends on at run time."""
    names = ("pyproject.toml", "src", "README.md", "share", "docs")
    key = digest(tree_digest(*(path for name in names if (path := repository / name).exists())))

    def build(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", os.fspath(folder)]
        subprocess.run([*pip, os.fspath(repository)], check=True, stdin=subprocess.DEVNULL)

    return cached("wheelhouse", key, "building the wheels", build)
