"""What is wrong only between keys, or files, of one tunnel's settings."""

from collections.abc import Iterable, Iterator, Sequence

from wgconfine.config.check import (
    DNS_HINT,
    MTU_HINT,
    PEERS_HINT,
    REACH_HINT,
    too_small,
    unreachable,
)
from wgconfine.config.escape import quote
from wgconfine.config.fragments import Fragment, given_keys, merge
from wgconfine.config.holes import is_plain
from wgconfine.config.places import place_of
from wgconfine.config.ports import overlap
from wgconfine.config.schema import INLINE_KEYS
from wgconfine.model.ports import Inbound, PortRange, Publish, SocketAddress
from wgconfine.model.problem import Problem

__all__ = ["check_files"]

KEEP_ONE, TAKE_AWAY = "Keep one of them", "Take it away"


def check_files(files: Sequence[Fragment], *, complete: bool) -> Iterator[Problem]:
    """Check what was read of all files together, the tunnel's own one first.

    Where one could not be read at all they are not `complete`: what seems to be missing may stand
    there.
    """
    if complete:
        yield from _check_source(files)
    if files:
        yield from _check_secrets(files)
    yield from _check_services(files)
    yield from _check_refinements(files, complete=complete)
    yield from _check_peers(files)
    yield from _check_ports(files)
    yield from _check_inbound(files)
    yield from _check_endpoints(files)
    yield from _check_networks(files)
    yield from _check_pin(files)
    yield from _check_via(files)


def _check_source(files: Sequence[Fragment]) -> Iterator[Problem]:
    """Check that the tunnel is described once: by a `.conf`, or by the inline keys."""
    main, given = files[0].path, given_keys(files)
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


def _check_secrets(files: Sequence[Fragment]) -> Iterator[Problem]:
    """Check that each preshared key is in one place, and what is said of files and credentials."""
    document = merge(files)
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


def _check_services(files: Sequence[Fragment]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for file in files:
        services = file.table.get("services")
        for position, unit in enumerate(services if isinstance(services, list) else ()):
            place = place_of(file.path, "services", position)
            if isinstance(unit, str) and first.setdefault(unit, place) != place:
                what = f"{quote(unit)} is already listed, at {first[unit]}"
                yield Problem(where=place, what=what, hint=KEEP_ONE)


def _check_refinements(files: Sequence[Fragment], *, complete: bool) -> Iterator[Problem]:
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


def _check_peers(files: Sequence[Fragment]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for file in files:
        for position, peer in enumerate(file.document.peer or ()):
            place = place_of(file.path, "peer", position, "public-key")
            if first.setdefault(peer.public_key, place) != place:
                what = f"it is that of another peer, at {first[peer.public_key]}"
                yield Problem(where=place, what=what, hint=KEEP_ONE)


def _check_ports(files: Sequence[Fragment]) -> Iterator[Problem]:
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


def _check_inbound(files: Sequence[Fragment]) -> Iterator[Problem]:
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


def _check_endpoints(files: Sequence[Fragment]) -> Iterator[Problem]:
    """Check that each of `endpoints` is given once, and what stands beside them."""
    given = given_keys(files)
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


def _check_pin(files: Sequence[Fragment]) -> Iterator[Problem]:
    """Check that encrypted packets are known by a mark, and that each peer is in a known place."""
    given = given_keys(files)
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


def _check_networks(files: Sequence[Fragment]) -> Iterator[Problem]:
    """Check that an inline tunnel can carry its addresses and leads to its resolvers."""
    document = merge(files)
    addresses = document.address or ()
    if document.mtu is not None and (what := too_small(document.mtu, addresses)):
        yield Problem(where=place_of(files[0].path, "mtu"), what=what, hint=MTU_HINT)
    if document.dns and document.address and document.peer:
        networks = [network for peer in document.peer for network in peer.allowed_ips]
        if what := unreachable(document.dns, addresses, networks):
            yield Problem(
                where=place_of(given_keys(files)["dns"], "dns"), what=what, hint=REACH_HINT
            )


def _check_via(files: Iterable[Fragment]) -> Iterator[Problem]:
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
