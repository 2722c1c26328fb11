"""What the source can say of something wrong, found by its syntax, and what tests have of it.

A message is the constant text in what is raised, or given to what collects and shows: of its pieces
between values the longest one counts, which is enough to know it by, and of its sentences the first
that has words.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

COLLECTORS = frozenset({
    "ConfProblem", "Finding", "Problem", "complain", "refuse", "refused", "warn", "wrong",
})  # fmt: skip
"""Beside `raise`: values and functions that bring an error to a person."""
HINTS = frozenset({"hint", "path", "where"})
ENOUGH = 14
"""So many characters of a message are its own: a shorter part may stand anywhere in a test."""
FEWEST_LETTERS = 4
VALUE = "\0"
"""Stands for a value between two pieces."""

Names = Mapping[str, list[ast.expr]]


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that is said of an error, and where."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text!r}"


def messages(top: Path) -> list[Message]:
    """Give each message of the source once, in the order of files and lines."""
    found: dict[tuple[str, str], Message] = {}
    for path in sorted((top / "src/wgconfine").rglob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        names = assigned(each for each in module.body if isinstance(each, ast.Assign))
        for line, text in in_scope(module, names):
            place = path.relative_to(top).as_posix()
            found.setdefault((place, text), Message(place, line, text))
    return [found[key] for key in sorted(found, key=lambda key: (key[0], found[key].line))]


def in_scope(scope: ast.AST, names: Names) -> Iterator[tuple[int, str]]:
    """Give line and text of each message; `names` are what stands for text there."""
    for node in ast.iter_child_nodes(scope):
        inner = names
        if isinstance(node, ast.FunctionDef):
            own = assigned(each for each in ast.walk(node) if isinstance(each, ast.Assign))
            inner = {**names, **own}
        if isinstance(node, ast.Call) and is_said(scope, node):
            for pieces in (each for value in values(node) for each in texts(value, inner)):
                if text := longest(pieces):
                    yield node.lineno, text
        yield from in_scope(node, inner)


def is_said(parent: ast.AST, node: ast.Call) -> bool:
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    return name in COLLECTORS or (isinstance(parent, ast.Raise) and node is parent.exc)


def values(call: ast.Call) -> list[ast.expr]:
    """Give what a call is about, without the hint: that stands in the same test, if anywhere."""
    given = [*call.args, *(each.value for each in call.keywords if each.arg not in HINTS)]
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    most = {"OperationFailed": 2, "WrongValueError": 1, "wrong": 1, "warn": 1, "ConfProblem": 2}
    return given[: most.get(name, len(given))]


def assigned(nodes: Iterator[ast.Assign]) -> Names:
    """Give what each name may stand for, pairs of names too."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        for target in node.targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            for name, value in pairs:
                if isinstance(name, ast.Name):
                    found.setdefault(name.id, []).append(value)
    return found


def texts(node: ast.expr, names: Names) -> Iterator[list[str]]:
    """Give the constant pieces of each text that an expression can be."""
    match node:
        case ast.Constant(value=str(text)):
            yield [text]
        case ast.JoinedStr(values=parts):
            yield [str(each.value) for each in parts if isinstance(each, ast.Constant)]
        case ast.BinOp(left=left, right=right):
            ends = list(texts(right, names)) or [[]]
            yield from (one + other for one in texts(left, names) for other in ends)
        case ast.Name(id=name):
            own = {key: value for key, value in names.items() if key != name}
            for value in names.get(name, ()):
                yield from texts(value, own)
        case _:
            for part in parts_of(node):
                yield from texts(part, names)


def parts_of(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.IfExp(body=body, orelse=other):
            return [body, other]
        case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts):
            return parts
        case ast.Starred(value=part) | ast.GeneratorExp(elt=part) | ast.ListComp(elt=part):
            return [part]
        case _:
            return []


def longest(pieces: list[str]) -> str:
    """Give the longest piece of the first sentence with words; nothing where there are none."""
    for sentence in VALUE.join(pieces).split(". "):
        words = [each for each in sentence.split(VALUE) if has_words(each)]
        if words:
            return max(words, key=len).strip(" .:,;'\n")
    return ""


def has_words(text: str) -> bool:
    return sum(map(str.isalpha, text)) >= FEWEST_LETTERS


def said_in_tests(top: Path) -> set[str]:
    """Give every text in a test, as a pattern of `match=` too, and every expected file."""
    found = set()
    for path in (each for each in sorted((top / "tests").rglob("*")) if each.is_file()):
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix != ".py":
            found.add(text)
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value, node.value.replace("\\", "")}
    return found


def is_tested(message: Message, everything: str, parts: frozenset[str]) -> bool:
    """Tell whether a test has it in one of its texts, or one of its texts is a part of it."""
    return message.text in everything or any(each in message.text for each in parts)


def untested(top: Path) -> list[Message]:
    """Give the messages that no test knows."""
    said = said_in_tests(top)
    parts = frozenset(each.strip() for each in said if len(each.strip()) >= ENOUGH)
    everything = "\0".join(said)
    return [each for each in messages(top) if not is_tested(each, everything, parts)]
