"""Man pages, made from the pages of docs/: what Markdown says there, as man(7) has it.

A table becomes a list with a paragraph for each row, since columns of text do not fit a terminal.
"""

import argparse
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from pages.completion import commands
from wgconfine import __version__
from wgconfine.cli.main import build_parser

__all__ = ["PAGES", "manual"]

DOCS = Path(__file__).parents[1] / "docs"
MARKDOWN = MarkdownIt("commonmark").enable("table")
WIDTH = 78
DATE = "2026-11-26"
"""When the pages last said something new of note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A man page: `name`, `section`, what it is about in a line, and the pages that make it.

    Headings of the docs are moved down by `depth` within it.
    """

    name: str
    section: int
    about: str
    sources: tuple[tuple[str, int], ...]
    see: tuple[str, ...]

    @property
    def place(self) -> str:
        """Give where it lies below `share`."""
        return f"man/man{self.section}/{self.name}.{self.section}"

    def __str__(self) -> str:
        return f"{self.name}({self.section})"


PAGES = (
    Page(
        name="wgconfine",
        section=1,
        about="confine systemd services to a WireGuard tunnel, and prove it",
        sources=(("commands.md", 1), ("exit-codes.md", 1), ("json.md", 1)),
        see=("wgconfine.toml(5)", "wgconfine(7)", "journalctl(1)", "systemctl(1)", "wg(8)"),
    ),
    Page(
        name="wgconfine.toml",
        section=5,
        about="settings of a tunnel and of the services that it confines",
        sources=(("settings.md", 0),),
        see=("wgconfine(1)", "wgconfine(7)", "systemd.exec(5)", "wg(8)", "wg-quick(8)"),
    ),
    Page(
        name="wgconfine",
        section=7,
        about="what confines services to a WireGuard tunnel, and what not",
        sources=(("concepts.md", 1), ("threat-model.md", 1)),
        see=("wgconfine(1)", "wgconfine.toml(5)", "network_namespaces(7)", "systemd.exec(5)"),
    ),
)
WHERE = {source: str(page) for page in PAGES for source, _ in page.sources}
MORE = "The pages that are named NAME.md lie in share/doc/wgconfine, beside share/man."
NOTHING = r"\&"
KEPT = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
"""What roff takes for something else: a hyphen that is copied must be the one of a keyboard."""


def manual(page: Page) -> str:
    """Give the text of a page."""
    title = f'.TH {page.name.upper()} {page.section} {DATE} "wgconfine {__version__}"'
    lines = [
        f'.\\" Made from {", ".join(name for name, _ in page.sources)} by `make pages`.',
        title,
    ]
    lines += [".SH NAME", rf"{page.name} \- {page.about}"]
    lines += synopsis() if page.section == 1 else []
    for name, depth in page.sources:
        lines += [*Body(depth=depth).source(DOCS / name)]
    lines += [".SH SEE ALSO", ",\n".join(map(reference, page.see)), ".PP", folded(MORE)]
    # A heading begins a paragraph by itself.
    return re.sub(r"^(\.S[HS] .*)\n\.PP$", r"\1", "\n".join(lines), flags=re.MULTILINE) + "\n"


def reference(page: str) -> str:
    name, _, section = page.partition("(")
    return f".BR {kept(name)} ({section}".removesuffix(",")


def synopsis() -> Iterator[str]:
    """Give each command as the parser has it."""
    yield ".SH SYNOPSIS"
    for name, parser in commands(build_parser()):
        if not name:
            continue
        shown = [each for each in parser._actions if each.help != argparse.SUPPRESS]  # noqa: SLF001
        shown = [each for each in shown if each.dest != "help"]
        yield f".TP 4\n.B wgconfine {name}"
        yield folded(" ".join(map(usage, shown))) or NOTHING


