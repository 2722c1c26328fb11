"""What `apply` rendered for a tunnel (NAME.json, no secrets), and the settings it leads to."""

from __future__ import annotations

import os

# What json.loads() itself calls in CPython. The json package would be a tenth of the time of `up`:
# it imports re, for the parser that it has where this one is missing.
from _json import make_scanner

from wgconfine.config import wgquick
from wgconfine.config.literal import is_key
from wgconfine.runtime import paths, turns
from wgconfine.runtime.failure import Failure, warn
from wgconfine.runtime.trusted import read_trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SCHEMA = 1
# SystemError: the scanner has no exception of its own to raise where json is not imported.
DAMAGES = (ValueError, KeyError, TypeError, StopIteration, SystemError, RecursionError)


class Syntax:
    """What make_scanner() must be told: JSON as it is, nothing converted."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, str


class Record:
    """NAME.json, as render/record.py writes it. `link` is the userspace link's name in the host."""

    def __init__(self, name: str, values: dict[str, Any]) -> None:
        self.name = name
        self.digest: str = values["digest"]
        self.backend: str = values["backend"]
        self.link: str = values["link"]
        self.config_file: str | None = values["config-file"]
        self.config: str | None = values["config"]
        self.private_key_file: str | None = values["private-key-file"]
        self.private_key_credential: str | None = values["private-key-credential"]
        self.preshared_key_files: dict[str, str] = values["preshared-key-files"]
        self.dns: list[str] | None = values["dns"]
        self.mtu: int | None = values["mtu"]
        self.listen_port: int | None = values["listen-port"]
        self.fwmark: int | None = values["fwmark"]
        self.services: list[str] = values["services"]
        # What an earlier version left has none of these.
        self.verify_every: int | None = values.get("verify-every")
        self.handshake_max_age: int | None = values.get("handshake-max-age", 180)
        self.ready: str = values.get("ready", "link")
        self.ready_timeout: int = values.get("ready-timeout", 90)
        self.watched_files: list[str] = values.get("watched-files", [])
        self.watch_units: list[str] = values.get("watch-units", [])
        self.encrypted_credentials: bool = values.get("encrypted-credentials", False)
        self.config_credential: str | None = values.get("config-credential")
        self.preshared_key_credentials: dict[str, str] = values.get("preshared-key-credentials", {})
        self.endpoints: list[dict[str, str | None]] = values.get("endpoints", [])
        self.endpoint_order: str = values.get("endpoint-order", "listed")
        self.pin_endpoint: bool = values.get("pin-endpoint", False)
        self.via: str | None = values.get("via")
        self.on_leak: str = values.get("on-leak", "report")
        self.allow_paths: dict[str, list[str]] = values.get("allow-paths", {})
        self.allow_bus: dict[str, list[str]] = values.get("allow-bus", {})
        self.publish: list[dict[str, Any]] = values.get("publish", [])
        self.reach: list[dict[str, Any]] = values.get("reach", [])
        inbound: dict[str, list[str]] = values.get("inbound", {})
        self.inbound_tcp = inbound.get("tcp", [])
        self.inbound_udp = inbound.get("udp", [])
        self.outbound_deny: list[str] = values.get("outbound-deny", [])

    @property
    def has_credentials(self) -> bool:
        """Whether systemd hands over what it is configured by, to wgconfine-reload@ alone."""
        one = self.config_credential or self.private_key_credential
        return bool(one or self.preshared_key_credentials)

    @property
    def waits(self) -> bool:
        """Whether services wait for a handshake when they start."""
        return self.ready == "handshake"

    @property
    def sockets(self) -> list[str]:
        """The `.socket` units of published and reached ports."""
        return [each["socket"] for each in (*self.publish, *self.reach)]

    @property
    def userspace(self) -> bool:
        return self.backend == "userspace"

    @property
    def wg_name(self) -> str:
        """What wg(8) calls the link: it finds a userspace one by the socket of its first name."""
        return self.link if self.userspace else paths.LINK


