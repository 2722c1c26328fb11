"""A VPN of the host's own."""

from wgconfine.doctor.distribution import Distribution, Family
from wgconfine.doctor.vpn import VpnFacts, judge_vpn, look_at_vpn, marks_beside
from wgconfine.model.doctor import Grade
from wgconfine.model.status import CarrierStatus
from wgconfine.system.inside import Answer

DEBIAN = Distribution(family=Family.DEBIAN)


def test_the_marks_of_what_goes_beside_a_vpn() -> None:
    """As wg-quick's rule has it; a rule for what has a mark is another."""
    rules: list[dict[str, object]] = [
        {"priority": 0, "table": "local"},
        {"not": None, "fwmark": "0xca6c", "table": "51820"},
        {"fwmark": "0x1", "table": "9"},
        {"not": None, "fwmark": "0x80000/0xff0000"},
    ]
    assert [51820] == [*marks_beside(rules)]


def test_a_vpn_that_has_the_way_out() -> None:
    """A note, once for both families, with the line for who wants to go beside it."""
    each = CarrierStatus(endpoint="x", link="tun0", kind="tun", mtu=1400)
    (found,) = judge_vpn(VpnFacts(carriers=(each, each), marks=(51820, 7)))
    assert Grade.NOTE == found.grade
    assert "goes through tun0 (tun, MTU 1400)" in found.words
    assert ("beside it, in the settings: fwmark = 51820",) == found.lines


def test_rules_of_the_mullvad_app() -> None:
    """They may leave tunnels no way out."""
    tables = Answer(status=0, output="table inet mullvad\ntable ip x\n", complaint="")
    facts = look_at_vpn({"tables": tables})
    assert VpnFacts(mullvad=True) == facts
    assert ["mullvad"] == [each.name for each in judge_vpn(facts)]
    assert [Grade.OK] == [each.grade for each in judge_vpn(VpnFacts())]
