"""The word for a tunnel: one row for each fact that decides, and the order among them."""

from dataclasses import replace
from typing import Any

import pytest

from wgconfine.model.state import UnitState
from wgconfine.model.tunnel import Illness, Trouble, TunnelFacts, Word, judge_tunnel

S = 1_000_000
NOW = 1000 * S
LOGS = "To look: wgconfine logs vpn"
AGAIN = f"it is tried again every 5 s. {LOGS}"
START = "systemctl start wgconfine@vpn.service"


def unit(kind: str, active: str = "inactive", *, age: int = 0, **more: Any) -> UnitState:
    since = NOW - age * S if age else 0
    return UnitState(name=f"wgconfine{kind}@vpn.service", active=active, since=since, **more)


UP = TunnelFacts(
    name="vpn",
    tunnel=unit("", "active", age=300),
    namespace=unit("-netns", "active", age=301),
    reload=unit("-reload", condition=False),  # there was nothing to reload
    endpoint=unit("-endpoint", condition=False),  # there is no name to look up
    ready=unit("-ready", load="not-found"),
    now=NOW,
)
AUTO = unit("", "activating", age=2, sub="auto-restart", result="exit-code")
NO_CONF = Trouble(why="/etc/vpn.conf: No such file or directory.", since=47)
ILL = Illness(why="link wg0: missing", since=61, steps=0)
LOOKING = {"unanswered": ("a.example.net", "b."), "endpoint": unit("-endpoint", "active", age=20)}

