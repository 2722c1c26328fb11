"""wgconfine@NAME.service: make the tunnel what its record and .conf say, again and again."""

from __future__ import annotations

import os
import time

from wgconfine.config import wgquick
from wgconfine.runtime import (
    carried,
    firewall,
    link,
    paths,
    pin,
    resolver,
    shared,
    sources,
    turns,
)
from wgconfine.runtime.failure import Failure, step, warn
from wgconfine.runtime.lock import Lock
from wgconfine.runtime.namespace import (
    Visit,
    is_at_home,
    is_namespace,
    outer_identity,
    outer_of,
    outer_place,
)
from wgconfine.runtime.process import Running, find, run
from wgconfine.runtime.record import Record, load, read_conf
from wgconfine.runtime.state import read_state, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wgconfine.runtime.namespace import Home

PATIENCE = 10.0  # seconds for wireguard-go to make its link; it takes some 20 ms


def up(name: str) -> None:
    """Start the tunnel. Raises Failure before anything is changed where its settings are wrong."""
    record = load(name)
    seen = sources.look(record)  # before they are read: what changes later is news
    turns.settle(record)
    conf = read_conf(record)
    with Lock(name):
        resolver.clear_private_runs(record.services)
        configure(record, conf)
        sources.keep(name, seen)
    carried.follow(name)


def reload(name: str) -> None:
    """Bring changed settings into the live link: no service restarts and no new source port."""
    record = load(name)
    with Lock(name):
        if not is_wanted(name):
            warn(f"tunnel {name} has been stopped meanwhile, and stays so")
            return
        seen = sources.look(record)
        turns.settle(record)
        configure(record, read_conf(record))
        sources.keep(name, seen)
    carried.follow(name)


def is_wanted(name: str) -> bool:
    """Tell whether the tunnel is up, or its start has come so far; a stop takes that away."""
    return os.path.exists(f"{paths.tunnel_state(name)}/{paths.IN_FORCE}")


def configure(record: Record, conf: wgquick.Conf) -> None:
    """Converge: firewall and link, then keys and peers, then addresses and routes."""
    visit, outer = Visit(record.name), outer_of(record.via)
    with visit:
        live = inspect(record)
        if live is not None and not is_at_home(record.name, record.via):
            warn(f"the socket of {paths.LINK} is in another namespace than it should be")
            remove_link()
            live = None
        if live is None and record.link in link.names_in_this_namespace():
            run("ip", "link", "del", record.link)  # we were killed before it had its name
    if live is None and record.userspace:
        with outer:
            refuse_foreign_link(record)
    resolver.write_files(record.name, conf.dns, conf.search)
    resolver.prepare_private_runs(record.services)
    resolver.prepare_private_buses(record.allow_bus)
    write_endpoints(record, conf)

    policy = policy_of(record, conf)
    with visit:
        rules = load_firewall(policy, reload=live is not None)
    mtu = ensure_link(record, conf, visit, outer, there=live is not None)
    rules.succeed()
    if record.pin_endpoint:  # before the link can send
        known = turns.known_addresses(record.name)
        pin.hold(record.name, pin.pins_of(record, conf, known))
    with visit:
        set_keys_and_peers(record, conf, there=live is not None)
        bring_up(conf, mtu, live)
    if not record.pin_endpoint:
        pin.release(record.name)
    state = paths.tunnel_state(record.name)
    resolver.write_in_place(f"{state}/{paths.DECLARED}", link.declaration(conf))
    resolver.write_in_place(f"{state}/{paths.PORTS}", firewall.declaration(policy))
    resolver.write_in_place(f"{state}/{paths.IN_FORCE}", record.digest)
    os.utime(f"{state}/{paths.IN_FORCE}")  # a look-up that is under way begins anew


def policy_of(record: Record, conf: wgquick.Conf) -> firewall.Policy:
    return firewall.Policy(
        resolvers=conf.dns,
        addresses=conf.addresses,
        inbound_tcp=record.inbound_tcp,
        inbound_udp=record.inbound_udp,
        outbound_deny=record.outbound_deny,
    )


def load_firewall(policy: firewall.Policy, *, reload: bool) -> Running:
    """Begin to load the table; at a reload what has been counted goes on being counted."""
    step(f"nft -f - ({policy})")
    counts = {}
    if reload:
        _, listing, _ = Running("nft", "list", "counters", "table", "inet", "wgconfine").wait()
        counts = firewall.parse_counts(listing)
    return Running("nft", "-f", "-", text=firewall.ruleset(policy, counts))


