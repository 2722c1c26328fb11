"""The namespace's own kernel settings: IPv4 ones come from the host, which may be a router."""

from __future__ import annotations

from wgconfine.runtime.failure import step

SETTINGS = {
    "ipv4/ip_forward": "0",
    "ipv4/conf/all/promote_secondaries": "1",
    "ipv4/conf/default/promote_secondaries": "1",
    # A query for 127.0.0.53 may leave by the tunnel instead: firewall.py has the rest of it.
    "ipv4/conf/all/route_localnet": "1",
    "ipv4/conf/all/accept_redirects": "0",
    # Of a host that is no router either of the two would do: IN_DEV_RX_REDIRECTS().
    "ipv4/conf/default/accept_redirects": "0",
    # Or a packet could name 127.0.0.1 as its next stop, behind the rules for what arrives.
    "ipv4/conf/all/accept_source_route": "0",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    # Who has no rights may ping, as on the host, where systemd allows it (sysctl.d(5)).
    "ipv4/ping_group_range": "0 2147483647",
    "ipv6/conf/all/disable_ipv6": "0",
    "ipv6/conf/default/disable_ipv6": "0",
    "ipv6/conf/lo/disable_ipv6": "0",
    "ipv6/conf/all/forwarding": "0",
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
    # Packets of a service must not bear an address that it was given nowhere.
    "ipv6/conf/default/addr_gen_mode": "1",
}


def apply() -> None:
    """Set them in this process's namespace; what the kernel was built without is left."""
    for key, value in SETTINGS.items():
        try:
            with open(f"/proc/sys/net/{key}", "w", encoding="ascii") as file:
                file.write(value)
        except FileNotFoundError:
            continue
    step(f"set {len(SETTINGS)} sysctls of the namespace")