CASES: dict[str, tuple[dict[str, Any], Word, str, int | None, str]] = {
    "up": ({}, Word.UP, "", 300, ""),
    "the .conf is not there": (
        {"tunnel": AUTO, "trouble": NO_CONF}, Word.WAITING, NO_CONF.why, 47, AGAIN,
    ),
    "it fails, and why is root's to read": (
        {"tunnel": AUTO}, Word.WAITING, "it could not be configured", 2, AGAIN,
    ),
    "the credential is not there": (
        {"tunnel": AUTO, "reload": unit("-reload", "failed", age=3, main_status=243)},
        Word.WAITING, "its credential could not be loaded", 3, AGAIN,
    ),
    "it is tried again at this moment": (
        {"tunnel": unit("", "activating", age=1), "trouble": NO_CONF},
        Word.WAITING, NO_CONF.why, 47, AGAIN,
    ),
    "what a try has left is taken away": (
        {"tunnel": unit("", "deactivating", age=1, result="exit-code"), "trouble": NO_CONF},
        Word.WAITING, NO_CONF.why, 47, AGAIN,
    ),
    "it is being configured": (
        {"tunnel": unit("", "activating", age=1)},
        Word.WAITING, "it is being configured", 1, "it goes on by itself",
    ),
    "the namespace comes first": (
        {"tunnel": unit("", "activating", age=1), "namespace": unit("-netns", "activating")},
        Word.WAITING, "wgconfine-netns@vpn.service is not there yet", 1, "it goes on by itself",
    ),
    "names have no answer": (
        LOOKING, Word.WAITING, "no address yet for a.example.net, b.", 20,
        f"asked again in at most 60 s. {LOGS}",
    ),
    "names are not asked for yet": (
        {"unanswered": ("a.example.net",)}, Word.WAITING, "no address yet for a.example.net", 300,
        f"wgconfine-endpoint@vpn.service asks once there is a network. {LOGS}",
    ),
    "no handshake": (
        {"unheard": ("xTIBA5rb… at 192.0.2.1:51820",)},
        Word.WAITING, "no handshake yet with xTIBA5rb… at 192.0.2.1:51820", 300,
        f"WireGuard asks again as long as something is sent. {LOGS}",
    ),
    "the tunnel around it is down": (
        {"outer": UnitState(name="wgconfine@out.service", since=NOW - 5 * S)} | LOOKING,
        Word.WAITING, "the tunnel that it goes through is not up: wgconfine@out.service", 5,
        "systemctl start wgconfine@out.service",
    ),
    "the tunnel around it is up": (
        {"outer": UnitState(name="wgconfine@out.service", active="active")}, Word.UP, "", 300, "",
    ),
    "services wait for a handshake": (
        {"ready": unit("-ready", "activating", age=9), "unheard": ("xTIBA5rb…",)},
        Word.WAITING, "no handshake yet with xTIBA5rb…; its services wait for that", 9,
        f"WireGuard asks again as long as something is sent. {LOGS}",
    ),
    "they wait, and nothing was sent": (
        {"ready": unit("-ready", "activating", age=9)},
        Word.WAITING, "no handshake yet; its services wait for that", 9,
        f"WireGuard asks again as long as something is sent. {LOGS}",
    ),
    "services wait for a name": (
        LOOKING | {"ready": unit("-ready", "activating", age=9)},
        Word.WAITING, "no address yet for a.example.net, b.; its services wait for that", 20,
        f"asked again in at most 60 s. {LOGS}",
    ),
    "they have waited for long enough, and it came later": (
        {"ready": unit("-ready", "failed", age=9)}, Word.UP, "", 300, "",
    ),
    "sick": (
        {"illness": ILL}, Word.DEGRADED, ILL.why, 61, "nothing done yet: wgconfine logs vpn",
    ),
    "sick, and something was done": (
        {"illness": replace(ILL, steps=2)}, Word.DEGRADED, ILL.why, 61,
        "2 steps taken: wgconfine logs vpn",
    ),
    "stopped": ({"tunnel": unit("", age=8)}, Word.DOWN, "it is stopped", 8, START),
    "being stopped": (
        {"tunnel": unit("", "deactivating", age=8)}, Word.DOWN, "it is being stopped", 8, START,
    ),
    "failed for good": (
        {"tunnel": unit("", "failed", age=8, result="resources")},
        Word.DOWN, "it failed: resources", 8, START,
    ),
    "failed for good, and why": (
        {"tunnel": unit("", "failed", age=8), "trouble": NO_CONF},
        Word.DOWN, NO_CONF.why, 8, START,
    ),
    "disabled": (
        {"tunnel": unit(""), "namespace": unit("-netns", load="not-found"), "enabled": False},
        Word.DOWN, "enable = false in its settings", None, "with enable = true: wgconfine apply",
    ),
    "disabled, and masked": (
        {"tunnel": unit("", load="masked"), "enabled": False},
        Word.DOWN, "enable = false in its settings", None, "with enable = true: wgconfine apply",
    ),
    "not applied": (
        {"tunnel": unit("", load="not-found"), "installed": False},
        Word.DOWN, "it is not applied yet", None, "wgconfine apply",
    ),
    "its units are gone": (
        {"tunnel": unit("", load="not-found")},
        Word.DOWN, "it is not applied yet", None, "wgconfine apply",
    ),
    "masked": (
        {"tunnel": unit("", load="masked")}, Word.REFUSED, "wgconfine@vpn.service is masked", None,
        "systemctl unmask wgconfine@vpn.service",
    ),
    "its namespace is masked": (
        {"tunnel": unit(""), "namespace": unit("-netns", load="masked")},
        Word.REFUSED, "wgconfine-netns@vpn.service is masked", None,
        "systemctl unmask wgconfine-netns@vpn.service",
    ),
    "no namespace can be made": (
        {"tunnel": unit(""), "namespace": unit("-netns", "failed", age=8)},
        Word.REFUSED, "wgconfine-netns@vpn.service failed", 8,
        f"once that is mended: {START}",
    ),
    "the name is taken": (
        {
            "tunnel": unit(""), "namespace": unit("-netns", "failed", age=8),
            "trouble": Trouble(why="/run/netns/vpn: a file. Remove or rename it.", since=8),
        },
        Word.REFUSED, "/run/netns/vpn: a file. Remove or rename it.", 8,
        f"once that is mended: {START}",
    ),
    "a condition of its unit": (
        {"tunnel": unit("", age=8, condition=False)},
        Word.REFUSED, "wgconfine@vpn.service was kept from running", 8,
        "systemctl status wgconfine@vpn.service",
    ),
    "a service is outside": (
        {"outside": ("a.service", "b.service")},
        Word.LEAK, "in another namespace: a.service b.service", None,
        "systemctl stop a.service b.service",
    ),
    "one with a backslash in its name is": (
        {"outside": (r"a@b\x2dc.service",)},
        Word.LEAK, r"in another namespace: a@b\x2dc.service", None,
        r"systemctl stop 'a@b\x2dc.service'",
    ),
    "packets were counted": (
        {"leaked": 3, "counted_since": "2026-01-31T12:00:00Z"},
        Word.LEAK,
        "3 packets of its services were dropped in the host's namespace since 2026-01-31T12:00:00Z",
        None, "wgconfine verify vpn",
    ),
    "verify has found one": (
        {"found_leak": 720}, Word.LEAK, "the last verify has found one", 720,
        "wgconfine verify vpn",
    ),
    "verify has found some": (
        {"found_leak": 720, "found": "udp4 of a.service, switch-counter"},
        Word.LEAK, "the last verify has found one: udp4 of a.service, switch-counter", 720,
        "wgconfine verify vpn",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_word_and_why(case: str) -> None:
    """Since when, and what is next or to be done."""
    change, *expected = CASES[case]
    found = judge_tunnel(replace(UP, **change))

    assert expected == [found.word, found.why, found.since, found.next]


def test_every_word_is_reached() -> None:
    """The table has a row for each."""
    assert set(Word) == {word for _, word, *_ in CASES.values()}


ORDER: list[dict[str, Any]] = [
    {"found_leak": 720},
    {"tunnel": unit(""), "namespace": unit("-netns", "failed")},
    {"tunnel": AUTO},
    {"outer": UnitState(name="wgconfine@out.service")},
    {"illness": ILL},
    LOOKING,
    {"unheard": ("xTIBA5rb…",)},
]


@pytest.mark.parametrize("first", range(len(ORDER) - 1))
def test_what_weighs_more_is_said(first: int) -> None:
    """Of all that holds at once, the first in this order."""
    together: dict[str, Any] = {}
    for each in reversed(ORDER[first:]):
        together |= each

    assert judge_tunnel(replace(UP, **ORDER[first])) == judge_tunnel(replace(UP, **together))


def test_what_it_would_be_without_the_leak() -> None:
    """A leak hides nothing else."""
    facts = replace(UP, leaked=1, illness=ILL)

    assert [Word.LEAK, Word.DEGRADED] == [
        judge_tunnel(facts, leaks=leaks).word for leaks in (True, False)
    ]