def usage(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else rf"\fI{kept(str(action.metavar or action.dest))}\fR"
    if action.nargs in {"*", "+", argparse.REMAINDER}:
        value += r"\~..."
    if action.option_strings:
        names = "|".join(rf"\fB{kept(each)}\fR" for each in action.option_strings)
        value = rf"{names}\~{value}".removesuffix(r"\~")
    needed = action.required and action.nargs != "*"
    return value if needed else f"[{value}]"


def kept(text: str) -> str:
    return "".join(KEPT.get(each, each) for each in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The text of a page of docs/ as lines of man(7)."""

    depth: int

    def source(self, path: Path) -> Iterator[str]:
        tree = SyntaxTreeNode(MARKDOWN.parse(path.read_text(encoding="utf-8")))
        title = tree.children[0]
        yield f".SH {inline(title.children[0], plain=True).upper()}"
        yield from self.blocks(tree.children[1:])

    def blocks(self, nodes: Iterable[SyntaxTreeNode]) -> Iterator[str]:
        for node in nodes:
            yield from self.block(node)

    def block(self, node: SyntaxTreeNode) -> Iterator[str]:
        match node.type:
            case "heading":
                yield from self.heading(node)
            case "paragraph":
                yield ".PP"
                yield inline(node.children[0])
            case "fence" | "code_block":
                yield from (".PP", ".RS 4", ".EX", *map(literal, node.content.splitlines()))
                yield from (".EE", ".RE")
            case "bullet_list" | "ordered_list":
                yield from self.items(node)
            case "table":
                yield from rows(node)
            case _:
                raise ValueError(f"{node.type}: nothing says what a man page makes of it")

    def heading(self, node: SyntaxTreeNode) -> Iterator[str]:
        level = int(node.tag.removeprefix("h")) + self.depth
        text = inline(node.children[0], plain=True)
        match level:
            case 2:
                yield f".SH {text.upper()}"
            case 3:
                yield f".SS {text}"
            case _:
                yield f".PP\n.B {text}"

    def items(self, node: SyntaxTreeNode) -> Iterator[str]:
        numbered = node.type == "ordered_list"
        for number, item in enumerate(node.children, 1):
            first, *rest = item.children
            yield f".IP {number}. 4" if numbered else r".IP \(bu 2"
            yield inline(first.children[0])
            if rest:
                yield from (".RS", *self.blocks(rest), ".RE")


def rows(node: SyntaxTreeNode) -> Iterator[str]:
    """Give each row: its first cell, and below it the others with the headings of their columns."""
    head, *body = node.children
    titles = [inline(cell.children[0]) if cell.children else "" for cell in cells(head)[0]]
    for row in cells(*body):
        first, *others = [inline(cell.children[0]) if cell.children else "" for cell in row]
        said = zip(titles[1:], others, strict=True)
        told = [folded(f"{title}: {text}") if title else text for title, text in said if text]
        yield from (".PP", first, ".RS 4") if "\n" in first else (".TP 4", first or NOTHING)
        yield "\n.br\n".join(told) or NOTHING
        yield from [".RE"] if "\n" in first else []


def cells(*parts: SyntaxTreeNode) -> list[Sequence[SyntaxTreeNode]]:
    return [row.children for part in parts for row in part.children]


def literal(line: str) -> str:
    text = kept(line)
    return rf"\&{text}" if text.startswith(".") else text


def inline(node: SyntaxTreeNode, *, plain: bool = False) -> str:
    """Give a paragraph's text; `plain` without fonts, as in a heading."""
    return folded("".join(spans(node.children, plain=plain)), width=0 if plain else WIDTH)


def folded(text: str, *, width: int = WIDTH) -> str:
    """Fold text at its spaces; a line of roff that begins with a dot would be a command."""
    lines = [text.strip()]
    if width:
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(rf"\&{line}" if line.startswith(".") else line for line in lines)


def spans(nodes: Iterable[SyntaxTreeNode], *, plain: bool) -> Iterator[str]:
    for node in nodes:
        match node.type:
            case "text":
                yield kept(node.content)
            case "softbreak" | "hardbreak":
                yield " " if plain else "\n"
            case "code_inline":
                yield kept(node.content) if plain else rf"\fB{kept(node.content)}\fR"
            case "strong" | "em":
                inner = "".join(spans(node.children, plain=True))
                yield inner if plain else rf"\fI{inner}\fR"
            case "link":
                yield link(node, plain=plain)
            case _:
                raise ValueError(f"{node.type}: nothing says what a man page makes of it")


def link(node: SyntaxTreeNode, *, plain: bool) -> str:
    """Give the text of a link, and the page that it leads to where that is another."""
    text = "".join(spans(node.children, plain=plain))
    target = str(node.attrs["href"]).partition("#")[0].rpartition("/")[2]
    if target in WHERE:
        target = WHERE[target]
    if not target.endswith((".md", ")")) or kept(target) in text:
        return text
    return kept(target) if text.endswith(".md") else f"{text} ({kept(target)})"
