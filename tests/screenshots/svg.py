"""What a command has put on a terminal, as a picture: SVG that needs nothing from elsewhere."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

__all__ = ["Run", "drawn", "read_lines"]

SIZE, ADVANCE, LEADING = 14, 8.4, 19
"""Of the letters, in units of the picture: how high, how far from one to the next and to the next
line. Whatever font is there, each run is as long as its letters are here."""
MARGIN, BAR = 16, 30
STYLE = f"""
text {{ font: {SIZE}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace }}
text {{ fill: #d8dee9 }}
.bold {{ font-weight: bold }} .green {{ fill: #8fce7a }}
.yellow {{ fill: #e5c07b }} .red {{ fill: #f07178 }}
.title {{ fill: #8a93a5; text-anchor: middle }}
"""
CLASSES = {"1": "bold", "31": "red", "32": "green", "33": "yellow"}
_SGR = re.compile(r"\x1b\[([0-9;]*)m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Letters that stand together and look alike."""

    text: str
    classes: tuple[str, ...] = ()


Line = tuple[Run, ...]


def read_lines(said: str) -> list[Line]:
    """Give the lines of what was printed, with its colours. Raises ValueError for another code."""
    return [tuple(runs(line)) for line in said.replace("\r\n", "\n").removesuffix("\n").split("\n")]


def runs(line: str) -> Iterator[Run]:
    classes: tuple[str, ...] = ()
    text, *pairs = _SGR.split(line)
    for codes, after in [("0", text), *zip(pairs[::2], pairs[1::2], strict=True)]:
        for code in codes.split(";"):
            if code not in {"", "0", *CLASSES}:
                raise ValueError(f"{code!r} is no colour of ours")
            classes = (*classes, CLASSES[code]) if code in CLASSES else ()
        if after:
            yield Run(text=after, classes=classes)


def drawn(lines: Sequence[Line], *, columns: int, title: str) -> str:
    """Give the picture of a terminal so many columns wide, as high as its lines."""
    rows = [row for line in lines for row in wrapped(line, columns)]
    width = round(columns * ADVANCE + 2 * MARGIN)
    height = BAR + len(rows) * LEADING + 2 * MARGIN - (LEADING - SIZE)
    dots = "".join(
        f'<circle cx="{MARGIN + 4 + 18 * place}" cy="{BAR // 2}" r="5" fill="{colour}"/>'
        for place, colour in enumerate(("#f07178", "#e5c07b", "#8fce7a"))
    )
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" xml:space="preserve">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#1b2028"/>',
        f'<rect width="{width}" height="{BAR}" rx="8" fill="#2a313c"/>',
        dots,
        f'<text class="title" x="{width // 2}" y="{BAR // 2 + 5}">{escape(title)}</text>',
        *(element for number, row in enumerate(rows) for element in elements(row, number)),
        "</svg>\n",
    ])  # fmt: skip


def wrapped(line: Line, columns: int) -> Iterator[Line]:
    """Give the rows that a terminal makes of a line."""
    letters = [(letter, run.classes) for run in line for letter in run.text]
    for begin in range(0, max(1, len(letters)), columns):
        yield tuple(together(letters[begin : begin + columns]))


def together(letters: Sequence[tuple[str, tuple[str, ...]]]) -> Iterator[Run]:
    begin = 0
    for end in range(1, len(letters) + 1):
        if end == len(letters) or letters[end][1] != letters[begin][1]:
            yield Run(
                text="".join(each for each, _ in letters[begin:end]), classes=letters[begin][1]
            )
            begin = end


def elements(row: Line, number: int) -> Iterator[str]:
    y, column = BAR + MARGIN + number * LEADING + SIZE - 3, 0
    for run in row:
        x, length = MARGIN + column * ADVANCE, len(run.text) * ADVANCE
        column += len(run.text)
        classes = f' class="{" ".join(run.classes)}"' if run.classes else ""
        place = f'x="{x:.1f}" y="{y}" textLength="{length:.1f}"'
        yield f"<text{classes} {place}>{escape(run.text)}</text>"
