"""What one tunnel adds to the templates: drop-ins, its start at boot, the peace of its link."""

from pathlib import PurePosixPath

from wgconfine.model.settings import Backend, Refinement, Settings, TunnelName
from wgconfine.model.tree import MARK, File, Link
from wgconfine.model.units import BusUser
from wgconfine.render.places import UNITS
from wgconfine.render.quote import escape_path_unit, value
from wgconfine.render.record import host_link, watch_units, watched_ways
from wgconfine.render.service import slice_name
from wgconfine.render.serviceunits import WATCH
from wgconfine.render.templates import HEADER, RUNTIME, TICK
from wgconfine.render.tunnelunits import WATCH_SOURCE

__all__ = [
    "boot_link",
    "bus_dropin",
    "instance_dropins",
    "source_watches",
    "tick_link",
    "unmanaged_link_files",
    "watches",
]

NETWORKD = PurePosixPath("/etc/systemd/network/10-wgconfine.network")
NETWORK_MANAGER = PurePosixPath("/etc/NetworkManager/conf.d/wgconfine.conf")


START_OUTER = """\
# Not a requirement: while that tunnel is down this one stays, and carries nothing. Not Wants=, by
# which each start of a service would start what its owner has stopped; nor when systemd itself
# tries this one again.
ExecStartPre=-/bin/sh -p -c "[ $$(systemctl show -P NRestarts wgconfine@%i.service) != 0 ] || \
exec systemctl start --no-block --job-mode=fail wgconfine@{via}.service"
"""

WIREGUARD_INSIDE = """\
# Its socket is in that tunnel's namespace, and so is its link until it is moved.
NetworkNamespacePath=/run/netns/{via}
BindReadOnlyPaths=/run/wgconfine/netns/{via}
# The guard: systemd goes on in the host's namespace where it may not join.
ExecStartPre=/bin/sh -p -c "[ /proc/self/ns/net -ef /run/wgconfine/netns/{via} ] || \
{{ echo 'wgconfine: this is not the namespace of tunnel {via}: refused' >&2; exit 1; }}"
"""

ENDPOINT_INSIDE = """\
[Service]
NetworkNamespacePath=/run/netns/{via}
# A /run without the host's resolver and name service daemons.
ReadOnlyPaths=
TemporaryFileSystem=/run:ro
BindReadOnlyPaths=/run/netns /run/wgconfine/netns /run/wgconfine/tunnel -/run/wireguard
BindPaths=/run/wgconfine/lock /run/wgconfine/tunnel/{name}
BindReadOnlyPaths=/run/wgconfine/tunnel/{name}/outer-resolv.conf:/etc/resolv.conf
BindReadOnlyPaths=/run/wgconfine/tunnel/{name}/nsswitch.conf:/etc/nsswitch.conf
"""


def dropin(unit: str, text: str) -> File:
    return File(path=UNITS / f"{unit}.d" / "wgconfine.conf", text=HEADER + text)


def instance_dropins(settings: Settings, backend: Backend, *, python: PurePosixPath) -> list[File]:
    """Give the drop-ins of the tunnel's own units: what depends on backend and kind of key."""
    name, via = settings.name, settings.via
    unit, service = "", ""
    files = [switch_dropin(settings), *name_dropins(settings)]
    if via is not None:
        unit = needs_namespace(via) + f"After=wgconfine@{via}.service\n"
        service = START_OUTER.format(via=via)
        files.append(endpoint_dropin(name, via))
    if backend is Backend.USERSPACE:
        unit += "Wants=wgconfine-wireguard@%i.service\nAfter=wgconfine-wireguard@%i.service\n"
        text = f"[Unit]\n{needs_namespace(via)}" if via is not None else ""
        text += f"[Service]\nEnvironment=LINK={value(host_link(name))}\n"
        text += WIREGUARD_INSIDE.format(via=via) if via is not None else ""
        files.append(dropin(f"wgconfine-wireguard@{name}.service", text))
    load = credential_lines(settings)
    if load:
        # PID 1 loads credentials for each start of a unit, and would do so for its ExecStopPost
        # too: with the source gone the tunnel could not be stopped. So one short unit alone has it.
        runtime = f"{value(str(python))}{RUNTIME}"
        service += (
            "ExecStart=\n"
            f"ExecStart={runtime} clear %i\n"
            "ExecStart=systemctl start wgconfine-reload@%i.service\n"
        )
    watching = watch_units(settings)
    reload = f"[Unit]\nWants={' '.join(watching)}\n" if watching else ""
    reload += f"[Service]\n{load}" if load else ""
    if reload:
        files.append(dropin(f"wgconfine-reload@{name}.service", reload))
    if unit or service:
        text = (f"[Unit]\n{unit}" if unit else "") + (f"[Service]\n{service}" if service else "")
        files.append(dropin(f"wgconfine@{name}.service", text))
    return files


def credential_lines(settings: Settings) -> str:
    """Have systemd hand credentials over; no line of its takes both forms of them."""
    key = "LoadCredentialEncrypted" if settings.encrypted_credentials else "LoadCredential"
    return "".join(f"{key}={value(name)}\n" for name in settings.credentials)


