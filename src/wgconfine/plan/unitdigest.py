"""What tells whether a unit is still the one that its drop-in was written for. Pure."""

from __future__ import annotations

import os

from wgconfine.model.sha256 import sha256_of
from wgconfine.model.tree import MARK
from wgconfine.render.places import closing_path, dropin_path

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wgconfine.model.names import UnitName
    from wgconfine.model.unittext import UnitText

__all__ = ["MARK_WITHIN", "digest_of", "foreign_texts", "is_ours", "without_comments"]

MARK_WITHIN = 200
"""Our mark stands within this many first bytes of a file of ours."""


def is_ours(text: str) -> bool:
    """Whether a file's text carries our mark where a file of ours has it."""
    return MARK.encode() in text[:MARK_WITHIN].encode(errors="surrogateescape")[:MARK_WITHIN]


def without_comments(text: str) -> list[str]:
    """The lines of a file of ours that count: of a drop-in all but the digest of its unit."""
    return [line for line in text.splitlines() if not line.startswith("#")]


def foreign_texts(name: UnitName, texts: Sequence[UnitText]) -> tuple[UnitText, ...]:
    """The files of a unit less the two of ours, at their places: anybody can write our mark."""
    places = {dropin_path(name), closing_path(name)}
    return tuple(text for text in texts if not (text.path in places and is_ours(text.text)))


def digest_of(texts: Iterable[UnitText]) -> str:
    """The SHA-256 (hex) over the files of a unit, their paths and order among it."""
    data = b""
    for text in texts:
        for field in (os.fspath(text.path), text.text):
            encoded = field.encode(errors="surrogateescape")
            data += b"%d:" % len(encoded) + encoded  # the length keeps fields apart
    return sha256_of(data)