def inspect(record: Record) -> link.Live | None:
    """Give the link as it is, None where there is none. Raises Failure if it is somebody else's."""
    if paths.LINK not in link.names_in_this_namespace():
        return None
    live = link.inspect()
    if live.kind != ("tun" if record.userspace else "wireguard"):
        raise Failure(
            f"{paths.LINK}: a link of kind {live.kind or 'unknown'} is in the way in the namespace "
            f"of tunnel {record.name}. Delete it: ip -n {record.name} link del {paths.LINK}"
        )
    return live


def refuse_foreign_link(record: Record) -> None:
    """Raise Failure where the link that wireguard-go should have made is of another kind."""
    name = record.link
    if name not in link.names_in_this_namespace():
        return
    # /sys shows the host's links, wherever this process is.
    tun = link.is_tun(name) if record.via is None else link.kind_of_link(name) == "tun"
    if not tun:
        raise Failure(
            f"{name}: a link of another kind is in the way. Delete or rename it: ip link del {name}"
        )


def ensure_link(
    record: Record, conf: wgquick.Conf, visit: Visit, outer: Visit | Home, *, there: bool
) -> int:
    """Make the link where it is missing, and give its MTU in bytes.

    Asked for from `outer`, where its UDP socket then stays. The way to the endpoints
    is asked in the same run of ip(8); without a network that fails, and what counts is that the
    link is there afterwards.
    """
    via = record.via is not None
    if not there:
        write_outer(record)  # before there is a link: of one without it nobody knows
    with outer:
        if record.userspace and not there:
            wait_for_userspace_link(record)
        lines = [] if there else [make_link(record, visit.path)]
        for line in lines:
            step(f"ip {line}")
        lines += link.routes_to_ask_for(conf, turns.known_addresses(record.name), via=via)
        output = complaint = ""
        if lines:
            asked = Running("ip", "-force", "-batch", "-", text="\n".join(lines) + "\n")
            _, output, complaint = asked.wait()
    if not there:
        with visit:
            give_name(record)
            if paths.LINK not in link.names_in_this_namespace():
                raise Failure(f"ip {lines[0]}: {complaint.strip()}")
    return link.mtu_of(conf, link.mtu_of_routes(output), via=via)


def write_outer(record: Record) -> None:
    """Leave word of the namespace that the link is about to be asked for in, if not the host's."""
    if record.via is not None:
        resolver.write_in_place(outer_place(record.name), outer_identity(record.via))
        # For wgconfine-endpoint@, which sees it as its resolv.conf and fills it.
        seen = f"{paths.tunnel_state(record.name)}/{paths.OUTER_RESOLVERS}"
        resolver.write_in_place(seen, resolver.resolv_conf([], []))
    elif os.path.exists(outer_place(record.name)):
        os.unlink(outer_place(record.name))


def wait_for_userspace_link(record: Record) -> None:
    """Wait until wireguard-go has made its link and listens for wg(8). Raises Failure."""
    find("wireguard-go")
    end = time.monotonic() + PATIENCE
    path = f"/run/wireguard/{record.link}.sock"
    while not (record.link in link.names_in_this_namespace() and listens(path)):
        if time.monotonic() > end:
            raise Failure(
                f"{record.link}: wireguard-go made no link in {PATIENCE:.0f} s. "
                f"See why: journalctl -u wgconfine-wireguard@{record.name}"
            )
        time.sleep(0.01)


def listens(path: str) -> bool:
    """Tell whether somebody listens at a unix socket.

    wg(8) must not be the first to try: where nobody does so yet, between bind(2) and listen(2), it
    takes the socket for a dead one's and deletes it, and wireguard-go gives up.
    """
    import socket  # noqa: PLC0415 — not needed where WireGuard is the kernel's

    with socket.socket(socket.AF_UNIX) as end:
        try:
            end.connect(path)
        except OSError:
            return False
    return True


def make_link(record: Record, namespace: str) -> str:
    if record.userspace:
        return f"link set dev {record.link} netns {namespace} name {paths.LINK}"
    # Where it is asked for there must be no link of that name either: the other tunnel has a wg0.
    name = paths.LINK if record.via is None else record.link
    return f"link add {name} netns {namespace} type wireguard"


def give_name(record: Record) -> None:
    """Rename the kernel's link that was asked for in another tunnel."""
    if record.userspace or record.via is None:
        return
    if record.link in link.names_in_this_namespace():
        step(f"ip link set dev {record.link} name {paths.LINK}")
        run("ip", "link", "set", "dev", record.link, "name", paths.LINK)


