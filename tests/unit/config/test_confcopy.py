"""The copy of a provider's `.conf`: what is left out of it, and what stays as it was."""

import pytest

from wgconfine.config.confcopy import copy_conf
from wgconfine.config.wgquick import ConfError, parse

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
CONF = f"""\
# from the provider
[Interface]
PrivateKey = {KEY}
Address = 10.66.0.2  # mine
DNS = 10.64.0.1

[Peer]
PublicKey = {KEY}
AllowedIPs = 0.0.0.0/0
"""


def test_a_plain_one_is_copied_to_the_letter() -> None:
    """Comments and order are its owner's."""
    copy = copy_conf(CONF)

    assert CONF == copy.text
    assert () == copy.left_out
    assert copy.listen_port is None


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("PostUp = iptables -A OUTPUT -j REJECT", "PostUp"),
        ("  post up=x # y", "PostUp"),
        ("PREDOWN = x", "PreDown"),
        ("PreUp =", "PreUp"),
        ("PostDown", "PostDown"),
        ("Table = off", "Table"),
        ("SaveConfig = true", "SaveConfig"),
        ("FwMark = 0xca6c", "FwMark"),
        ("ListenPort = nonsense", "ListenPort"),
    ],
)
def test_what_does_not_count_is_a_comment_with_the_reason(line: str, key: str) -> None:
    """The parser finds nothing to say of it any more, and lines keep their numbers."""
    copy = copy_conf(CONF.replace("DNS =", f"{line}\nDNS ="))

    (left,) = copy.left_out
    assert (5, key) == (left.line, left.key)
    assert f"# (left out by wgconfine: {left.why}) {line}" == copy.text.splitlines()[4]
    assert [] == parse(copy.text, "x.conf").warnings


def test_a_comment_that_looks_like_a_hook_stays() -> None:
    """Only what wg-quick would have run is left out."""
    text = CONF + "# PostUp = x\n"

    assert text == copy_conf(text).text


@pytest.mark.parametrize("text", ["\ufeff" + CONF, CONF.replace("\n", "\r\n"), CONF.rstrip("\n")])
def test_marks_of_other_systems_go(text: str) -> None:
    """Byte order mark and CRLF of Windows, a last line without an end."""
    assert CONF == copy_conf(text).text


def test_a_carriage_return_alone_ends_no_line() -> None:
    """To wg-quick a line ends at LF: a hook that hides behind a CR is in its line's comment."""
    copy = copy_conf(CONF + "# a\rPostUp = x\nPostUp = y\rDNS = 1.1.1.1\n")

    assert ["PostUp"] == [each.key for each in copy.left_out]
    assert ["10.64.0.1"] == parse(copy.text, "x.conf").dns


@pytest.mark.parametrize(("value", "port"), [("51820", 51820), (" 5 1 ", 51), ("0", None)])
def test_the_listen_port_is_told(value: str, port: int | None) -> None:
    """The settings can offer it; 0 is none."""
    assert port == copy_conf(CONF.replace("DNS", f"ListenPort = {value}\nDNS")).listen_port


def test_keys_of_amneziawg_are_not_left_out() -> None:
    """Without them the tunnel would never carry: it is no plain WireGuard, and that is said."""
    with pytest.raises(ConfError, match="Jc belongs to AmneziaWG"):
        parse(copy_conf(CONF.replace("DNS", "Jc = 4\nDNS")).text, "x.conf")
