"""Settings of a tunnel as NAME.json tells them, where its own can't be read or are gone."""

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import PurePosixPath
from typing import Any

from wgconfine.config.ports import Listen, read_listen, read_socket_address
from wgconfine.model.ports import Inbound, PortRange, Publish, Reach, UnixSocket
from wgconfine.model.settings import (
    Backend,
    ConfCredential,
    ConfFile,
    Endpoint,
    Inline,
    OnLeak,
    Peer,
    Ready,
    Settings,
    TunnelName,
    UnitName,
    VerifySettings,
)
from wgconfine.runtime.record import Record, read_bare

__all__ = ["settings_of_record"]


def settings_of_record(record: Record) -> Settings:
    """Give what is installed in the words of settings; there are no refinements in a record.

    Raises Failure or ValueError where it is damaged.
    """
    return Settings(
        name=TunnelName(record.name),
        path=PurePosixPath(f"/etc/wgconfine/{record.name}.toml"),
        digest="",
        wireguard=source_of(record),
        services=tuple(map(UnitName, record.services)),
        backend=Backend(record.backend),
        dns=None if record.dns is None else tuple(map(ip_address, record.dns)),
        mtu=record.mtu,
        listen_port=record.listen_port,
        fwmark=record.fwmark,
        ready=Ready(record.ready),
        ready_timeout=record.ready_timeout,
        reload_on_change=bool(record.watch_units),
        encrypted_credentials=record.encrypted_credentials,
        via=None if record.via is None else TunnelName(record.via),
        verify=VerifySettings(every=record.verify_every, on_leak=OnLeak(record.on_leak)),
        publish=tuple(map(publish_of, record.publish)),
        reach=tuple(map(reach_of, record.reach)),
        inbound=Inbound(
            tcp=tuple(map(port_range, record.inbound_tcp)),
            udp=tuple(map(port_range, record.inbound_udp)),
        ),
        outbound_deny=tuple(map(ip_network, record.outbound_deny)),
    )


def publish_of(entry: dict[str, Any]) -> Publish:
    """Give an entry as render/record.py wrote it."""
    return Publish(
        listen=listen_of(entry),
        to=read_socket_address(entry["to"]),
        clients=tuple(map(ip_network, entry.get("from", ()))),
        free_bind=entry.get("free-bind", False),
    )


def listen_of(entry: dict[str, Any]) -> Listen:
    found = read_listen(entry["listen"][0])
    if isinstance(found, UnixSocket):
        return UnixSocket(path=found.path, user=entry["user"], group=entry["group"])
    return tuple(map(read_socket_address, entry["listen"]))


def reach_of(entry: dict[str, Any]) -> Reach:
    return Reach(listen=read_socket_address(entry["listen"]), to=read_socket_address(entry["to"]))


def port_range(text: str) -> PortRange:
    first, _, last = text.partition("-")
    return PortRange(first=int(first), last=int(last or first))


def source_of(record: Record) -> ConfFile | ConfCredential | Inline:
    if record.config_file is not None:
        return ConfFile(path=PurePosixPath(record.config_file))
    if record.config_credential is not None:
        return ConfCredential(name=record.config_credential)
    return inline(record)


def path_or_none(text: str | None) -> PurePosixPath | None:
    return None if text is None else PurePosixPath(text)


def inline(record: Record) -> Inline:
    conf = read_bare(record)
    return Inline(
        address=tuple(map(ip_interface, conf.addresses)),
        peers=tuple(
            Peer(
                public_key=peer.public_key,
                endpoint=Endpoint(host=peer.endpoint[0], port=peer.endpoint[1])
                if peer.endpoint
                else None,
                allowed_ips=tuple(map(ip_network, peer.allowed_ips)),
                preshared_key_file=path_or_none(record.preshared_key_files.get(peer.public_key)),
                preshared_key_credential=record.preshared_key_credentials.get(peer.public_key),
                persistent_keepalive=peer.persistent_keepalive,
            )
            for peer in conf.peers
        ),
        private_key_file=path_or_none(record.private_key_file),
        private_key_credential=record.private_key_credential,
    )
