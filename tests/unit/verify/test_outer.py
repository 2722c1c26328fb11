"""Where the socket of a tunnel inside a tunnel is, judged."""

import pytest

from wgconfine.model.settings import TunnelName
from wgconfine.model.verify import Verdict
from wgconfine.system.listeners import Holder, Stranger
from wgconfine.verify.outer import judge_kernel, judge_userspace, links_on_the_way

DEEP, VPN = TunnelName("deep"), TunnelName("vpn")
HOST, OUTER, OTHER = (4, 1), (4, 2), (4, 3)
SOCKETS = (Stranger(protocol="udp", local="0.0.0.0:7", holder=Holder()),)


@pytest.mark.parametrize(
    ("seen", "verdict", "words"),
    [
        (OUTER, Verdict.OK, "wireguard-go is in the namespace of vpn"),
        (HOST, Verdict.NOT_CONFINED, "wireguard-go is in the host's namespace, not in that of vpn"),
        (OTHER, Verdict.NOT_CONFINED, "wireguard-go is in another namespace, not in that of vpn"),
        (None, Verdict.UNKNOWN, "the process wireguard-go can't be seen"),
    ],
)
def test_the_process(seen: tuple[int, int] | None, verdict: Verdict, words: str) -> None:
    """Its sockets are where it is."""
    found = judge_userspace(VPN, seen, OUTER, HOST, "mend")
    assert (verdict, words) == (found.verdict, found.evidence)


def test_what_calls_itself_the_other_tunnel_and_is_the_host() -> None:
    """Then the process is in the open."""
    assert Verdict.NOT_CONFINED is judge_userspace(VPN, HOST, HOST, HOST, "mend").verdict


@pytest.mark.parametrize(
    ("inside", "host", "verdict", "words", "mend"),
    [
        (True, False, Verdict.OK, "UDP port 7 of the kernel is in the namespace of vpn", ""),
        (
            *(False, True, Verdict.NOT_CONFINED),
            "UDP port 7 of the kernel is in the host's namespace, not in vpn's",
            "systemctl restart wgconfine@deep.service",
        ),
        (
            *(True, True, Verdict.UNKNOWN),
            "the kernel has UDP port 7 in the namespace of vpn and in the host's",
            "systemctl start wgconfine-rebind@deep.service",
        ),
        (
            *(False, False, Verdict.BROKEN),
            "there is no socket at UDP port 7: it carries nothing",
            "systemctl restart wgconfine@deep.service",
        ),
    ],
)
def test_the_kernel(inside: bool, host: bool, verdict: Verdict, words: str, mend: str) -> None:  # noqa: FBT001 — pytest's
    """By the port: another port tells the two apart where both have it."""
    found = judge_kernel(
        DEEP, VPN, "7", inside=SOCKETS if inside else (), host=SOCKETS if host else ()
    )
    assert (verdict, words, mend) == (found.verdict, found.evidence, found.mend)


def test_links_on_the_way_have_their_own_names() -> None:
    """Those that wireguard-go gives them before they are moved."""
    assert {"wgc-74611c1d"} == links_on_the_way([DEEP])
