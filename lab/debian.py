"""Debian roots to boot: which releases, which packages, and mmdebstrap to make them.

mmdebstrap takes the mirror from its own defaults and checks signatures with the keys of the
machine's debian-archive-keyring; bookworm's, since 2023.3+deb12u2, has those of trixie and forky.
"""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.cache import cached, digest
from lab.requirements import require

PACKAGES = (
    "aria2",
    "bind9-dnsutils",
    "busybox-static",  # for the initrd of virtual machines
    "ca-certificates",
    "curl",
    "dbus",
    "deluged",
    "iproute2",
    "iputils-ping",
    "kmod",
    "libnss-systemd",  # names of DynamicUser= users
    "netbase",
    "nftables",
    "nginx",
    "procps",
    "python3",
    "python3-venv",
    "qbittorrent-nox",
    "strace",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tcpdump",
    "transmission-daemon",
    "udev",
    "util-linux",
    "wireguard-go",
    "wireguard-tools",
)

# The kernel (one package, or from forky on image, binary and modules) is unpacked, not installed:
# it would pull in an initramfs generator that nobody here needs.
# --keep-directory-symlink: bookworm's kernel ships /lib, which is a symlink in the root.
CUSTOMIZE = r"""set -eu
mkdir /tmp/kernel
cd /tmp/kernel
apt-get --simulate install linux-image-cloud-amd64 |
  sed -n 's/^Inst \(linux-[a-z]*-[0-9][^ ]*\) .*/\1/p' | xargs apt-get -q download
for package in *.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C /
done
rm -r /tmp/kernel
depmod "$(ls /usr/lib/modules)"
systemctl disable deluged.service nginx.service transmission-daemon.service
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A Debian release; `apt_options` are lines of apt.conf."""

    name: str
    apt_options: tuple[str, ...] = ()


RELEASES = {
    release.name: release
    for release in (
        Release(name="bookworm"),  # systemd 252, Python 3.11, Linux 6.1
        Release(name="trixie"),  # systemd 257, Python 3.13, Linux 6.12
        # Testing: a mirror that is a snapshot serves an index whose time has run out.
        Release(name="forky", apt_options=('Acquire::Check-Valid-Until "false"',)),
    )
}

# systemd-resolved of bookworm puts a link to itself there, and the kernel could not be downloaded.
RESOLVER = '--customize-hook=cp --remove-destination /etc/resolv.conf "$1/etc/resolv.conf"'


def base_root(release: str, extra_packages: Sequence[str] = ()) -> Path:
    """The folder of a Debian root, made on first use. It is shared: never write to it."""
    require("mmdebstrap")
    wanted = RELEASES[release]
    packages = sorted({*PACKAGES, *extra_packages})
    options = ('APT::Install-Recommends "false"', *wanted.apt_options)
    key = digest(wanted, options, *packages, CUSTOMIZE)

    def build(folder: Path) -> None:
        root = folder / "root"
        command = [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={','.join(packages)}",
            *(f"--aptopt={option}" for option in options),
            RESOLVER,
            f"--customize-hook=chroot \"$1\" sh -c '{_quoted(CUSTOMIZE)}'",
            release,
            os.fspath(root),
        ]
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise RootError(release, result.stderr)
        root.chmod(0o755)

    return cached(f"base-{release}", key, f"building {release} root", build) / "root"


def _quoted(script: str) -> str:
    return script.replace("'", "'\\''")


class RootError(Exception):
    """mmdebstrap did not make the root."""

    def __init__(self, release: str, log: str) -> None:
        super().__init__(f"mmdebstrap could not make {release}:\n{log[-4000:]}")