def source_watches(settings: Settings) -> list[File]:
    """Give what watches the files that a tunnel is made from."""
    if not settings.reload_on_change:
        return []
    return [
        File(
            path=UNITS / unit,
            text=HEADER + WATCH_SOURCE.format(tunnel=settings.name, path=value(str(way))),
        )
        for unit, way in zip(watch_units(settings), watched_ways(settings), strict=True)
    ]


def needs_namespace(via: TunnelName) -> str:
    """Give what binds a unit to the namespace of another tunnel: a socket in it dies with it."""
    netns = f"wgconfine-netns@{via}.service"
    return f"BindsTo={netns}\nAfter={netns}\n"


def endpoint_dropin(name: TunnelName, via: TunnelName) -> File:
    """Have endpoints be looked up inside another tunnel, by its resolvers alone."""
    text = f"[Unit]\n{needs_namespace(via)}" + ENDPOINT_INSIDE.format(name=name, via=via)
    return dropin(f"wgconfine-endpoint@{name}.service", text)


def switch_dropin(settings: Settings) -> File:
    """Give what binds the second switch to its slice, whose control group its rule names.

    Made anew, that is another object. The services are named here and not in their own drop-ins,
    where a line more would restart them.
    """
    group = value(slice_name(settings.name))
    text = f"[Unit]\nBindsTo={group}\nAfter={group}\n"
    text += "".join(f"Before={value(unit)}\n" for unit in settings.services)
    return dropin(f"wgconfine-switch@{settings.name}.service", text)


def name_dropins(settings: Settings) -> list[File]:
    """Give what has the namespace named again when somebody unmounts a name of it.

    systemd makes a unit of every mount, and reads drop-ins of such a unit as of any other.
    """
    text = f"[Unit]\nOnSuccess=wgconfine-name@{value(settings.name)}.service\n"
    name = escape_path_unit(settings.name)
    return [
        dropin(f"run-netns-{name}.mount", text),
        dropin(f"run-wgconfine-netns-{name}.mount", text),
    ]


def watches(settings: Settings, *, python: PurePosixPath) -> list[File]:
    """Give what watches the directories on the way to a path that services are offered.

    A path is made anew in its directory, and that one may be, too. /run itself is in the template.
    """
    offered = [path for each in settings.refinements for path in each.allow_paths]
    ways = sorted({parent for path in offered for parent in path.parents[:-2]})
    if not ways:
        return []
    units = [f"wgconfine-paths@{settings.name}.{number}.path" for number in range(len(ways))]
    names = " ".join(units)
    text = (
        f"[Unit]\nWants={names}\nAfter={names}\n[Service]\n"
        f"ExecReload=\nExecReload=-systemctl start --job-mode=fail {names}\n"
        f"ExecReload={value(str(python))}{RUNTIME} paths-up %i\n"
    )
    return [
        dropin(f"wgconfine-paths@{settings.name}.service", text),
        *(
            File(
                path=UNITS / unit,
                text=HEADER + WATCH.format(tunnel=settings.name, path=value(str(way))),
            )
            for unit, way in zip(units, ways, strict=True)
        ),
    ]


def bus_dropin(settings: Settings, refinement: Refinement, user: BusUser) -> File:
    """Give what is a service's own of the proxy that it reaches the bus by.

    It runs with the service's own user, whom the bus judges by. Its own name it may have, too.
    """
    rights = [f"--{'own' if name == user.name else 'talk'}={name}" for name in refinement.allow_bus]
    lines = [
        f"User={value(user.user)}",
        *([f"Group={value(user.group)}"] if user.group else []),
        *(f"SupplementaryGroups={value(group)}" for group in user.groups),
        *(["DynamicUser=yes"] if user.dynamic else []),
        f'Environment="ALLOWED={" ".join(map(value, rights))}"',
    ]
    stem = refinement.unit.removesuffix(".service")
    tunnel = f"wgconfine@{settings.name}.service"
    text = f"[Unit]\nPartOf={tunnel}\nAfter={tunnel}\n[Service]\n" + "\n".join(lines) + "\n"
    return dropin(f"wgconfine-bus@{stem}.service", text)


def boot_link(settings: Settings) -> Link:
    """Give what `systemctl enable wgconfine@NAME` would make."""
    return Link(
        path=UNITS / "multi-user.target.wants" / f"wgconfine@{settings.name}.service",
        target=UNITS / "wgconfine@.service",
    )


def tick_link() -> Link:
    """Give what `systemctl enable wgconfine-tick.timer` would make: one for all tunnels."""
    return Link(path=UNITS / "timers.target.wants" / TICK, target=UNITS / TICK)


def unmanaged_link_files() -> list[File]:
    """Tell networkd and NetworkManager to leave a userspace link alone before it moves inside."""
    return [
        File(path=NETWORKD, text=f"# {MARK}.\n[Match]\nName=wgc-*\n\n[Link]\nUnmanaged=yes\n"),
        File(
            path=NETWORK_MANAGER,
            text=f"# {MARK}.\n[keyfile]\nunmanaged-devices+=interface-name:wgc-*\n",
        ),
    ]
