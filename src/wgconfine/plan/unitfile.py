"""What systemd reads out of unit files, in its own order. Pure: it is given texts and paths.

Follows `config_parse()` (systemd src/shared/conf-parser.c) and `unit_file_find_dropin_paths()`
(src/shared/dropin.c) of 252, the same in substance up to 262.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from wgconfine.model.settings import UnitName
from wgconfine.model.units import Assignment, UnitFacts, UnitText
from wgconfine.plan.unitdigest import digest_of, foreign_texts

__all__ = [
    "SEARCH_PATH",
    "build_facts",
    "dropin_names",
    "parse_unit",
    "sort_dropins",
    "template_of",
]

SEARCH_PATH = tuple(
    PurePosixPath(directory)
    for directory in (
        "/etc/systemd/system.control",
        "/run/systemd/system.control",
        "/run/systemd/transient",
        "/run/systemd/generator.early",
        "/etc/systemd/system",
        "/etc/systemd/system.attached",
        "/run/systemd/system",
        "/run/systemd/system.attached",
        "/run/systemd/generator",
        "/usr/local/lib/systemd/system",
        "/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/run/systemd/generator.late",
    )
)
"""Where the system manager looks, first found wins: what `systemd-analyze unit-paths` prints."""

_WHITESPACE = " \t\n\r"
# read_line() of systemd takes each of \n, \r and NUL, and any run of different ones, as one end.
_LINE_END = re.compile(r"(?:\r\n|\n\r|[\r\n])\0?|\0")
_UNSAFE_IN_SECTION = re.compile(r"[\x00-\x1f\x7f\"'\\]")
_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARK = "\ufeff"
# Names of before 231, which systemd still takes for the others.
_OLD_NAMES = {
    "ReadWriteDirectories": "ReadWritePaths",
    "ReadOnlyDirectories": "ReadOnlyPaths",
    "InaccessibleDirectories": "InaccessiblePaths",
}


def parse_unit(text: UnitText) -> tuple[Assignment, ...]:
    """Every assignment of one file, in order; `line` is where the assignment begins.

    Never raises. As systemd does (252, compared with `systemd-analyze verify`): a line that is no
    assignment or stands before the first section is left out; a broken section header or a line
    that is not UTF-8 (bytes decoded with `surrogateescape`) ends the file.
    """
    assignments: list[Assignment] = []
    section = ""
    for number, joined in _logical_lines(text.text):
        line = joined.strip(_WHITESPACE)
        if not line:
            continue
        if _NOT_UTF8.search(line):
            break
        if line.startswith("["):
            section = line[1:-1]
            if not line.endswith("]") or _UNSAFE_IN_SECTION.search(section):
                break
            continue
        key, equals, value = line.partition("=")
        if section and equals and key:
            assignments.append(
                Assignment(
                    section=section,
                    key=_OLD_NAMES.get(key.strip(_WHITESPACE), key.strip(_WHITESPACE)),
                    value=value.strip(_WHITESPACE),
                    path=text.path,
                    line=number,
                )
            )
    return tuple(assignments)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined, each with the number of its first physical line."""
    continued, first = "", 0
    byte_order_mark_seen = False
    for number, physical in enumerate(_LINE_END.split(text), start=1):
        if physical.lstrip(_WHITESPACE).startswith(("#", ";")):
            continue  # also between continuation lines, which go on after it
        line = physical
        if not byte_order_mark_seen and line.startswith(_BYTE_ORDER_MARK):
            byte_order_mark_seen, line = True, line.removeprefix(_BYTE_ORDER_MARK)
        first = first or number
        joined = continued + line
        if _ends_in_backslash(joined):
            continued = joined[:-1] + " "
        else:
            yield first, joined
            continued, first = "", 0
    if continued:
        yield first, continued


def _ends_in_backslash(line: str) -> bool:
    """Whether the last backslash is not itself escaped: `\\` at the end does not continue."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def build_facts(
    *,
    name: UnitName,
    load_state: str,
    names: Iterable[str] = (),
    texts: Sequence[UnitText] = (),
    triggered_by: Iterable[str] = (),
    joined: Iterable[str] = (),
    user_unit: bool = False,
) -> UnitFacts:
    """The unit out of its files: main one first, drop-ins in systemd's order, ours left out.

    Ours are the two drop-ins of this unit at their places: anybody can write our mark elsewhere.
    """
    own = {name, *names}
    foreign = foreign_texts(name, texts)
    return UnitFacts(
        name=name,
        load_state=load_state,
        names=tuple(sorted(own)),
        texts=foreign,
        assignments=tuple(a for text in foreign for a in parse_unit(text)),
        triggered_by=tuple(sorted(set(triggered_by))),
        joined=tuple(sorted(set(joined) - own)),
        user_unit=user_unit,
        digest=digest_of(foreign),
    )


def template_of(name: str) -> str | None:
    """`x@.service` of `x@a.service`; None for what is no instance."""
    prefix, at, rest = name.partition("@")
    instance, dot, suffix = rest.rpartition(".")
    return f"{prefix}@.{suffix}" if at and dot and instance else None


def dropin_names(name: str) -> tuple[str, ...]:
    """The units whose `.d` directories belong to `name` within *one* directory of the search path.

    In falling precedence: the unit, its template, then the same with the prefix cut at each dash
    (`foo-.service`). The type's own (`service.d`) is not among them: it comes after all of these
    of *all* directories.
    """
    found = [name]
    template = template_of(name)
    if template is not None:
        found.extend(dropin_names(template))
    shorter = _cut_at_dash(name)
    if shorter is not None:
        found.extend(dropin_names(shorter))
    return tuple(dict.fromkeys(found))


def _cut_at_dash(name: str) -> str | None:
    """`foo-bar-.service` of `foo-bar-baz.service`, `foo-.service` of that; None when at the end.

    An instance keeps its instance; a template, tried on 252, becomes no template: `foo-.service`.
    """
    stem, _, suffix = name.rpartition(".")
    prefix, _, instance = stem.partition("@")
    cut = prefix.removesuffix("-").rpartition("-")[0]
    if not cut:
        return None
    return f"{cut}-@{instance}.{suffix}" if instance else f"{cut}-.{suffix}"


def sort_dropins(paths: Iterable[PurePosixPath]) -> tuple[PurePosixPath, ...]:
    """Drop-ins in the order in which systemd reads them; of equal file names the first alone.

    `paths` come in falling precedence: search path directory by directory, within one by
    `dropin_names`, then those of the aliases, then `service.d` of every directory. So a name in
    /etc/…/foo-.service.d hides the same name in /usr/lib/…/foo-bar.service.d.
    """
    first: dict[bytes, PurePosixPath] = {}
    for path in paths:
        first.setdefault(os.fsencode(path.name), path)
    return tuple(first[name] for name in sorted(first))
