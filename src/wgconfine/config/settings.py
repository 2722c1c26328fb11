"""/etc/wgconfine/NAME.toml and NAME.d/*.toml: text in, `Settings` or every problem at once out."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import PurePosixPath
from typing import TypeVar

from wgconfine.config.check import (
    DNS_HINT,
    MTU_HINT,
    PEERS_HINT,
    REACH_HINT,
    too_small,
    unreachable,
)
from wgconfine.config.digest import settings_digest
from wgconfine.config.escape import escape, holds_key, quote
from wgconfine.config.holes import is_plain
from wgconfine.config.places import place_of
from wgconfine.config.ports import in_order, overlap
from wgconfine.config.schema import (
    INLINE_KEYS,
    KEYS,
    LIST_KEYS,
    Document,
    Finding,
    OutboundTable,
    structure,
)
from wgconfine.config.values import WrongValueError, read_tunnel_name
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.ports import Inbound, PortRange, Publish, SocketAddress
from wgconfine.model.problem import Problem
from wgconfine.model.settings import (
    Backend,
    ConfCredential,
    ConfFile,
    EndpointOrder,
    HealthSettings,
    Inline,
    Ready,
    Settings,
    TunnelName,
    VerifySettings,
)

__all__ = ["parse_settings", "parse_tunnel_name"]

KEEP_ONE, TAKE_AWAY = "Keep one of them", "Take it away"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file of settings; `table` is what TOML made of it, `document` what is right in that."""

    path: PurePosixPath
    table: Mapping[str, object]
    document: Document


def parse_tunnel_name(text: str) -> TunnelName:
    """Read a tunnel's name, `[a-z0-9][a-z0-9-]{0,30}`. Raises ProblemsFound."""
    try:
        return read_tunnel_name(text)
    except WrongValueError as error:
        what = "not the name of a tunnel"
        raise ProblemsFound([Problem(where=quote(text), what=what, hint=error.hint)]) from None


def parse_settings(
    name: str, texts: Sequence[tuple[PurePosixPath, str | None]], unreadable: Iterable[Problem] = ()
) -> Settings:
    """Read the settings of a tunnel: NAME.toml first, then the files of NAME.d in their order.

    The text is None of those files that `unreadable` is about. Raises ProblemsFound with every
    problem of every file.
    """
    problems = list(unreadable)
    files: list[_File] = []
    try:
        parse_tunnel_name(name)
    except ProblemsFound as error:
        where = place_of(texts[0][0])
        problems.extend(
            replace(each, where=where, what=f"{each.where} is {each.what}")
            for each in error.problems
        )
    for position, (path, text) in enumerate(texts):
        if text is None:
            continue
        try:
            table = _load(path, text)
        except ProblemsFound as error:
            problems.extend(error.problems)
            continue
        findings = list(_not_lists(table)) if position else []
        wrong = {finding.path[0] for finding in findings}
        document, more = structure({key: table[key] for key in table if key not in wrong})
        problems.extend(_problem(path, finding) for finding in (*findings, *more))
        files.append(_File(path=path, table=table, document=document))
    if len(files) == len(texts):  # else what seems to be missing may stand in the unreadable one
        problems.extend(_check_source(files))
    if files:
        problems.extend(_check_secrets(files))
    problems.extend(_check_services(files))
    problems.extend(_check_refinements(files, complete=len(files) == len(texts)))
    problems.extend(_check_peers(files))
    problems.extend(_check_ports(files))
    problems.extend(_check_inbound(files))
    problems.extend(_check_endpoints(files))
    problems.extend(_check_networks(files))
    problems.extend(_check_pin(files))
    problems.extend(_check_via(files))
    if problems:
        raise ProblemsFound(problems)
    return _build(TunnelName(name), files, [text or "" for _, text in texts])


