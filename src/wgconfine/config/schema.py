"""The tables of the settings: which keys there are, and what reads the value of each.

`structure` does not stop at the first mistake: cattrs collects them all with their places, and its
exceptions become `Finding`s here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Any, TypeVar

from cattrs import Converter
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from wgconfine.config.ports import (
    PublishTable,
    build_publish,
    read_account,
    read_listen,
    read_port_range,
    read_publish_text,
    read_reach,
    read_to,
    sorted_ranges,
)
from wgconfine.config.unitnames import parse_service
from wgconfine.config.values import (
    WrongValueError,
    read_absolute_path,
    read_address,
    read_backend,
    read_boolean,
    read_bus_name,
    read_credential,
    read_endpoint,
    read_endpoint_order,
    read_fwmark,
    read_handshake_age,
    read_hardening,
    read_interval,
    read_keepalive,
    read_mtu,
    read_network,
    read_on_leak,
    read_port,
    read_public_key,
    read_ready,
    read_ready_timeout,
    read_resolver,
    read_run_path,
    read_tunnel_name,
    show,
)
from wgconfine.config.words import suggest
from wgconfine.model.ports import Inbound, PortRange, Publish, Reach
from wgconfine.model.settings import (
    Alternative,
    Backend,
    EndpointOrder,
    HealthSettings,
    IPAddress,
    IPInterface,
    IPNetwork,
    Peer,
    Ready,
    Refinement,
    Rights,
    TunnelName,
    UnitName,
    VerifySettings,
)

__all__ = [
    "INLINE_KEYS",
    "KEYS",
    "LIST_KEYS",
    "Document",
    "Finding",
    "OutboundTable",
    "structure",
]

Read = Callable[[Any], Any]
_T = TypeVar("_T")

LIST_KEYS = (
    "services", "address", "peer", "dns", "service", "publish", "reach", "inbound", "outbound",
    "endpoints",
)  # fmt: skip
"""What a file of NAME.d may add to: lists, and tables that hold nothing else."""
INLINE_KEYS = ("address", "private-key-file", "private-key-credential", "peer")
"""What stands in the place of `config` and `config-credential`."""
_LATER = ("port-forward",)
_SECRETS = {"privatekey": "private-key-file", "presharedkey": "preshared-key-file"}
_ALL_ADDRESSES = ["0.0.0.0/0", "::/0"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundTable:
    """`[outbound]`."""

    deny: tuple[IPNetwork, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file of settings: each key that it has, read; None for those it has not."""

    enable: bool | None = None
    config: PurePosixPath | None = None
    config_credential: str | None = None
    address: tuple[IPInterface, ...] | None = None
    private_key_file: PurePosixPath | None = None
    private_key_credential: str | None = None
    peer: tuple[Peer, ...] | None = None
    services: tuple[UnitName, ...] | None = None
    backend: Backend | None = None
    dns: tuple[IPAddress, ...] | None = None
    mtu: int | None = None
    listen_port: int | None = None
    fwmark: int | None = None
    verify: VerifySettings | None = None
    service: tuple[Refinement, ...] | None = None
    publish: tuple[Publish, ...] | None = None
    reach: tuple[Reach, ...] | None = None
    inbound: Inbound | None = None
    outbound: OutboundTable | None = None
    health: HealthSettings | None = None
    ready: Ready | None = None
    ready_timeout: int | None = None
    reload_on_change: bool | None = None
    encrypted_credentials: bool | None = None
    endpoints: tuple[Alternative, ...] | None = None
    endpoint_order: EndpointOrder | None = None
    pin_endpoint: bool | None = None
    via: TunnelName | None = None


KEYS = tuple(known.name.replace("_", "-") for known in fields(Document))
"""Every key of the file that this version understands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong at `path`: keys, and positions in lists counted from 0."""

    path: tuple[str | int, ...]
    what: str
    hint: str = ""


