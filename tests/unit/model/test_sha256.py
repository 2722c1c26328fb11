"""SHA-256 as hashlib has it."""

import hashlib

import pytest

from wgconfine.model import sha256 as module


@pytest.mark.parametrize("data", [b"", b"abc", b"\0" * 1000])
def test_it_is_the_same(data: bytes) -> None:
    """Whichever module it comes from."""
    assert hashlib.sha256(data).hexdigest() == module.sha256_of(data)


def test_hashlib_is_there_for_want_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python may be built without its own."""
    monkeypatch.setattr(module, "MODULES", ("_no_such_module", "hashlib"))
    assert hashlib.sha256(b"abc").hexdigest() == module.sha256_of(b"abc")


def test_a_python_without_any_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can't be made up for."""
    monkeypatch.setattr(module, "MODULES", ("no_such_module",))
    with pytest.raises(ImportError, match="this Python has no SHA-256"):
        module.sha256_of(b"")
