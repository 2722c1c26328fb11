"""What a probe says, read as the words of a stranger: bounded, strict, the worst of it first. Pure.

Its standard output is a file of root's, but whoever shares its user may have written there.
"""

import json
from collections.abc import Iterator, Mapping

from wgconfine.verify.attempt import BLOCKED, OPEN, OUT, SENT
from wgconfine.verify.channels import Answer

__all__ = ["MOST_SAID", "is_ready", "parse_answers"]

MOST_SAID = 1 << 18
MOST_IN_A_LINE = 8192
MOST_DETAIL = 4000
READY = b'{"ready": true}\n'

_WORST_FIRST = (OUT, OPEN, "failed", "timeout", SENT, BLOCKED)


def is_ready(said: bytes) -> bool:
    return said.startswith(READY)


def parse_answers(said: bytes, tokens: Mapping[str, str]) -> tuple[dict[str, Answer], int]:
    """Give the answer of each channel that echoes its token, and how many lines are none.

    Of two answers for one channel the worse counts.
    """
    found: dict[str, Answer] = {}
    odd = 0
    lines = said[:MOST_SAID].removeprefix(READY).splitlines()
    for line in lines:
        parsed = next(_parse(line, tokens), None)
        if parsed is None:
            odd += 1
            continue
        name, answer = parsed
        if name not in found or _rank(answer) < _rank(found[name]):
            found[name] = answer
    return found, odd + (len(said) > MOST_SAID)


def _rank(answer: Answer) -> int:
    return _WORST_FIRST.index(answer.word)


def _parse(line: bytes, tokens: Mapping[str, str]) -> Iterator[tuple[str, Answer]]:
    try:
        said = json.loads(line[:MOST_IN_A_LINE])
    except (ValueError, RecursionError):
        return
    if not isinstance(said, dict) or said.keys() != {"channel", "token", "word", "detail"}:
        return
    name, token, word, detail = (said[key] for key in ("channel", "token", "word", "detail"))
    if not all(isinstance(each, str) for each in (name, token, word, detail)):
        return
    if name in tokens and tokens[name] == token and word in _WORST_FIRST:
        yield name, Answer(word=word, detail=detail[:MOST_DETAIL])
