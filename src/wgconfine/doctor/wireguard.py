"""WireGuard: the kernel's or wireguard-go, whichever the runtime would take."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wgconfine.doctor.asked import is_there, read
from wgconfine.doctor.distribution import Distribution
from wgconfine.model.doctor import Finding, Grade, Subject
from wgconfine.model.errors import OperationFailed
from wgconfine.system.host import kernel_has_wireguard

__all__ = ["WireguardFacts", "judge_wireguard", "look_at_wireguard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireguardFacts:
    """`kernel` says that it makes such links, None where that could not be tried.

    `module` that its module lies there, or is built in; `modules` that there are modules of the
    running kernel at all. `userspace` that wireguard-go is installed, `tun` that it gets a device.
    `declared` are tunnels with `backend = "userspace"`.
    """

    kernel: bool | None
    module: bool = False
    modules: bool = True
    userspace: bool = False
    tun: bool = False
    release: str = ""
    declared: tuple[str, ...] = ()


def look_at_wireguard(root: Path, release: str, declared: tuple[str, ...]) -> WireguardFacts:
    try:
        kernel: bool | None = kernel_has_wireguard()
    except OperationFailed:  # no unshare(1): the tools say so
        kernel = None
    if not kernel and os.geteuid() != 0:
        kernel = None
    modules = [
        text
        for each in ("modules.dep", "modules.builtin")
        if (text := read(root, f"/lib/modules/{release}/{each}")) is not None
    ]
    return WireguardFacts(
        kernel=kernel,
        module=any("/wireguard.ko" in each for each in modules),
        modules=bool(modules),
        userspace=is_there("wireguard-go"),
        tun=has_tun(root),
        release=release,
        declared=declared,
    )


def has_tun(root: Path) -> bool:
    """Tell whether the device can be opened; it may be there and be refused by a control group."""
    path = root / "dev/net/tun"
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
    except PermissionError:
        return os.geteuid() != 0  # not for this user, who is not the one who starts tunnels
    except OSError:
        return False
    return True


wireguard = partial(Finding, subject=Subject.WIREGUARD)


def judge_wireguard(
    seen: WireguardFacts, distribution: Distribution, container: str
) -> Iterator[Finding]:
    """Say which of the two a tunnel gets, as the runtime decides, or why it gets none.

    `container` may be a chroot, too: no module is loaded from within one.
    """
    for name in seen.declared:
        if not (seen.userspace and seen.tun):
            yield no_userspace(
                seen, distribution, container, f'{name} has backend = "userspace", and '
            )
    if seen.kernel:
        yield wireguard(name="backend", grade=Grade.OK, words="the kernel's is used")
    elif seen.kernel is None:
        yield not_tried(seen)
    elif seen.userspace and seen.tun:
        yield wireguard(
            name="backend",
            grade=Grade.NOTE,
            words=f"{why_no_kernel(seen, container)}: wireguard-go is used, which takes more of a "
            "processor",
            mend=kernel_mend(seen, container),
        )
    else:
        yield no_userspace(seen, distribution, container, f"{why_no_kernel(seen, container)}, and ")


def not_tried(seen: WireguardFacts) -> Finding:
    likely = "its module is there" if seen.module else "no module of that name is there"
    return wireguard(
        name="backend",
        grade=Grade.UNKNOWN,
        words=f"whether the kernel makes such links is tried as root alone; {likely}",
    )


def why_no_kernel(seen: WireguardFacts, container: str) -> str:
    if container:
        return "the kernel makes no WireGuard link here (its module is the host's to load)"
    if not seen.modules:
        return f"there are no modules of the running kernel {seen.release}"
    if seen.module:
        return "the kernel's module is there and makes no link"
    return f"the kernel {seen.release} has no WireGuard"


def kernel_mend(seen: WireguardFacts, container: str) -> str:
    if container:
        return ""
    if not seen.modules:  # an upgrade has taken them away
        return "reboot"
    return "modprobe wireguard" if seen.module else ""


def no_userspace(
    seen: WireguardFacts, distribution: Distribution, container: str, before: str
) -> Finding:
    if not seen.userspace:
        mend = distribution.install("wireguard-go") or kernel_mend(seen, container)
        return wireguard(
            name="backend",
            grade=Grade.BROKEN,
            words=f"{before}wireguard-go is not installed: no tunnel has a link",
            mend=mend,
        )
    return wireguard(
        name="tun",
        grade=Grade.BROKEN,
        words=f"{before}wireguard-go gets no /dev/net/tun",
        mend="" if container else "modprobe tun",
        lines=tun_lines(container),
    )


def tun_lines(container: str) -> tuple[str, ...]:
    """Give what lets a container have the device; its manager's manual is the source."""
    match container:
        case "lxc" | "lxc-libvirt":
            return (
                "Proxmox VE, on the host: pct set CTID --dev0 /dev/net/tun",
                "LXC, in the container's config:",
                "lxc.cgroup2.devices.allow = c 10:200 rwm",
                "lxc.mount.entry = /dev/net/tun dev/net/tun none bind,create=file",
            )
        case "systemd-nspawn":
            return (
                "/etc/systemd/nspawn/NAME.nspawn on the host:",
                "[Files]",
                "Bind=/dev/net/tun",
                "systemctl set-property systemd-nspawn@NAME.service DeviceAllow='/dev/net/tun rwm'",
            )
        case "docker" | "podman":
            return (f"{container} run --device /dev/net/tun …",)
        case _:
            return ()
