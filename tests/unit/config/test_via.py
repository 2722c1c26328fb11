"""A tunnel that goes through another one: what is wrong only between them."""

from pathlib import PurePosixPath

import pytest

from wgconfine.config.ports import LOOK_UPS
from wgconfine.config.settings import parse_settings
from wgconfine.config.via import check_via, check_way
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.settings import Inline, Settings
from wgconfine.runtime.firewall import OTHER_LOOK_UPS

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PLACE = "/etc/wgconfine"


def tunnel(name: str, via: str = "", more: str = "") -> Settings:
    through = f'via = "{via}"\n' if via else ""
    text = f'config = "/etc/wireguard/{name}.conf"\n{through}{more}'
    return parse_settings(name, [(PurePosixPath(f"{PLACE}/{name}.toml"), text)])


def inline(endpoint: str, more: str = "") -> Settings:
    text = (
        f'via = "home"\naddress = ["10.0.0.2"]\ndns = []\nprivate-key-file = "/etc/k"\n{more}'
        f'[[peer]]\npublic-key = "{KEY}"\n{endpoint}'
    )
    return parse_settings("vpn", [(PurePosixPath(f"{PLACE}/vpn.toml"), text)])


def found(*tunnels: Settings, beside: tuple[Settings, ...] = (), unread: str = "") -> list[str]:
    return [str(each) for each in check_via(tunnels, beside, {unread})]


def test_a_way_out_in_the_end() -> None:
    """Through one or several others, wherever they are declared."""
    home, second = tunnel("home"), tunnel("second", "home")
    assert [] == found(home, second, tunnel("third", "second"))
    assert [] == found(second, beside=(home,))
    assert [] == found(second, unread="home")


def test_every_way_that_leads_nowhere() -> None:
    """All of them at once, each with its line."""
    off = tunnel("off", more="enable = false\n")
    assert [
        f"{PLACE}/a.toml: via: it leads back to itself: a via b via a.",
        f"{PLACE}/c.toml: via: it leads back to itself: c via c.",
        f"{PLACE}/d.toml: via: there is no tunnel 'hmoe'. Did you mean 'home'?",
        (
            f"{PLACE}/e.toml: via: 'off' is disabled, in {PLACE}/off.toml. "
            "Enable it there, or take this line away."
        ),
    ] == found(
        *(tunnel("home"), tunnel("a", "b"), tunnel("b", "a"), tunnel("c", "c")),
        *(tunnel("d", "hmoe"), tunnel("e", "off"), off),
    )


def test_what_leads_into_a_circle_is_not_in_it() -> None:
    """The circle is told once, by a tunnel that is."""
    assert [f"{PLACE}/b.toml: via: it leads back to itself: b via c via b."] == found(
        tunnel("a", "b"), tunnel("b", "c"), tunnel("c", "b")
    )


def test_one_that_is_switched_off_needs_no_way() -> None:
    """Nothing of it is installed."""
    assert [] == found(tunnel("a", "gone", "enable = false\n"))


@pytest.mark.parametrize("port", LOOK_UPS)
def test_a_port_that_the_other_tunnel_takes_for_look_ups(port: int) -> None:
    """Its firewall sends them to its resolver, or rejects them."""
    settings = inline(f'endpoint = "vpn.example.net:{port}"\n')
    assert isinstance(settings.wireguard, Inline)
    (problem,) = check_way(settings, tunnel("home"), settings.wireguard.peers)
    assert (
        f"{PLACE}/vpn.toml: via: 'home' takes what is sent to port {port} for a look-up. "
        "Ask the provider for another port of the endpoint."
    ) == str(problem)


def test_these_are_the_ports_of_the_firewall() -> None:
    """Of each tunnel's own."""
    assert {53, *OTHER_LOOK_UPS} == {*LOOK_UPS}


def test_an_endpoint_that_is_denied_to_the_other_tunnel() -> None:
    """Of the peer and of `endpoints`; what a name stands for is not known."""
    outer = tunnel("home", more='[outbound]\ndeny = ["192.0.2.0/24", "2001:db8::/32"]\n')
    more = 'endpoints = ["[2001:db8::7]:51820", "198.51.100.7:51820", "vpn.example.net:51820"]\n'
    settings = inline('endpoint = "192.0.2.7:51820"\n', more)
    assert isinstance(settings.wireguard, Inline)
    assert [
        f"{PLACE}/vpn.toml: via: the endpoint {each} can't be reached through 'home'. "
        f"{network} is denied in {PLACE}/home.toml: outbound.deny."
        for each, network in (("192.0.2.7", "192.0.2.0/24"), ("2001:db8::7", "2001:db8::/32"))
    ] == [str(each) for each in check_way(settings, outer, settings.wireguard.peers)]


def test_without_another_tunnel_nothing_is_in_the_way() -> None:
    """Or without an endpoint."""
    settings = inline("")
    assert isinstance(settings.wireguard, Inline)
    assert [] == check_way(settings, None, settings.wireguard.peers)
    assert [] == check_way(settings, tunnel("home"), settings.wireguard.peers)


def test_what_is_of_the_host_cannot_stand_beside_it() -> None:
    """Marks and the rule of a pinned endpoint are the host's, where no packet of it is."""
    text = 'config = "/etc/x.conf"\nvia = "home"\nfwmark = 7\npin-endpoint = true\n'
    with pytest.raises(ProblemsFound) as caught:
        parse_settings("vpn", [(PurePosixPath(f"{PLACE}/vpn.toml"), text)])
    why = "it cannot be: its encrypted packets are inside tunnel 'home' and not on the host"
    assert [
        f"{PLACE}/vpn.toml: fwmark: {why}. Take it away.",
        f"{PLACE}/vpn.toml: pin-endpoint: {why}. Set it for 'home'.",
    ] == [str(each) for each in caught.value.problems]
    allowed = 'config = "/etc/x.conf"\nvia = "home"\nlisten-port = 7\npin-endpoint = false\n'
    assert "home" == parse_settings("vpn", [(PurePosixPath("/vpn.toml"), allowed)]).via
