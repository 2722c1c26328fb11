"""What the lab needs of this machine. What is missing is a failure with a remedy, never a skip."""

import shutil
import subprocess
from functools import cache

PACKAGE_OF = {
    "curl": "curl",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "mke2fs": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "qemu-system-x86_64": "qemu-system-x86",
    "tcpdump": "tcpdump",
    "wg": "wireguard-tools",
    "wireguard-go": "wireguard-go",
    "zstd": "zstd",
}


class LabUnavailableError(Exception):
    """The lab cannot run here."""


def require(*programs: str) -> None:
    """Raise LabUnavailableError unless all programs are there."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        packages = " ".join(sorted({PACKAGE_OF[program] for program in missing}))
        raise LabUnavailableError(f"the lab needs {', '.join(missing)}. apt install {packages}")


@cache
def require_namespaces() -> None:
    """Raise LabUnavailableError unless new namespaces can be made: the probe makes some."""
    probe = ["unshare", "--net", "--mount", "--pid", "--cgroup", "--fork", "true"]
    result = subprocess.run(probe, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LabUnavailableError(
            f"the lab cannot make namespaces: {result.stderr.strip()}. Run it as root"
        )
