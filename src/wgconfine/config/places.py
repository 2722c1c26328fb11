"""How a message names a place in a file."""

from os import fspath
from pathlib import PurePosixPath

from wgconfine.config.escape import HIDDEN, escape, holds_key

__all__ = ["place_of"]

_KEY_MAX = 40


def place_of(path: PurePosixPath, *keys: str | int) -> str:
    """Give `FILE`, or `FILE: KEY.PATH`; positions in lists count from 0: `peer[1].endpoint`.

    A key with a dot is in quotes, as TOML wants it: `service."x.service"`.
    """
    dotted = ""
    for key in keys:
        dotted += f"[{key}]" if isinstance(key, int) else f".{_shown(key)}"
    file = escape(fspath(path))
    return f"{file}: {dotted.removeprefix('.')}" if keys else file


def _shown(key: str) -> str:
    if holds_key(key):
        return HIDDEN
    shown = escape(key if len(key) <= _KEY_MAX else key[: _KEY_MAX - 1] + "…")
    return f'"{shown}"' if "." in shown else shown