def structure(table: Mapping[str, object]) -> tuple[Document, list[Finding]]:
    """Read a file's table: what is right of it, and all that is wrong."""
    try:
        return _read_document(table), []
    except ClassValidationError as error:
        findings = list(_findings(error, ()))
    wrong = {finding.path[0] for finding in findings}
    return _read_document({key: table[key] for key in table if key not in wrong}), findings


def _list_of(read: Read, *, empty: bool = True) -> Read:
    def read_list(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise WrongValueError(f"{show(value)} is not a list")
        if not value and not empty:
            raise WrongValueError("the list is empty")
        items, errors = [], []
        for position, item in enumerate(value):
            try:
                items.append(read(item))
            except (WrongValueError, ClassValidationError) as error:
                error.add_note(IterableValidationNote("", position, object))
                errors.append(error)
        if errors:
            raise IterableValidationError("", errors, list)
        return tuple(items)

    return read_list


def _read_peers(value: Any) -> tuple[Peer, ...]:
    if isinstance(value, dict):
        raise WrongValueError("a table is not a list", "Write [[peer]], with two brackets")
    peers: tuple[Peer, ...] = _list_of(_read_peer, empty=False)(value)
    return peers


def _read_peer(value: Any) -> Peer:
    if not isinstance(value, dict):
        raise WrongValueError(f"{show(value)} is not a table")
    return _read_peer_table({"allowed-ips": _ALL_ADDRESSES, **value})


def _table(read: Read) -> Read:
    def read_table(value: Any) -> Any:
        if not isinstance(value, dict):
            raise WrongValueError(f"{show(value)} is not a table")
        return read(value)

    return read_table


def _read_publish(value: Any) -> Publish:
    if isinstance(value, dict):
        return build_publish(_read_publish_table(value))
    if isinstance(value, str):
        return read_publish_text(value)
    hint = f"Write '{value}', in quotes" if type(value) is int else ""
    raise WrongValueError(f"{show(value)} is neither text nor a table", hint)


def _read_alternative(value: Any) -> Alternative:
    if isinstance(value, dict):
        return _read_alternative_table(value)
    return Alternative(endpoint=read_endpoint(value))


def _read_ranges(value: Any) -> tuple[PortRange, ...]:
    return sorted_ranges(_list_of(read_port_range)(value))


def _read_refinements(value: Any) -> tuple[Refinement, ...]:
    """Read the tables of `[service."UNIT"]`; the place of each is its unit's name."""
    if not isinstance(value, dict):
        raise WrongValueError(f"{show(value)} is not a table", 'Write [service."UNIT"]')
    found, errors = [], []
    for unit, table in value.items():
        try:
            found.append(_read_refinement(unit, table))
        except (WrongValueError, ClassValidationError) as error:
            error.add_note(IterableValidationNote("", unit, object))
            errors.append(error)
    if errors:
        raise IterableValidationError("", errors, dict)
    return tuple(found)


def _read_refinement(unit: str, table: Any) -> Refinement:
    name = parse_service(unit)
    if not isinstance(table, dict):
        raise WrongValueError(f"{show(table)} is not a table", 'Write [service."UNIT"]')
    said = _read_rights(table)
    return Refinement(
        unit=name,
        allow_paths=said.allow_paths,
        allow_bus=said.allow_bus,
        hardening=said.hardening,
    )


def _table_reader(kind: type[_T], reads: Mapping[str, Read]) -> Callable[[Any], _T]:
    overrides: dict[str, Any] = {
        attribute: override(rename=_key_of(attribute), struct_hook=_as_hook(read))
        for attribute, read in reads.items()
    }
    hook = make_dict_structure_fn(
        kind,
        _CONVERTER,
        _cattrs_forbid_extra_keys=True,  # until cattrs 24 it is not the converter's that counts
        _cattrs_detailed_validation=True,
        **overrides,
    )
    return lambda value: hook(value, kind)


def _as_hook(read: Read) -> Callable[[Any, Any], Any]:
    return lambda value, _: read(value)


def _findings(error: Exception, path: tuple[str | int, ...]) -> Iterator[Finding]:
    if isinstance(error, (ClassValidationError, IterableValidationError)):
        for inner in error.exceptions:
            yield from _findings(inner, (*path, *_place(inner)))
    elif isinstance(error, ForbiddenExtraKeysError):
        for key in sorted(error.extra_fields):
            yield _extra_key(key, path, [_key_of(known.name) for known in fields(error.cl)])
    elif isinstance(error, WrongValueError):
        yield Finding(path=path, what=error.what, hint=error.hint)
    else:  # a KeyError: the generated reader did not find the key
        yield Finding(path=path, what="it is missing")


def _place(error: BaseException) -> tuple[str | int, ...]:
    notes = getattr(error, "__notes__", ())
    keys = [_key_of(note.name) for note in notes if isinstance(note, AttributeValidationNote)]
    positions = [note.index for note in notes if isinstance(note, IterableValidationNote)]
    return (*keys, *positions)


def _key_of(attribute: str) -> str:
    # `from` is a word of Python's.
    return "from" if attribute == "clients" else attribute.replace("_", "-")


def _extra_key(key: str, path: tuple[str | int, ...], known: list[str]) -> Finding:
    place = (*path, key)
    if key in _LATER and not path:
        return Finding(path=place, what="not yet supported by this version")
    if (secret := key.lower().replace("_", "").replace("-", "")) in _SECRETS:
        hint = f"Name a file that holds it in {_SECRETS[secret]}"
        return Finding(path=place, what="a secret is never written into the settings", hint=hint)
    return Finding(path=place, what="unknown key", hint=suggest(key, known))


_CONVERTER = Converter()
_read_peer_table = _table_reader(
    Peer,
    {
        "public_key": read_public_key,
        "endpoint": read_endpoint,
        "allowed_ips": _list_of(read_network, empty=False),
        "preshared_key_file": read_absolute_path,
        "preshared_key_credential": read_credential,
        "persistent_keepalive": read_keepalive,
    },
)
_read_verify_table = _table_reader(
    VerifySettings, {"every": read_interval, "on_leak": read_on_leak}
)
_read_rights = _table_reader(
    Rights,
    {
        "allow_paths": _list_of(read_run_path),
        "allow_bus": _list_of(read_bus_name),
        "hardening": read_hardening,
    },
)
_read_publish_table = _table_reader(
    PublishTable,
    {
        "listen": read_listen,
        "to": read_to,
        "clients": _list_of(read_network, empty=False),
        "user": read_account,
        "group": read_account,
        "free_bind": read_boolean,
    },
)
_read_inbound_table = _table_reader(Inbound, {"tcp": _read_ranges, "udp": _read_ranges})
_read_outbound_table = _table_reader(OutboundTable, {"deny": _list_of(read_network)})
_read_health_table = _table_reader(HealthSettings, {"handshake_max_age": read_handshake_age})
_read_alternative_table = _table_reader(
    Alternative, {"endpoint": read_endpoint, "public_key": read_public_key}
)
_read_document = _table_reader(
    Document,
    {
        "enable": read_boolean,
        "config": read_absolute_path,
        "config_credential": read_credential,
        "address": _list_of(read_address, empty=False),
        "private_key_file": read_absolute_path,
        "private_key_credential": read_credential,
        "peer": _read_peers,
        "services": _list_of(parse_service),
        "backend": read_backend,
        "dns": _list_of(read_resolver),
        "mtu": read_mtu,
        "listen_port": read_port,
        "fwmark": read_fwmark,
        "verify": _table(_read_verify_table),
        "service": _read_refinements,
        "publish": _list_of(_read_publish),
        "reach": _list_of(read_reach),
        "inbound": _table(_read_inbound_table),
        "outbound": _table(_read_outbound_table),
        "health": _table(_read_health_table),
        "ready": read_ready,
        "ready_timeout": read_ready_timeout,
        "reload_on_change": read_boolean,
        "encrypted_credentials": read_boolean,
        "endpoints": _list_of(_read_alternative),
        "endpoint_order": read_endpoint_order,
        "pin_endpoint": read_boolean,
        "via": read_tunnel_name,
    },
)
