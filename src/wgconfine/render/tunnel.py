"""What one tunnel adds to the templates: drop-ins, its start at boot, the peace of its link."""

from pathlib import PurePosixPath

from wgconfine.model.settings import Backend, Inline, Settings
from wgconfine.model.tree import MARK, File, Link
from wgconfine.render.quote import value
from wgconfine.render.record import host_link
from wgconfine.render.templates import HEADER, RUNTIME, UNITS

__all__ = ["boot_link", "instance_dropins", "unmanaged_link_files"]

NETWORKD = PurePosixPath("/etc/systemd/network/10-wgconfine.network")
NETWORK_MANAGER = PurePosixPath("/etc/NetworkManager/conf.d/wgconfine.conf")


def dropin(unit: str, text: str) -> File:
    return File(path=UNITS / f"{unit}.d" / "wgconfine.conf", text=HEADER + text)


def instance_dropins(settings: Settings, backend: Backend, *, python: PurePosixPath) -> list[File]:
    """Give the drop-ins of the tunnel's own units: what depends on backend and kind of key."""
    name = settings.name
    unit, service = "", ""
    files = []
    if backend is Backend.USERSPACE:
        unit = "Wants=wgconfine-wireguard@%i.service\nAfter=wgconfine-wireguard@%i.service\n"
        link = f"[Service]\nEnvironment=LINK={value(host_link(name))}\n"
        files.append(dropin(f"wgconfine-wireguard@{name}.service", link))
    source = settings.wireguard
    if isinstance(source, Inline) and source.private_key_credential is not None:
        # PID 1 loads credentials for each start of a unit, and would do so for its ExecStopPost
        # too: with the source gone the tunnel could not be stopped. So one short unit alone has it.
        runtime = f"{value(str(python))}{RUNTIME}"
        service = (
            "ExecStart=\n"
            f"ExecStart={runtime} clear %i\n"
            "ExecStart=systemctl start wgconfine-reload@%i.service\n"
        )
        load = f"[Service]\nLoadCredential={value(source.private_key_credential)}\n"
        files.append(dropin(f"wgconfine-reload@{name}.service", load))
    if unit or service:
        text = (f"[Unit]\n{unit}" if unit else "") + (f"[Service]\n{service}" if service else "")
        files.append(dropin(f"wgconfine@{name}.service", text))
    return files


def boot_link(settings: Settings) -> Link:
    """Give what `systemctl enable wgconfine@NAME` would make."""
    return Link(
        path=UNITS / "multi-user.target.wants" / f"wgconfine@{settings.name}.service",
        target=UNITS / "wgconfine@.service",
    )


def unmanaged_link_files() -> list[File]:
    """Tell networkd and NetworkManager to leave a userspace link alone before it moves inside."""
    return [
        File(path=NETWORKD, text=f"# {MARK}.\n[Match]\nName=wgc-*\n\n[Link]\nUnmanaged=yes\n"),
        File(
            path=NETWORK_MANAGER,
            text=f"# {MARK}.\n[keyfile]\nunmanaged-devices+=interface-name:wgc-*\n",
        ),
    ]
