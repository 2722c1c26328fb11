"""What a tunnel's `publish` and `reach` are made of: a socket for each entry, and its proxy."""

from ipaddress import ip_network
from pathlib import PurePosixPath

from wgconfine.model.ports import Publish, Reach, SocketAddress, UnixSocket
from wgconfine.model.settings import Settings, TunnelName
from wgconfine.model.tree import File
from wgconfine.render.places import UNITS
from wgconfine.render.ports import port_sockets, publish_stem, reach_stem
from wgconfine.render.quote import value
from wgconfine.render.service import GUARD
from wgconfine.render.templates import HEADER, RUNTIME

__all__ = ["port_files"]

# DefaultDependencies=no: with them it would come before sockets.target, and so before all that its
# namespace comes after. Without a limit it outlives whatever keeps its proxy from starting.
SOCKET = """\
[Unit]
Description={description}
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
BindsTo=wgconfine-netns@{name}.service
After=wgconfine-netns@{name}.service
StartLimitIntervalSec=0

[Socket]
TriggerLimitIntervalSec=0
Backlog=4096
"""

SERVICE = """\
[Unit]
BindsTo=wgconfine-netns@{name}.service
After=wgconfine-netns@{name}.service
[Service]
"""


def port_files(settings: Settings, *, python: PurePosixPath) -> list[File]:
    """Give every file of a tunnel's published and reached ports; nothing where it has none."""
    sockets = port_sockets(settings)
    if not sockets:
        return []
    name = value(settings.name)
    # They come with the namespace, after each of its starts. An owner's stop lasts until the next.
    wants = "[Unit]\n" + "".join(f"Wants={socket}\n" for socket in sockets)
    files = [dropin(f"wgconfine-netns@{name}.service", wants)]
    runtime = f"{value(str(python))}{RUNTIME}"
    for published in settings.publish:
        stem = publish_stem(settings.name, published)
        files.append(unit(f"{stem}.socket", publish_socket(settings.name, published, runtime)))
        files.append(dropin(f"{stem}.service", publish_service(settings.name, published)))
    for reached in settings.reach:
        stem = reach_stem(settings.name, reached)
        files.append(unit(f"{stem}.socket", reach_socket(settings.name, reached)))
        files.append(dropin(f"{stem}.service", reach_service(settings.name, reached)))
    return files


def unit(name: str, text: str) -> File:
    return File(path=UNITS / name, text=HEADER + text)


def dropin(name: str, text: str) -> File:
    return File(path=UNITS / f"{name}.d" / "wgconfine.conf", text=HEADER + text)


def publish_socket(name: TunnelName, entry: Publish, runtime: str) -> str:
    description = f"Port of WireGuard tunnel {name}: {entry.where} to {entry.to} inside"
    text = SOCKET.format(description=description.replace("%", "%%"), name=value(name))
    if isinstance(entry.listen, UnixSocket):
        return text + unix_lines(entry.listen)
    # A machine may lack ::1, for a time: net.ipv6.conf.all.disable_ipv6.
    return text + address_lines(entry.listen) + client_lines(entry, runtime)


def unix_lines(listen: UnixSocket) -> str:
    return (
        f"ListenStream={value(str(listen.path))}\n"
        "SocketMode=0660\n"
        f"SocketUser={value(listen.user)}\n"
        f"SocketGroup={value(listen.group)}\n"
        "RemoveOnStop=yes\n"
    )


def address_lines(addresses: tuple[SocketAddress, ...]) -> str:
    text = "".join(f"ListenStream={each}\n" for each in addresses)
    text += "BindIPv6Only=ipv6-only\nNoDelay=yes\n"
    # At boot it listens before the network is up, and ::1 may be switched off.
    return text + "FreeBind=yes\n"


def client_lines(entry: Publish, runtime: str) -> str:
    """Say who may connect. systemd leaves the filter out in silence where it can't make it."""
    clients = " ".join(map(str, entry.clients)) or "localhost"
    text = f"IPAddressDeny=any\nIPAddressAllow={clients}\n"
    if not entry.clients:
        return text
    return text + f"ExecStartPre=+{runtime} admits {value(','.join(map(str, entry.clients)))}\n"


def guard(name: TunnelName) -> str:
    return f"ExecStartPre={GUARD.format(name=value(name))}\n"


def publish_service(name: TunnelName, entry: Publish) -> str:
    return (
        SERVICE.format(name=value(name))
        + f"NetworkNamespacePath=/run/netns/{value(name)}\n"
        + "# The guard. Here ExecCondition= would skip this in silence where the name is broken.\n"
        + guard(name)
        + target(entry.to)
    )


def reach_socket(name: TunnelName, entry: Reach) -> str:
    description = f"Way out of WireGuard tunnel {name}: {entry.listen} inside to {entry.to}"
    text = SOCKET.format(description=description, name=value(name))
    text += f"NetworkNamespacePath=/run/netns/{value(name)}\n{guard(name)}"
    text += address_lines((entry.listen,))
    return text + "IPAddressDeny=any\nIPAddressAllow=localhost\n"


def reach_service(name: TunnelName, entry: Reach) -> str:
    text = SERVICE.format(name=value(name))
    return text + f"IPAddressAllow={ip_network(entry.to.address)}\n" + target(entry.to)


def target(to: SocketAddress) -> str:
    """Give it without the brackets of IPv6: the proxy takes what stands before the last colon."""
    return f"Environment=TARGET={to.address}:{to.port}\n"
