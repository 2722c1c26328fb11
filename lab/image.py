"""What QEMU boots: a root's kernel, an initrd with the modules that find the disk, the disk."""

import gzip
import lzma
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.cache import cached, digest
from lab.layers import Root, merged
from lab.requirements import require

DISK_SIZE = "3G"  # sparse
# The console port and the card, too: the agent and the uplink are there before udev.
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng", "ext4")

INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
for module in $($b cat /modules); do $b insmod "$module" || echo "lab: no $module"; done
# The timed boot that finds out whether an accelerator works ends here.
if $b grep -q lab.probe /proc/cmdline; then $b poweroff -f; fi
while [ ! -b /dev/vda ]; do $b sleep 0.1; done
$b mount -t ext4 -o rw /dev/vda /root
$b umount /proc
exec $b switch_root /root /sbin/init
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The files of a bootable root. Nobody writes to them."""

    kernel: Path
    initrd: Path
    disk: Path


def build_image(root: Root) -> Image:
    """The image of a root, made on first use."""
    require("mke2fs", "zstd")
    base = root.layers[0]
    modules = next((base / "usr/lib/modules").iterdir())
    # Where the package keeps it up to trixie, and from forky on.
    places = (base / "boot" / f"vmlinuz-{modules.name}", modules / "vmlinuz")
    kernel = next(place for place in places if place.exists())

    def build(folder: Path) -> None:
        (folder / "initrd").write_bytes(_initrd(base / "usr/bin/busybox", modules))
        with merged(root.layers, folder) as (tree, enter):
            disk = os.fspath(folder / "disk")
            make = ["mke2fs", "-q", "-t", "ext4", "-d", os.fspath(tree), disk, DISK_SIZE]
            subprocess.run([*enter, *make], check=True, stdout=subprocess.DEVNULL)

    key = digest(root.key, INIT, *MODULES, DISK_SIZE)
    folder = cached(f"image-{root.release}", key, f"making a {root.release} disk", build)
    return Image(kernel=kernel, initrd=folder / "initrd", disk=folder / "disk")


def _initrd(busybox: Path, modules: Path) -> bytes:
    files = {"init": INIT.encode(), "bin/busybox": busybox.read_bytes()}
    order = []
    for module in _needed(modules):
        name = f"modules.d/{module.name.partition('.')[0]}.ko"
        files[name] = _unpacked(module)
        order.append(f"/{name}\n")
    files["modules"] = "".join(order).encode()
    folders = ("bin", "dev", "modules.d", "proc", "root")
    members = [_member(name, 0o040755, b"") for name in folders]
    members += [_member(name, 0o100755, content) for name, content in files.items()]
    return gzip.compress(b"".join([*members, _member("TRAILER!!!", 0, b"")]), compresslevel=1)


def _needed(modules: Path) -> Iterator[Path]:
    """The files of MODULES that are not built in, each after the files it depends on."""
    dependencies = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, needs = line.partition(":")
        dependencies[file] = needs.split()
    by_name = {Path(file).name.partition(".")[0].replace("-", "_"): file for file in dependencies}
    seen = set()
    for name in MODULES:
        if name not in by_name:
            continue
        # modules.dep lists what must be loaded first last.
        for file in (*reversed(dependencies[by_name[name]]), by_name[name]):
            if file not in seen:
                seen.add(file)
                yield modules / file


def _unpacked(module: Path) -> bytes:
    match module.suffix:
        case ".xz":
            return lzma.decompress(module.read_bytes())
        case ".zst":
            command = ["zstd", "--decompress", "--stdout", os.fspath(module)]
            return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        case _:
            return module.read_bytes()


def _member(name: str, mode: int, content: bytes) -> bytes:
    """A file in a cpio archive: Documentation/driver-api/early-userspace/buffer-format.rst."""
    path = name.encode() + b"\0"
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers) + path
    return header + b"\0" * (-len(header) % 4) + content + b"\0" * (-len(content) % 4)