def set_keys_and_peers(record: Record, conf: wgquick.Conf, *, there: bool) -> None:
    """Set the whole configuration of a new link; of one that is in use what has changed alone."""
    name, text = record.wg_name, link.wg_config(conf, turns.known_addresses(record.name))
    live = run("wg", "showconf", name) if there else ""
    if "\nListenPort = " not in live:  # it has no socket yet, or has lost it
        step(f"wg syncconf {name} (hidden) with {len(conf.peers)} peers")
        run("wg", "syncconf", name, link.STDIN, text=text)
        return
    changes = link.Changes(live, text, afresh=record.pin_endpoint or has_moved(record.name, conf))
    remove_peers(name, changes.first)
    if changes.text:
        step(f"wg addconf {name} (hidden) with {changes.peers} peers")
        run("wg", "addconf", name, link.STDIN, text=changes.text)
    # Last: no packet for a network that has moved goes to a third peer meanwhile.
    remove_peers(name, changes.gone)


def remove_peers(wg_name: str, keys: list[str]) -> None:
    removals = [word for key in keys for word in ("peer", key, "remove")]
    if removals:
        step(f"wg set {wg_name} {' '.join(removals)}")
        run("wg", "set", wg_name, *removals)


def has_moved(name: str, conf: wgquick.Conf) -> bool:
    """Tell whether another endpoint is declared of the first peer than when it was configured.

    A server may answer from another address than the declared one, and WireGuard then goes there:
    that ends no session.
    """
    try:
        before = link.declared(name)
    except Failure:
        return False
    was, wanted = ([each.endpoint for each in one.peers[:1]] for one in (before, conf))
    return was != wanted


def bring_up(conf: wgquick.Conf, mtu: int, live: link.Live | None) -> None:
    ipv6 = link.has_ipv6()
    if not ipv6:
        warn("this machine has no IPv6: addresses and routes of IPv6 are left out")
    addresses = link.wanted_addresses(conf, ipv6=ipv6)
    routes = link.wanted_routes(conf, ipv6=ipv6)
    lines = link.bring_up(addresses, routes, mtu)
    if live is not None:
        lines += live.leftovers(addresses, routes)
    for line in lines:
        step(f"ip {line}")
    run("ip", "-batch", "-", text="\n".join(lines) + "\n")


def write_endpoints(record: Record, conf: wgquick.Conf) -> None:
    """Leave endpoints that are host names, and no secret, for wgconfine-endpoint@NAME.service."""
    path = f"{paths.tunnel_state(record.name)}/endpoints"
    named = [
        f"{peer.public_key} {peer.endpoint[0]} {peer.endpoint[1]}\n"
        for peer in conf.peers
        if peer.endpoint and not wgquick.parse_ip(peer.endpoint[0])
    ]
    if named:
        write_state(path, "".join(named))
    elif os.path.exists(path):
        os.unlink(path)


def down(name: str) -> None:
    """Stop the tunnel: no link, no resolver. Gone already is fine. Raises Failure."""
    with Lock(name):
        resolver.remove_files(name)
        if is_namespace(paths.record_of_namespace(name)):
            with Visit(name):
                remove_link()
                load_firewall(firewall.Policy(), reload=False).succeed()
        pin.release(name)
        if "\nnoted " in read_state(paths.health(name)):
            shared.end(name)


def rebind(name: str) -> None:
    """Have the link send from another port: whoever is on the way may have lost the old flow."""
    record = load(name)
    if record.listen_port is not None:
        warn(f"listen-port = {record.listen_port} is declared: it stays")
        return
    with Lock(name), Visit(name):
        step(f"wg set {record.wg_name} listen-port 0")
        run("wg", "set", record.wg_name, "listen-port", "0")


def pass_on(name: str) -> None:
    """End the turn of an endpoint that does not answer; a reload sets the next one.

    It is about the peers that were silent at the last tick, or about all where none was: then
    somebody wants it so.
    """
    from wgconfine.runtime import healthjudge  # noqa: PLC0415 — of this module only this needs it

    record = load(name)
    with Lock(name):
        silent = set(healthjudge.parse(read_state(paths.health(name))).silent)
        everybody = {key for key, *_ in turns.read_endpoints(name)}
        turns.pass_on(record, silent or everybody)


def unlink(name: str) -> None:
    """Delete the link; wgconfine-reload@NAME.service makes it anew. Gone already is fine.

    Raises Failure before that where there would be no other one: the .conf may be away for now.
    """
    record = load(name)
    if not record.has_credentials:
        read_conf(record)
    with Lock(name), Visit(name):
        remove_link()


def remove_link() -> None:
    """Delete the link. Gone already is fine; one of a kind that we never make is left alone."""
    if paths.LINK not in link.names_in_this_namespace():
        return
    kind = link.kind_of_link()
    if kind not in {"wireguard", "tun"}:
        warn(f"{paths.LINK}: a link of kind {kind or 'unknown'} has taken the name; it stays")
        return
    step(f"ip link del {paths.LINK}")
    run("ip", "link", "del", paths.LINK)
