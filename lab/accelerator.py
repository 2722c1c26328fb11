"""Whether KVM works here. A /dev/kvm that opens may still hang the guest: a timed boot tells."""

import os
import subprocess
from pathlib import Path

from lab.cache import cache_folder, locked
from lab.image import Image
from lab.progress import progress

PROBE_SECONDS = 10


def fastest_accelerator(image: Image) -> str:
    """`kvm` if a boot under it ended in time, else `tcg`. Asked once per boot of this machine."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    answer = cache_folder() / f".accelerator-{boot}"
    # One asks and the others wait: two timed boots at once would make each other late.
    with locked(cache_folder() / ".accelerator.lock"):
        if not answer.exists():
            with progress("trying KVM"):
                answer.write_text("kvm" if _boots(image) else "tcg")
        return answer.read_text()


def _boots(image: Image) -> bool:
    # fmt: off
    command = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-accel", "kvm", "-cpu", "max", "-smp", "2", "-m", "512",
        "-kernel", os.fspath(image.kernel), "-initrd", os.fspath(image.initrd),
        "-append", "quiet lab.probe",
    ]
    # fmt: on
    try:
        result = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0
