"""Small files below /run that are whole or as they were before."""

from __future__ import annotations

import os

from wgconfine.runtime import paths


def read_state(path: str) -> str:
    """Give what was kept; nothing where nothing was."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def is_up(name: str) -> bool:
    """Tell whether a tunnel is configured, and not stopped since."""
    return bool(read_state(f"{paths.tunnel_state(name)}/{paths.IN_FORCE}"))


def write_state(path: str, text: str, *, mode: int = 0o644) -> None:
    """Keep a text, whatever the umask. Not synced: /run does not outlive a power cut."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(f"{path}.new", flags, mode)
    with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
    os.replace(f"{path}.new", path)