def _load(path: PurePosixPath, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        words = str(error)
    except RecursionError:
        words = "too deeply nested"
    except ValueError:  # int() refuses numbers of over 4300 digits
        words = "a number is too long"
    # Before Python 3.14, which has attributes for it, the line is in the message's last words.
    what, _, place = words.partition(" (at ")
    line = place.removeprefix("line ").partition(",")[0]
    if place.startswith("end of document"):
        line = str(text.count("\n") + 1)
    where = f"{place_of(path)}:{line}" if line else place_of(path)
    # Some messages name a key of the file, and a secret may have got into its place.
    what = "not TOML" if holds_key(what) else f"not TOML: {escape(what)}"
    # As in the name of a unit that was pasted.
    hint = "Put text with a backslash in single quotes" if "\\" in what else ""
    raise ProblemsFound([Problem(where=where, what=what, hint=hint)])


def _problem(path: PurePosixPath, finding: Finding) -> Problem:
    where = place_of(path, *finding.path)
    return Problem(where=where, what=finding.what, hint=finding.hint)


def _not_lists(table: Mapping[str, object]) -> Iterator[Finding]:
    for key in table:
        if key in KEYS and key not in LIST_KEYS:
            what = "this file can only add to lists"
            yield Finding(path=(key,), what=what, hint="Set it in the tunnel's own file")


def _given(files: Iterable[_File]) -> dict[str, PurePosixPath]:
    """Give the keys that are there, right or wrong, and the first file of each."""
    given: dict[str, PurePosixPath] = {}
    for file in files:
        for key in file.table:
            given.setdefault(key, file.path)
    return given


def _check_source(files: Sequence[_File]) -> Iterator[Problem]:
    """Check that the tunnel is described once: by a `.conf`, or by the inline keys."""
    main, given = files[0].path, _given(files)
    inline = [key for key in INLINE_KEYS if key in given]
    whole = [key for key in ("config", "config-credential") if key in given]
    if whole:
        for key in (*whole[1:], *inline):
            what = f"it cannot stand beside {whole[0]}"
            yield Problem(where=place_of(given[key], key), what=what, hint=KEEP_ONE)
        return
    if not inline:
        what = "it says neither config nor address, private-key-file and [[peer]]"
        yield Problem(where=place_of(main), what=what, hint="Name a wg-quick file in config")
        return
    for key in ("address", "peer"):
        if key not in given:
            hint = "Write it, or name a wg-quick file in config"
            yield Problem(where=place_of(main, key), what="it is missing", hint=hint)
    sources = [key for key in inline if key.startswith("private-key")]
    if len(sources) != 1:
        what = "it stands beside private-key-credential" if sources else "it is missing"
        hint = KEEP_ONE if sources else "Name the file or the credential of the key"
        yield Problem(where=place_of(main, "private-key-file"), what=what, hint=hint)
    if "dns" not in given:
        yield Problem(where=place_of(main, "dns"), what="it is missing", hint=DNS_HINT)


def _check_secrets(files: Sequence[_File]) -> Iterator[Problem]:
    """Check that each preshared key is in one place, and what is said of files and credentials."""
    document = _merge(files)
    for file in files:
        for position, peer in enumerate(file.document.peer or ()):
            if peer.preshared_key_file is not None and peer.preshared_key_credential is not None:
                yield Problem(
                    where=place_of(file.path, "peer", position, "preshared-key-credential"),
                    what="it stands beside preshared-key-file",
                    hint=KEEP_ONE,
                )
    peers = document.peer or ()
    if document.encrypted_credentials is not None and not any(
        (
            document.config_credential,
            document.private_key_credential,
            *(peer.preshared_key_credential for peer in peers),
        )
    ):
        where = place_of(files[0].path, "encrypted-credentials")
        what = "there are no credentials that it could be of"
        yield Problem(where=where, what=what, hint=TAKE_AWAY)
    paths = (document.config, document.private_key_file, *(p.preshared_key_file for p in peers))
    odd = [str(path) for path in paths if path is not None and not is_plain(str(path))]
    if document.reload_on_change and odd:
        what = f"{quote(odd[0])} has characters that can't stand in a unit"
        hint = "Rename it, or take this away"
        yield Problem(where=place_of(files[0].path, "reload-on-change"), what=what, hint=hint)


def _check_services(files: Sequence[_File]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for file in files:
        services = file.table.get("services")
        for position, unit in enumerate(services if isinstance(services, list) else ()):
            place = place_of(file.path, "services", position)
            if isinstance(unit, str) and first.setdefault(unit, place) != place:
                what = f"{quote(unit)} is already listed, at {first[unit]}"
                yield Problem(where=place, what=what, hint=KEEP_ONE)


def _check_refinements(files: Sequence[_File], *, complete: bool) -> Iterator[Problem]:
    """Check that each service that something is said of is listed, and has one table."""
    listed = {unit for file in files for unit in file.document.services or ()}
    # Where a list could not be read, what it names is not known.
    complete = complete and all(
        file.document.services is not None or "services" not in file.table for file in files
    )
    first: dict[str, str] = {}
    for file in files:
        for refinement in file.document.service or ():
            place = place_of(file.path, "service", refinement.unit)
            if first.setdefault(refinement.unit, place) != place:
                what = f"it has a table already, at {first[refinement.unit]}"
                yield Problem(where=place, what=what, hint=KEEP_ONE)
            elif complete and refinement.unit not in listed:
                what, hint = "it is not in services", "List it there, or take this table away"
                yield Problem(where=place, what=what, hint=hint)


def _check_peers(files: Sequence[_File]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for file in files:
        for position, peer in enumerate(file.document.peer or ()):
            place = place_of(file.path, "peer", position, "public-key")
            if first.setdefault(peer.public_key, place) != place:
                what = f"it is that of another peer, at {first[peer.public_key]}"
                yield Problem(where=place, what=what, hint=KEEP_ONE)


def _check_ports(files: Sequence[_File]) -> Iterator[Problem]:
    """Check that no two entries listen in the same place, and that none leads to another."""
    published: list[tuple[Publish, str]] = []
    reached: dict[SocketAddress, str] = {}
    for file in files:
        for position, entry in enumerate(file.document.publish or ()):
            place = place_of(file.path, "publish", position)
            for other, there in published:
                if overlap(entry, other):
                    what = f"{entry.where} is published already, at {there}"
                    yield Problem(where=place, what=what, hint=KEEP_ONE)
            published.append((entry, place))
        for position, each in enumerate(file.document.reach or ()):
            place = place_of(file.path, "reach", position)
            if (there := reached.setdefault(each.listen, place)) != place:
                what = f"{each.listen} is taken already, at {there}"
                yield Problem(where=place, what=what, hint="Give one of them another port")
    for entry, place in published:
        if entry.to in reached:
            what = (
                f"it leads to {entry.to} inside, where {reached[entry.to]} listens: not a service"
            )
            yield Problem(where=place, what=what, hint="Name the port of a service")


def _check_inbound(files: Sequence[_File]) -> Iterator[Problem]:
    """Check that no file opens what another has opened: each within itself was checked already."""
    for protocol in ("tcp", "udp"):
        opened: list[tuple[PortRange, str]] = []
        for file in files:
            place = place_of(file.path, "inbound", protocol)
            ports = getattr(file.document.inbound or Inbound(), protocol)
            for port in ports:
                for other, there in opened:
                    if port.first <= other.last and other.first <= port.last:
                        what = f"{port} is open already, by {there}"
                        yield Problem(where=place, what=what, hint=KEEP_ONE)
            opened += [(port, place) for port in ports]


def _check_endpoints(files: Sequence[_File]) -> Iterator[Problem]:
    """Check that each of `endpoints` is given once, and what stands beside them."""
    given = _given(files)
    first: dict[str, str] = {}
    for file in files:
        for position, each in enumerate(file.document.endpoints or ()):
            place = place_of(file.path, "endpoints", position)
            if first.setdefault(str(each.endpoint), place) != place:
                what = f"{each.endpoint} is given already, at {first[str(each.endpoint)]}"
                yield Problem(where=place, what=what, hint=KEEP_ONE)
    ordered = any(file.document.endpoint_order for file in files)
    if ordered and "endpoints" not in given:
        place = place_of(given["endpoint-order"], "endpoint-order")
        what = "there are no endpoints that it could be of"
        yield Problem(where=place, what=what, hint=TAKE_AWAY)
    peers = [peer for file in files for peer in file.document.peer or ()]
    if "endpoints" in given and len(peers) > 1:
        what = f"they are of one peer, and there are {len(peers)}"
        yield Problem(where=place_of(given["endpoints"], "endpoints"), what=what, hint=PEERS_HINT)


def _check_pin(files: Sequence[_File]) -> Iterator[Problem]:
    """Check that encrypted packets are known by a mark, and that each peer is in a known place."""
    given = _given(files)
    if not any(file.document.pin_endpoint for file in files):
        return
    if any(file.document.fwmark == 0 for file in files):
        what = "pin-endpoint needs a mark"
        hint = "Take fwmark away, or give another number"
        yield Problem(where=place_of(given["fwmark"], "fwmark"), what=what, hint=hint)
    for file in files:
        for position, peer in enumerate(file.document.peer or ()):
            if peer.endpoint is None and "endpoints" not in given:
                where = place_of(file.path, "peer", position)
                what = "pin-endpoint, and this peer has no endpoint"
                yield Problem(where=where, what=what, hint="Declare it")


def _check_networks(files: Sequence[_File]) -> Iterator[Problem]:
    """Check that an inline tunnel can carry its addresses and leads to its resolvers."""
    document = _merge(files)
    addresses = document.address or ()
    if document.mtu is not None and (what := too_small(document.mtu, addresses)):
        yield Problem(where=place_of(files[0].path, "mtu"), what=what, hint=MTU_HINT)
    if document.dns and document.address and document.peer:
        networks = [network for peer in document.peer for network in peer.allowed_ips]
        if what := unreachable(document.dns, addresses, networks):
            yield Problem(where=place_of(_given(files)["dns"], "dns"), what=what, hint=REACH_HINT)


def _check_via(files: Iterable[_File]) -> Iterator[Problem]:
    """Check that nothing is set of encrypted packets on the host, where those never are."""
    for file in files:
        document = file.document
        if document.via is None:
            continue
        why = f"its encrypted packets are inside tunnel '{document.via}' and not on the host"
        if document.fwmark is not None:
            what = f"it cannot be: {why}"
            yield Problem(where=place_of(file.path, "fwmark"), what=what, hint=TAKE_AWAY)
        if document.pin_endpoint:
            hint = f"Set it for '{document.via}'"
            place = place_of(file.path, "pin-endpoint")
            yield Problem(where=place, what=f"it cannot be: {why}", hint=hint)


def _merge(files: Sequence[_File]) -> Document:
    documents = [file.document for file in files]
    inbound = [document.inbound for document in documents if document.inbound]
    return replace(
        documents[0] if documents else Document(),
        services=_joined(document.services for document in documents),
        address=_joined(document.address for document in documents),
        peer=_joined(document.peer for document in documents),
        dns=_joined(document.dns for document in documents),
        service=_joined(document.service for document in documents),
        publish=_joined(document.publish for document in documents),
        reach=_joined(document.reach for document in documents),
        endpoints=_joined(document.endpoints for document in documents),
        inbound=Inbound(
            tcp=in_order(port for each in inbound for port in each.tcp),
            udp=in_order(port for each in inbound for port in each.udp),
        ),
        outbound=OutboundTable(
            deny=_joined(each.outbound.deny for each in documents if each.outbound) or ()
        ),
    )


def _joined(lists: Iterable[tuple[_T, ...] | None]) -> tuple[_T, ...] | None:
    """Join the lists that are there, each value once."""
    there = [values for values in lists if values is not None]
    return tuple(dict.fromkeys(chain.from_iterable(there))) if there else None


def _source(document: Document) -> ConfFile | ConfCredential | Inline:
    if document.config is not None:
        return ConfFile(path=document.config)
    if document.config_credential is not None:
        return ConfCredential(name=document.config_credential)
    return Inline(
        address=document.address or (),
        peers=document.peer or (),
        private_key_file=document.private_key_file,
        private_key_credential=document.private_key_credential,
    )


def _build(name: TunnelName, files: Sequence[_File], texts: Iterable[str]) -> Settings:
    document = _merge(files)
    return Settings(
        name=name,
        path=files[0].path,
        digest=settings_digest(texts),
        wireguard=_source(document),
        enable=document.enable is not False,
        services=document.services or (),
        backend=document.backend or Backend.AUTO,
        dns=document.dns,
        mtu=document.mtu,
        listen_port=document.listen_port,
        fwmark=document.fwmark,
        ready=document.ready or Ready.LINK,
        ready_timeout=document.ready_timeout or 90,
        reload_on_change=document.reload_on_change is True,
        encrypted_credentials=document.encrypted_credentials is True,
        endpoints=document.endpoints or (),
        endpoint_order=document.endpoint_order or EndpointOrder.LISTED,
        pin_endpoint=document.pin_endpoint is True,
        via=document.via,
        verify=document.verify or VerifySettings(),
        refinements=document.service or (),
        publish=document.publish or (),
        reach=document.reach or (),
        inbound=document.inbound or Inbound(),
        health=document.health or HealthSettings(),
        outbound_deny=document.outbound.deny if document.outbound else (),
    )
