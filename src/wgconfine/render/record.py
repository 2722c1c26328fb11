"""NAME.json: what the runtime is told of a tunnel. Holds no secret; runtime/record.py reads it."""

import hashlib
import json
from pathlib import PurePosixPath

from wgconfine.model.ports import Publish, Reach, UnixSocket
from wgconfine.model.settings import Backend, ConfCredential, ConfFile, Inline, Settings, TunnelName
from wgconfine.model.tree import MARK, File
from wgconfine.render.places import record_path
from wgconfine.render.ports import publish_stem, reach_stem

__all__ = [
    "SCHEMA",
    "host_link",
    "record_file",
    "watch_units",
    "watched_ways",
]

SCHEMA = 1
TOP = 2
"""Parts of the path of a directory at the top, such as /etc."""
FIREWALL = 2
"""Counts up with the rules in runtime/firewall.py: so `apply` has running tunnels load them."""


def host_link(name: TunnelName) -> str:
    """Give the userspace link's name before it moves into its namespace: 12 of at most 15 bytes."""
    return "wgc-" + hashlib.sha256(name.encode()).hexdigest()[:8]


def watched_files(settings: Settings) -> tuple[PurePosixPath, ...]:
    """Give the files whose change reloads the tunnel; of a credential the places it may lie in.

    That of packages (/usr/lib) does not change while a machine runs.
    """
    if not settings.reload_on_change:
        return ()
    store = "credstore.encrypted" if settings.encrypted_credentials else "credstore"
    return settings.secret_files + tuple(
        PurePosixPath(top, store, name) for name in settings.credentials for top in ("/etc", "/run")
    )


def watched_ways(settings: Settings) -> tuple[PurePosixPath, ...]:
    """Give each of those files, and the directories in which a link on its way may be replaced.

    Of those at the top only /run: sops-nix and agenix have a link there to what is in force. On the
    way to credentials nobody has any.
    """
    files = watched_files(settings)
    parents = (parent for path in settings.secret_files for parent in path.parents)
    links = (each for each in parents if len(each.parts) > TOP or str(each) == "/run")
    return tuple(dict.fromkeys((*files, *links))) if files else ()


def watch_units(settings: Settings) -> tuple[str, ...]:
    """Give the path units that do so: one for each, in their order."""
    ways = watched_ways(settings)
    return tuple(f"wgconfine-watch@{settings.name}.{each}.path" for each in range(len(ways)))


def record_file(settings: Settings, backend: Backend) -> File:
    """Give NAME.json; `backend` is what `auto` came to."""
    source = settings.wireguard
    values: dict[str, object] = {
        "generated": f"{MARK} from {settings.path}. Do not edit: wgconfine apply writes it anew.",
        "schema": SCHEMA,
        "settings-digest": settings.digest,
        "backend": backend.value,
        "link": host_link(settings.name),
        "config-file": str(source.path) if isinstance(source, ConfFile) else None,
        "config-credential": source.name if isinstance(source, ConfCredential) else None,
        "config": inline_config(source) if isinstance(source, Inline) else None,
        "private-key-file": None,
        "private-key-credential": None,
        "preshared-key-files": {},
        "preshared-key-credentials": {},
        "dns": None if settings.dns is None else [str(each) for each in settings.dns],
        "mtu": settings.mtu,
        "listen-port": settings.listen_port,
        "fwmark": settings.outer_mark,
        "ready": settings.ready.value,
        "ready-timeout": settings.ready_timeout,
        "watched-files": list(map(str, watched_files(settings))),
        "watch-units": list(watch_units(settings)),
        "encrypted-credentials": settings.encrypted_credentials,
        "endpoints": [
            {"endpoint": str(each.endpoint), "public-key": each.public_key}
            for each in settings.endpoints
        ],
        "endpoint-order": settings.endpoint_order.value,
        "pin-endpoint": settings.pin_endpoint,
        "via": settings.via,
        "services": list(settings.services),
        "verify-every": settings.verify.every,
        "handshake-max-age": settings.health.handshake_max_age,
        "on-leak": settings.verify.on_leak.value,
        "allow-paths": {
            each.unit: [str(path) for path in each.allow_paths]
            for each in settings.refinements
            if each.allow_paths
        },
        "allow-bus": {
            each.unit: list(each.allow_bus) for each in settings.refinements if each.allow_bus
        },
        "publish": [published(settings.name, each) for each in settings.publish],
        "reach": [reached(settings.name, each) for each in settings.reach],
        "inbound": {
            "tcp": [str(each) for each in settings.inbound.tcp],
            "udp": [str(each) for each in settings.inbound.udp],
        },
        "outbound-deny": [str(each) for each in settings.outbound_deny],
        "firewall": FIREWALL,
    }
    if isinstance(source, Inline):
        if source.private_key_file is not None:
            values["private-key-file"] = str(source.private_key_file)
        values["private-key-credential"] = source.private_key_credential
        values["preshared-key-credentials"] = {
            peer.public_key: peer.preshared_key_credential
            for peer in source.peers
            if peer.preshared_key_credential is not None
        }
        values["preshared-key-files"] = {
            peer.public_key: str(peer.preshared_key_file)
            for peer in source.peers
            if peer.preshared_key_file is not None
        }
    # The runtime leaves this where `apply` sees it: what is in force, and not merely on the disk.
    values["digest"] = hashlib.sha256(json.dumps(values).encode()).hexdigest()
    return File(path=record_path(settings.name), text=json.dumps(values, indent=2) + "\n")


def published(name: TunnelName, entry: Publish) -> dict[str, object]:
    """Give an entry of `publish` for `status` and `verify`, which go by what is installed."""
    values: dict[str, object] = {"socket": f"{publish_stem(name, entry)}.socket"}
    if isinstance(entry.listen, UnixSocket):
        values |= {
            "listen": [str(entry.listen)],
            "to": str(entry.to),
            "user": entry.listen.user,
            "group": entry.listen.group,
        }
    else:
        values |= {
            "listen": [str(each) for each in entry.listen],
            "to": str(entry.to),
            "from": [str(each) for each in entry.clients],
            "free-bind": entry.free_bind,
        }
    return values


def reached(name: TunnelName, entry: Reach) -> dict[str, object]:
    return {
        "socket": f"{reach_stem(name, entry)}.socket",
        "listen": str(entry.listen),
        "to": str(entry.to),
    }


def inline_config(inline: Inline) -> str:
    """Give the inline form as a wg-quick .conf without its secrets: the runtime has one parser."""
    lines = ["[Interface]", f"Address = {', '.join(map(str, inline.address))}"]
    for peer in inline.peers:
        lines += ["[Peer]", f"PublicKey = {peer.public_key}"]
        lines.append(f"AllowedIPs = {', '.join(map(str, peer.allowed_ips))}")
        if peer.endpoint is not None:
            lines.append(f"Endpoint = {peer.endpoint}")
        if peer.persistent_keepalive is not None:
            lines.append(f"PersistentKeepalive = {peer.persistent_keepalive}")
    return "\n".join(lines) + "\n"
