"""What `nft -j list ruleset` tells of a tunnel's namespace, judged. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from wgconfine.config.escape import escape, quote
from wgconfine.model.verify import Area, Check, Verdict

__all__ = ["judge_firewall", "judge_foreign_tables", "parse_ruleset"]

Entry = Mapping[str, Any]
"""One object of libnftables-json(5), such as `{"rule": {…}}`."""

check = partial(Check, area=Area.STRUCTURE)

OURS = ("inet", "wgconfine")
CHANGING = {"counter": ("packets", "bytes"), "quota": ("used",)}
SHOWN = 3
"""As many differences are named as a person reads."""
DIVERTING = {
    "dnat", "snat", "masquerade", "redirect", "tproxy", "dup", "fwd", "queue", "mangle", "flow",
}  # fmt: skip
"""Statements that send a packet elsewhere or change it."""


def parse_ruleset(text: str) -> list[Entry]:
    """Give the entries of a ruleset. Raises ValueError."""
    entries = json.loads(text)["nftables"]
    return [each for each in entries if "metainfo" not in each]


def table_of(entry: Entry) -> tuple[str, str]:
    ((kind, value),) = entry.items()
    return value.get("family", ""), value.get("name" if kind == "table" else "table", "")


def canonical(entries: Sequence[Entry], table: tuple[str, str]) -> list[Any]:
    """Give the entries of one table in order, without handles and counts, to be compared."""
    return [stripped(each) for each in entries if table_of(each) == table]


def stripped(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: without(key, stripped(below))
                for key, below in value.items()
                if key != "handle"
            }
        case list():
            return [stripped(each) for each in value]
        case _:
            return value


def without(key: str, value: Any) -> Any:
    """Take away what packets change of a statement."""
    if isinstance(value, dict) and key in CHANGING:
        return {name: below for name, below in value.items() if name not in CHANGING[key]}
    return value


def judge_firewall(found: Sequence[Entry], expected: Sequence[Entry], mend: str) -> Check:
    """Compare our table with the one that the runtime loads, as nft(8) itself prints it."""
    there, wanted = canonical(found, OURS), canonical(expected, OURS)
    if there == wanted:
        evidence = f"{len(wanted)} entries of table inet wgconfine, as declared"
        return check(name="firewall", verdict=Verdict.OK, evidence=evidence)
    if not there:
        evidence = "table inet wgconfine is gone"
    else:
        more = [f"{spell(each)} is not ours" for each in there if each not in wanted]
        less = [f"{spell(each)} is missing" for each in wanted if each not in there]
        kinds = more + less or ["its entries are in another order"]
        left = f", and {len(kinds) - SHOWN} more" if len(kinds) > SHOWN else ""
        evidence = f"table inet wgconfine: {'; '.join(kinds[:SHOWN])}{left}"
    return check(name="firewall", verdict=Verdict.NOT_CONFINED, evidence=evidence, mend=mend)


def spell(entry: Entry) -> str:
    """Name an entry for a person, a rule nearly as nft(8) writes it."""
    ((kind, value),) = entry.items()
    if kind != "rule":
        return f"{kind} {quote(str(value.get('name', '')))}"
    parts = [spell_statement(each) for each in value.get("expr", ())]
    return f"{quote(' '.join(filter(None, parts)))} in {escape(str(value.get('chain')))}"


def spell_statement(statement: Any) -> str:
    match statement:
        case {"match": {"op": op, "left": left, "right": right}}:
            sign = "" if op in {"==", "in"} else f"{op} "
            return f"{spell_operand(left)} {sign}{spell_operand(right)}"
        case {"counter": _}:
            return ""
        case dict():
            return " ".join(statement)
        case _:
            return str(statement)


def spell_operand(operand: Any) -> str:
    match operand:
        case {"payload": {"protocol": protocol, "field": field}}:
            return f"{protocol} {field}"
        case {"meta": {"key": key}} | {"ct": {"key": key}}:
            return str(key)
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case dict() | list():
            return spell_several(operand)
        case _:
            return str(operand)


def spell_several(operand: Any) -> str:
    match operand:
        case {"range": [first, last]}:
            return f"{first}-{last}"
        case {"set": [*members]}:
            return f"{{ {', '.join(map(spell_operand, members))} }}"
        case [*members]:
            return ", ".join(map(spell_operand, members))
        case _:
            return " ".join(operand)


def judge_foreign_tables(found: Sequence[Entry]) -> Check:
    """Name tables of others: one that sends packets elsewhere is not what was declared."""
    tables = sorted({table_of(each) for each in found} - {OURS, ("", "")})
    diverting = [
        " ".join(table)
        for table in tables
        if any(diverts(each) for each in found if table_of(each) == table)
    ]
    if diverting:
        return check(
            name="foreign-tables",
            verdict=Verdict.NOT_CONFINED,
            evidence=f"{', '.join(diverting)}: sends packets elsewhere",
        )
    if tables:
        evidence = f"{', '.join(map(' '.join, tables))}: can only drop more"
        return check(name="foreign-tables", verdict=Verdict.OPEN, evidence=evidence)
    return check(name="foreign-tables", verdict=Verdict.OK, evidence="none")


def diverts(entry: Entry) -> bool:
    ((kind, value),) = entry.items()
    if kind == "flowtable":
        return True
    return kind == "rule" and any(
        name in DIVERTING for statement in value.get("expr", ()) for name in names(statement)
    )


def names(statement: Any) -> Iterator[str]:
    """Give every key of a statement, for a verdict map holds others within."""
    match statement:
        case dict():
            for key, below in statement.items():
                yield key
                yield from names(below)
        case list():
            for each in statement:
                yield from names(each)
        case _:
            return
