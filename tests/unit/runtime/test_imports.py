"""The import budget: a tunnel starts in the time of a few Python imports (design.md)."""

import os
import subprocess  # noqa: TID253 — a test may take its time
import sys
from pathlib import Path

import pytest

import wgconfine

SOURCE = Path(wgconfine.__file__).parents[1]

CORE = {
    "__future__", "__main__", "_collections_abc", "_frozen_importlib",
    "_frozen_importlib_external", "abc", "codecs", "encodings", "genericpath", "io", "os",
    "posixpath", "stat", "types", "wgconfine", "zipimport", "_weakrefset", "zlib", "_zlib",
}  # fmt: skip
"""What a Python without site has imported anyway, and `types`."""
JSON = {"_json"}
"""NAME.json is read by the scanner of json alone: json itself brings re, 5.7 ms."""
CTYPES = {"_ctypes", "ctypes", "struct", "_struct"}
"""setns(2): os.setns comes with Python 3.12 only."""
SOCKET = {
    "socket", "selectors", "_socket", "select", "math", "errno", "array", "enum", "collections",
    "functools", "keyword", "operator", "reprlib", "_operator", "_functools",
}  # fmt: skip
"""getaddrinfo(3): the look-up of endpoints is not on the way of a start."""
ADDRESSES = {
    "ipaddress", "functools", "collections", "keyword", "operator", "reprlib", "_operator",
    "_functools",
}  # fmt: skip
"""Networks as the settings have them: for a published port, not on the way of a start either."""
FLOCK = {"fcntl"}
LISTEN = {"_socket", "select"}
"""The sockets that systemd listens at, without the module that makes them."""

BUDGET = {
    "netns-up": CORE | CTYPES,
    "netns-down": CORE | CTYPES,
    "up": CORE | CTYPES | JSON | FLOCK,
    "reload": CORE | CTYPES | JSON | FLOCK,
    "down": CORE | CTYPES | JSON | FLOCK,
    "paths-up": CORE | CTYPES | JSON | FLOCK,
    "paths-down": CORE | CTYPES | JSON | FLOCK,
    "resume": CORE | JSON,
    "clear": CORE | CTYPES | JSON,
    "switch-up": CORE | CTYPES,
    "switch-down": CORE | CTYPES,
    "endpoint": CORE | CTYPES | JSON | FLOCK | SOCKET,
    "ready": CORE | CTYPES | JSON | FLOCK,
    "changed": CORE | JSON,
    "rebind": CORE | CTYPES | JSON | FLOCK,
    "unlink": CORE | CTYPES | JSON | FLOCK,
    "pass-on": CORE | CTYPES | JSON | FLOCK,
    "tick": CORE | CTYPES | JSON | FLOCK,
    "admits": CORE | CTYPES | ADDRESSES,
    "look": CORE | CTYPES | JSON | FLOCK | LISTEN,
    "look-outside": CORE | CTYPES | JSON | FLOCK | LISTEN,
    "name": CORE | CTYPES,
}

PROGRAM = """\
import sys
sys.path.insert(0, sys.argv[1])
from wgconfine.runtime.__main__ import OF_THE_HOST, VERBS, find
find(*(VERBS | OF_THE_HOST)[sys.argv[2]])
builtin = set(sys.builtin_module_names)
print("\\n".join({name.partition(".")[0] for name in sys.modules} - builtin))
"""


@pytest.mark.parametrize("verb", sorted(BUDGET))
def test_a_verb_imports_no_more_than_its_budget(verb: str) -> None:
    """Nothing is imported that is not written down here with its reason."""
    # Without site, whose .pth files differ from one installation to another.
    argv = [sys.executable, "-I", "-S", "-c", PROGRAM, os.fspath(SOURCE), verb]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)

    assert set() == set(done.stdout.split()) - BUDGET[verb]


def test_every_verb_has_a_budget() -> None:
    """A new verb of the runtime gets its line here."""
    from wgconfine.runtime.__main__ import OF_THE_HOST, VERBS  # noqa: PLC0415 — only this test needs it

    assert sorted(BUDGET) == sorted((*VERBS, *OF_THE_HOST))
