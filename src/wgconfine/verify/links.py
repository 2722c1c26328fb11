"""What `ip -j` tells of a tunnel's namespace, judged: links, addresses, routes, rules. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.runtime.link import full_prefix
from wgconfine.runtime.paths import LINK

__all__ = ["judge_addresses", "judge_link", "judge_links", "judge_routes", "judge_rules"]

Json = Mapping[str, Any]
"""One object of ip(8)."""

check = partial(Check, area=Area.STRUCTURE)

FALLBACK = {
    "tunl0": "ipip", "gre0": "gre", "gretap0": "gretap", "erspan0": "erspan", "ip_vti0": "vti",
    "ip6_vti0": "vti6", "sit0": "sit", "ip6tnl0": "ip6tnl", "ip6gre0": "ip6gre",
}  # fmt: skip
"""What the kernel puts into every new namespace while the module is loaded, by its kind."""

RULES = {
    4: ((0, "local"), (32766, "main"), (32767, "default")),
    6: ((0, "local"), (32766, "main")),
}
"""What the kernel makes for each family (net/ipv4/fib_rules.c, net/ipv6/fib6_rules.c)."""

HARMLESS = {"unreachable", "blackhole", "prohibit", "throw"}
"""Routes that lead nowhere."""


def kind(link: Json) -> str:
    return str(link.get("linkinfo", {}).get("info_kind", ""))


def is_up(link: Json) -> bool:
    return "UP" in link.get("flags", ())


def judge_links(links: Sequence[Json], *, up: bool, on_the_way: Collection[str] = ()) -> Check:
    """Tell whether there is anything but lo and the tunnel's link, which is there if it is up.

    `on_the_way` are names of links that wireguard-go makes here for tunnels that go through this
    one, and that are moved there a moment later.
    """
    strangers = [
        describe(each)
        for each in links
        if each["ifname"] not in {"lo", LINK}
        and not is_idle_fallback(each)
        and not (each["ifname"] in on_the_way and is_idle(each, "tun"))
    ]
    names = {each["ifname"] for each in links}
    loopback = next((each for each in links if each["ifname"] == "lo"), {})
    if strangers:
        return check(
            name="links",
            verdict=Verdict.NOT_CONFINED,
            evidence=f"beside lo and {LINK} there is {', '.join(strangers)}",
        )
    if up and LINK not in names:
        return check(name="links", verdict=Verdict.BROKEN, evidence=f"there is no {LINK}")
    if not is_up(loopback):
        return check(name="links", verdict=Verdict.BROKEN, evidence="lo is down")
    return check(
        name="links", verdict=Verdict.OK, evidence="lo and " + (LINK if up else "nothing else")
    )


def describe(link: Json) -> str:
    state = "up" if is_up(link) else "down"
    return f"{link['ifname']} ({kind(link) or link.get('link_type', 'unknown')}, {state})"


def is_idle_fallback(link: Json) -> bool:
    """Tell whether it is the kernel's own, which can't be deleted: down and without address."""
    return is_idle(link, FALLBACK.get(link["ifname"], "?"))


def is_idle(link: Json, wanted: str) -> bool:
    return kind(link) == wanted and not is_up(link) and not link.get("addr_info")


def judge_link(links: Sequence[Json], *, userspace: bool, ours: bool | None) -> Check:
    """Tell whether the link that bears the name is WireGuard, and not another that was renamed.

    `ours` says of a userspace link whether our wireguard-go holds it; None where that is not seen.
    """
    found = next((each for each in links if each["ifname"] == LINK), None)
    wanted = "tun" if userspace else "wireguard"
    if found is None:
        return check(name="link", verdict=Verdict.BROKEN, evidence=f"there is no {LINK}")
    if kind(found) != wanted:
        evidence = f"{LINK} is of kind {kind(found) or 'unknown'}, not {wanted}"
        return check(name="link", verdict=Verdict.NOT_CONFINED, evidence=evidence)
    if userspace and not ours:
        if ours is None:
            evidence = f"nothing tells whether this tunnel's wireguard-go holds {LINK}"
            return check(name="link", verdict=Verdict.UNKNOWN, evidence=evidence)
        evidence = f"{LINK} is a tun device that this tunnel's wireguard-go does not hold"
        return check(name="link", verdict=Verdict.NOT_CONFINED, evidence=evidence)
    if not is_up(found):
        return check(name="link", verdict=Verdict.BROKEN, evidence=f"{LINK} is down")
    what = "tun, held by this tunnel's wireguard-go" if userspace else wanted
    return check(name="link", verdict=Verdict.OK, evidence=f"{LINK} is of kind {what}")


def judge_addresses(links: Sequence[Json], wanted: Iterable[str]) -> Check:
    """Compare the addresses of the link with the declared ones.

    A link-local one that is not declared counts as the kernel's own, and is no finding.
    """
    declared = set(wanted)
    found = {
        text
        for link in links
        if link["ifname"] == LINK
        for each in link.get("addr_info", ())
        if (text := f"{each['local']}/{each['prefixlen']}") in declared
        or each.get("scope") != "link"
    }
    if found == declared:
        return check(name="addresses", verdict=Verdict.OK, evidence=", ".join(sorted(found)))
    return check(
        name="addresses",
        verdict=Verdict.NOT_CONFINED if found - declared else Verdict.BROKEN,
        evidence=difference(found, declared),
    )


def difference(found: set[str], wanted: set[str]) -> str:
    """Say what is there that should not be, and what is missing."""
    more, less = sorted(found - wanted), sorted(wanted - found)
    parts = [f"not declared: {', '.join(more)}"] if more else []
    parts += [f"missing: {', '.join(less)}"] if less else []
    return "; ".join(parts)


def judge_routes(
    routes: Sequence[Json], wanted: Iterable[str], allowed: Iterable[str] = ()
) -> Check:
    """Compare the routes of all tables with the declared, which lead into the tunnel alone.

    Of what is `allowed` besides, all AllowedIPs, a route does no harm: one of a family without an
    address is there until the next reload where an earlier version made it.
    """
    found: set[str] = set()
    elsewhere: list[str] = []
    for route in routes:
        if route.get("type") in HARMLESS or is_of_kernel(route):
            continue
        ours = route.get("dev") == LINK and route.get("table", "main") == "main"
        if ours and "gateway" not in route and "via" not in route:
            found.add(destination(route))
        else:
            elsewhere.append(route_text(route))
    if elsewhere:
        return check(
            name="routes", verdict=Verdict.NOT_CONFINED, evidence=", ".join(sorted(elsewhere))
        )
    declared = set(wanted)
    found -= set(allowed) - declared
    if found == declared:
        return check(name="routes", verdict=Verdict.OK, evidence=", ".join(sorted(found)) or "none")
    return check(
        name="routes",
        verdict=Verdict.NOT_CONFINED if found - declared else Verdict.BROKEN,
        evidence=difference(found, declared),
    )


def is_of_kernel(route: Json) -> bool:
    """Tell whether the kernel made it for an address or for loopback."""
    return route.get("protocol") == "kernel" and route.get("dev") in {"lo", LINK}


def destination(route: Json) -> str:
    # Only `default` tells no family, and ip(8) gives `pref` for IPv6 alone.
    everything = "::/0" if "pref" in route else "0.0.0.0/0"
    return full_prefix(str(route["dst"]), everything)


def route_text(route: Json) -> str:
    words = [str(route.get("type", "")), destination(route)]
    words += [f"via {route['gateway']}"] if "gateway" in route else []
    words += [f"dev {route.get('dev', 'several')}", f"table {route.get('table', 'main')}"]
    return " ".join(filter(None, words))


def judge_rules(rules: Mapping[int, Sequence[Json]]) -> Check:
    """Compare routing rules, by family, with the kernel's own: another may lead anywhere."""
    strange = [
        f"IPv{family}: {rule_text(rule)}"
        for family, listed in rules.items()
        for rule in listed
        if (rule.get("priority"), rule.get("table")) not in RULES[family] or is_special(rule)
    ]
    missing = [
        f"IPv{family}: lookup {table} is missing"
        for family, listed in rules.items()
        for priority, table in RULES[family]
        if (priority, table) not in {(each.get("priority"), each.get("table")) for each in listed}
    ]
    if strange or missing:
        return check(
            name="rules",
            verdict=Verdict.NOT_CONFINED if strange else Verdict.BROKEN,
            evidence=", ".join([*strange, *missing]),
        )
    return check(name="rules", verdict=Verdict.OK, evidence="the kernel's own alone")


def is_special(rule: Json) -> bool:
    return rule.get("src", "all") != "all" or bool(rule.keys() - {"priority", "src", "table"})


def rule_text(rule: Json) -> str:
    more = [f"{key} {rule[key]}" for key in sorted(rule.keys() - {"priority"})]
    return f"{rule.get('priority')} {' '.join(more)}"
