"""Which addresses must be asked about, so that the answers tell of all others."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

from hypothesis import given
from hypothesis import strategies as st

from wgconfine.runtime.ipfilter import outside


def as_range(network: IPv4Network | IPv6Network) -> tuple[int, int, int]:
    return network.max_prefixlen, int(network.network_address), int(network.broadcast_address)


def range_of(text: str) -> tuple[int, int, int]:
    return as_range(ip_network(text))


def asked(wanted: list[str], known: list[str]) -> list[str]:
    found = outside([range_of(each) for each in wanted], [range_of(each) for each in known])
    return [str(ip_network((value, bits))) for bits, value in found]


def test_without_tables_the_ends_of_all_addresses_and_the_neighbours_are_asked() -> None:
    """Of both families: a list of IPv4 must let no IPv6 in."""
    expected = ["0.0.0.0/32", "9.255.255.255/32", "11.0.0.0/32", "255.255.255.255/32"]
    ends = ["::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"]

    assert expected + ends == asked(["10.0.0.0/8"], [])


def test_the_ends_of_a_network_in_a_table_are_asked_unless_they_are_wanted() -> None:
    """As an IPAddressAllow= of a slice brings it."""
    found = asked(["10.0.0.0/8"], ["10.0.0.0/8", "192.0.2.0/24"])

    assert {"192.0.2.0/32", "192.0.2.255/32"} < set(found)
    assert not {"10.0.0.0/32", "10.255.255.255/32"} & set(found)


def test_at_the_end_of_all_addresses_there_is_no_neighbour() -> None:
    """Nor before the first."""
    assert ["128.0.0.0/32"] == [each for each in asked(["0.0.0.0/1"], []) if "." in each][:1]
    assert ["0.0.0.0/32", "127.255.255.255/32"] == [
        each for each in asked(["128.0.0.0/1"], []) if "." in each
    ]


networks = st.builds(
    lambda address, prefix: IPv4Network((address << 24, prefix), strict=False),
    st.integers(min_value=0, max_value=255),
    st.integers(min_value=0, max_value=8),
)


@given(st.lists(networks, min_size=1, max_size=4), st.lists(networks, max_size=3))
def test_who_is_let_in_beyond_what_is_wanted_is_among_those_asked(
    wanted: list[IPv4Network], let_in: list[IPv4Network]
) -> None:
    """Compared with every network of eight bits, one by one."""
    everybody = [IPv4Network((each << 24, 8)) for each in range(256)]
    strangers = [
        each
        for each in everybody
        if any(each.subnet_of(network) for network in let_in)
        and not any(each.subnet_of(network) for network in wanted)
    ]
    found = outside([as_range(each) for each in wanted], [as_range(each) for each in let_in])
    caught = [
        value
        for bits, value in found
        if bits == 32 and any(IPv4Address(value) in network for network in let_in)
    ]

    assert bool(strangers) == bool(caught)
