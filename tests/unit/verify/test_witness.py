"""What the host takes for a token of a probe's."""

import pytest

from wgconfine.verify.attempt import Targets, outside_address, outside_port
from wgconfine.verify.attempt_network import query
from wgconfine.verify.witness import TOKEN, ip_target

TOKEN_OF = "wgc0123456789abcdef0123"


@pytest.mark.parametrize(
    ("packet", "target"),
    [
        ("4500001c0000000040110000c6336402c00002350400003500080000", ("192.0.2.53", 53)),
        ("4500001c0000000040010000c6336402c00002350800000000000000", ("", 0)),
        ("46000020000000004011000000000000c0000201010101010400003500080000", ("192.0.2.1", 53)),
        ("4500", ("", 0)),
        ("", ("", 0)),
        ("60" + "00" * 50, ("", 0)),
    ],
)
def test_where_a_packet_goes(packet: str, target: tuple[str, int]) -> None:
    """IPv4, TCP or UDP; with options too."""
    assert target == ip_target(bytes.fromhex(packet))


def test_a_query_has_the_token_as_a_label() -> None:
    """Below .invalid, which is nobody's."""
    question = query(TOKEN_OF)

    assert b"\x17" + TOKEN_OF.encode() + b"\x07invalid\0" in question
    assert [TOKEN_OF.encode()] == TOKEN.findall(question)


def test_targets_outside_are_of_the_documentation_range() -> None:
    """RFC 5737; the address and the port tell a token where there is no room for it."""
    targets = Targets({}, TOKEN_OF)

    assert targets.outside == outside_address(TOKEN_OF)
    assert targets.outside.startswith("192.0.2.")
    assert 1024 <= outside_port(TOKEN_OF) == targets.outside_port < 65536
