"""The ruleset of the namespace: ours, entry by entry and in order, and what others have added."""

import copy
import json
from typing import Any

import pytest

from wgconfine.model.verify import Verdict
from wgconfine.verify.firewall import (
    judge_firewall,
    judge_foreign_tables,
    parse_ruleset,
    spell,
)

Entry = dict[str, Any]


def rule(handle: int, *statements: Entry, table: str = "wgconfine") -> Entry:
    at = {"family": "inet", "table": table, "chain": "output", "handle": handle}
    return {"rule": {**at, "expr": list(statements)}}


def match(left: Entry, right: Any, sign: str = "==") -> Entry:
    return {"match": {"op": sign, "left": left, "right": right}}


OURS: list[Entry] = [
    {"table": {"family": "inet", "name": "wgconfine", "handle": 3}},
    {"chain": {"family": "inet", "table": "wgconfine", "name": "output", "policy": "drop"}},
    rule(1, {"match": {"op": "==", "left": 1, "right": {"set": ["lo", "wg0"]}}}, {"accept": None}),
    rule(2, {"counter": {"packets": 0, "bytes": 0}}, {"reject": None}),
]
PORT = {"payload": {"protocol": "tcp", "field": "dport"}}
OPENED = rule(5, match(PORT, 22), {"accept": None})
THEIRS: Entry = {"table": {"family": "ip", "name": "x", "handle": 9}}


def counted() -> list[Entry]:
    """Give the same table after a while: other handles, and packets counted."""
    found = copy.deepcopy(OURS)
    found[0]["table"]["handle"] = 77
    found[3]["rule"]["handle"] = 78
    found[3]["rule"]["expr"][0]["counter"] = {"packets": 12, "bytes": 900}
    return found


def test_handles_and_counts_are_no_difference() -> None:
    """A table that has dropped packets is the same table."""
    assert Verdict.OK is judge_firewall(counted(), OURS, "").verdict


@pytest.mark.parametrize(
    ("found", "evidence"),
    [
        ([], "table inet wgconfine is gone"),
        (OURS[:3], "table inet wgconfine: 'reject' in output is missing"),
        ([*OURS, OPENED], "table inet wgconfine: 'tcp dport 22 accept' in output is not ours"),
        ([*OURS[:2], OURS[3], OURS[2]], "table inet wgconfine: its entries are in another order"),
        ([*OURS, OURS[3]], "table inet wgconfine: its entries are in another order"),
    ],
)
def test_any_other_difference_is_named(found: list[Entry], evidence: str) -> None:
    """One entry more, less, or elsewhere; with the command that loads the table anew."""
    check = judge_firewall(found, OURS, "systemctl reload x")
    assert (Verdict.NOT_CONFINED, evidence) == (check.verdict, check.evidence)
    assert "systemctl reload x" == check.mend


def test_of_many_differences_three_are_named() -> None:
    """Foreign text in them can't act on a terminal."""
    more = [rule(n, {"match": {"op": "!=", "left": "\x1b", "right": n}}) for n in range(5)]
    evidence = judge_firewall([*OURS, *more], OURS, "").evidence
    assert evidence.startswith("table inet wgconfine: '\\x1b != 0' in output is not ours; ")
    assert evidence.endswith("'\\x1b != 2' in output is not ours, and 2 more")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ({"counter": "dropped"}, ""),
        ({"drop": None}, "drop"),
        (match({"meta": {"key": "iifname"}}, "lo"), "iifname lo"),
        (match({"ct": {"key": "state"}}, ["new", "related"], "in"), "state new, related"),
        (match(PORT, {"set": [22, {"range": [6881, 6889]}]}), "tcp dport { 22, 6881-6889 }"),
        (match(PORT, {"prefix": {"addr": "10.0.0.0", "len": 8}}, "!="), "tcp dport != 10.0.0.0/8"),
        (match({"fib": {"result": "type"}}, "local"), "fib local"),
        ("notrack", "notrack"),
    ],
)
def test_a_rule_is_spelled_as_nft_does(statement: Any, words: str) -> None:
    """Nearly: it is for a person who looks for it."""
    assert f"'{words}' in output" == spell(rule(1, statement))


def test_a_foreign_table_that_drops_is_open() -> None:
    """It is named, and no failure: it can only take away."""
    more = [THEIRS, rule(1, {"drop": None}, table="x")]
    check = judge_foreign_tables([*OURS, *more])
    assert Verdict.OPEN is check.verdict
    assert Verdict.OK is judge_foreign_tables(OURS).verdict


@pytest.mark.parametrize(
    "statement",
    [
        {"dnat": {"addr": "192.0.2.1"}},
        {"masquerade": None},
        {"redirect": {"port": 5353}},
        {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}},
        {"vmap": {"key": 1, "data": {"set": [[1, {"dnat": {"addr": "192.0.2.1"}}]]}}},
    ],
)
def test_a_foreign_table_that_diverts_is_named(statement: Entry) -> None:
    """A look-up could be answered by somebody else."""
    diverting: Entry = {"rule": {"family": "ip", "table": "x", "chain": "y", "expr": [statement]}}
    assert Verdict.NOT_CONFINED is judge_foreign_tables([*OURS, THEIRS, diverting]).verdict


def test_what_nft_prints_is_read_without_its_version() -> None:
    """`metainfo` differs from one nft to the next, and is no entry."""
    text = json.dumps({"nftables": [{"metainfo": {"version": "1"}}, *OURS]})
    assert OURS == parse_ruleset(text)