def installed() -> list[str]:
    """Give the names of the tunnels that have a NAME.json, in their order."""
    files = (file.partition(".") for file in sorted(os.listdir(paths.SETTINGS)))
    return [name for name, _, suffix in files if name and suffix == "json"]


def load(name: str) -> Record:
    """Read /etc/wgconfine/NAME.json. Raises Failure."""
    path = f"{paths.SETTINGS}/{name}.json"
    try:
        text = read_trusted(path, secret=False).decode()
        # The stub says that the context is a make_scanner; any object with these names will do.
        values, _ = make_scanner(Syntax)(text, 0)  # type: ignore[arg-type]
        if values["schema"] != SCHEMA:
            raise Failure(f"{path}: was written by another version. Run wgconfine apply.")
        return Record(name, values)
    except DAMAGES as error:
        raise Failure(f"{path}: is damaged. Run wgconfine apply.") from error


def read_conf(record: Record) -> wgquick.Conf:
    """Read keys and peers *now*, as wg-quick(8) does; what the settings say goes before the .conf.

    Every file is judged before it is believed. Raises Failure with every problem of the .conf.
    """
    conf = read_bare(record)
    if record.config is None:
        for each in conf.warnings:
            warn(f"{conf_place(record)}:{each.line}: {each}")
    else:
        conf.private_key = read_private_key(record)
        for peer in conf.peers:
            peer.preshared_key = read_preshared_key(record, peer.public_key)
    turns.take(record, conf)
    return conf


def conf_place(record: Record) -> str:
    """Give the path of the `.conf`: a file's own, or that of what systemd has handed over."""
    return record.config_file or credential(record, record.config_credential)


def credential(record: Record, name: str | None) -> str:
    """Give the path of a credential. Raises Failure where systemd has handed none over."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory is None or name is None:
        raise Failure(
            f"{record.name}: there is no credential. "
            "Start this by systemd, which hands it over; it must lie in /etc/credstore or its like."
        )
    return f"{directory}/{name}"


def read_declared(record: Record) -> wgquick.Conf:
    """Read the same as read_conf(), without keys in files of their own and without warnings."""
    conf = read_bare(record)
    turns.take(record, conf)
    return conf


def read_bare(record: Record) -> wgquick.Conf:
    """Read the same as read_declared(), with the peer's own endpoint: none of `endpoints`."""
    if record.config is None:
        path = conf_place(record)
        conf = parse(read_trusted(path, secret=True), path, record=record)
    else:
        path = f"{paths.SETTINGS}/{record.name}.json"
        conf = parse(record.config.encode(), path, record=record)
    if record.dns is not None:
        conf.dns = record.dns
    if record.mtu is not None:
        conf.mtu = record.mtu
    conf.listen_port, conf.fwmark = record.listen_port, record.fwmark
    return conf


def parse(data: bytes, where: str, *, record: Record) -> wgquick.Conf:
    repeated = [
        key
        for key, value in (("ListenPort", record.listen_port), ("FwMark", record.fwmark))
        if value is not None
    ]
    whole = record.config is None
    try:
        text = wgquick.decode(data, where)
        return wgquick.parse(text, where, need_private_key=whole, repeated=repeated)
    except wgquick.ConfError as error:
        raise Failure(str(error)) from None


def read_private_key(record: Record) -> str:
    if record.private_key_file is not None:
        return read_key(record.private_key_file)
    return read_key(credential(record, record.private_key_credential))


def read_preshared_key(record: Record, public_key: str) -> str | None:
    if public_key in record.preshared_key_files:
        return read_key(record.preshared_key_files[public_key])
    if public_key in record.preshared_key_credentials:
        return read_key(credential(record, record.preshared_key_credentials[public_key]))
    return None


def read_key(path: str) -> str:
    """Give the one WireGuard key that a file holds, as `wg genkey` writes it."""
    key = read_trusted(path, secret=True).decode("ascii", "replace").strip()
    if not is_key(key):
        raise Failure(f"{path}: holds no WireGuard key. Write 44 characters, as wg genkey gives.")
    return key
