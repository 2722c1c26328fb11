"""What `verify` says of the second switch, by what was seen of it."""

import pytest

from wgconfine.model.verify import Area, Verdict
from wgconfine.runtime.switch import Table, chain_lines
from wgconfine.verify.switch import Switch, judge_switch

SINCE = "2026-11-25T22:55:31Z"
RESET = (
    "nft reset counters table inet wgconfine-vpn && systemctl reload wgconfine-switch@vpn.service"
)
RESTART = "systemctl restart wgconfine-switch@vpn.service"


def table(*, sent: int = 0, received: int = 0, before: str = "", comment: str = SINCE) -> Table:
    """As nft prints a table that is right, but for what is asked for."""
    lines = ["table inet wgconfine-vpn {", f'comment "wgconfine: counts since {comment}"']
    for name, packets in (("sent", sent), ("received", received)):
        lines += [f"counter {name} {{", f"packets {packets} bytes 0", "}"]
    for hook in ("output", "input"):
        head, rule = chain_lines("vpn", hook)
        lines += [f"chain {hook} {{", head, *filter(None, [before]), rule, "}"]
    return Table("\n".join([*lines, "}"]))


def seen(found: Table | None, **more: object) -> Switch:
    values: dict[str, object] = {"state": "on", "group": True} | more
    return Switch(table=found, **values)  # type: ignore[arg-type]


def verdicts(switch: Switch) -> list[tuple[str, Verdict, str]]:
    return [(each.name, each.verdict, each.mend) for each in judge_switch("vpn", switch)]


def test_all_is_well() -> None:
    """The rule is structure, its count a way out that nobody took."""
    checks = judge_switch("vpn", seen(table()))

    assert [Area.STRUCTURE, Area.ESCAPES] == [each.area for each in checks]
    assert [("switch", Verdict.OK, ""), ("switch-counter", Verdict.OK, "")] == verdicts(
        seen(table())
    )


@pytest.mark.parametrize(("sent", "received"), [(1, 0), (0, 1), (40, 2)])
def test_what_was_counted_is_a_leak(sent: int, received: int) -> None:
    """With both numbers and since when; the rule itself is fine."""
    rule, counter = judge_switch("vpn", seen(table(sent=sent, received=received)))

    assert (Verdict.OK, Verdict.LEAK) == (rule.verdict, counter.verdict)
    assert f"since {SINCE}: {sent} sent, {received} received" in counter.evidence
    assert RESET == counter.mend


def test_a_rule_that_is_gone_is_mended_by_a_restart() -> None:
    """There is no counter then."""
    assert [("switch", Verdict.NOT_CONFINED, RESTART)] == verdicts(seen(None))


@pytest.mark.parametrize(
    ("before", "group"),
    [("accept", True), ("ip daddr 192.0.2.1 accept", True), ("", False)],
    ids=["accept", "accept-one", "no-group"],
)
def test_a_rule_that_holds_nobody_is_no_rule(before: str, *, group: bool) -> None:
    """An accept in front of it, or no control group; the count is told all the same."""
    found = verdicts(seen(table(before=before, sent=3), group=group))

    assert [
        ("switch", Verdict.NOT_CONFINED, RESTART),
        ("switch-counter", Verdict.LEAK, RESET),
    ] == found


def test_a_table_of_somebody_else_counts_nothing() -> None:
    """Its counters are not ours either."""
    found = Table("table inet wgconfine-vpn {\ncounter sent {\npackets 9 bytes 9\n}\n}\n")

    assert [("switch", Verdict.NOT_CONFINED, RESTART)] == verdicts(seen(found))


def test_what_a_machine_can_not_have_is_no_failure() -> None:
    """Its unit has tried, and says why."""
    switch = seen(None, state="not available: the control groups of this machine are of version 1")

    check = judge_switch("vpn", switch)[0]
    assert (Verdict.UNAVAILABLE, "") == (check.verdict, check.mend)
    assert check.evidence.endswith("of version 1")


def test_what_nft_does_not_tell_is_unknown() -> None:
    """Not `ok`, and not `gone`."""
    switch = seen(None, trouble="nft: not found")

    assert [("switch", Verdict.UNKNOWN, "")] == verdicts(switch)
