"""What tells whether settings are still those that were applied."""

from __future__ import annotations

from wgconfine.model.sha256 import sha256_of

TYPE_CHECKING = False  # the idiom that saves importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["settings_digest"]


def settings_digest(texts: Iterable[str]) -> str:
    """Give the SHA-256 (hex) of the texts of NAME.toml and the files of NAME.d, in their order."""
    # A NUL cannot be in TOML: so no text can move from one file to the next unnoticed.
    return sha256_of("\0".join(texts).encode(errors="surrogatepass"))
