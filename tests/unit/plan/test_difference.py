"""How installed and desired files differ."""

from pathlib import PurePosixPath

from wgconfine.model.tree import File, Link, Tree
from wgconfine.plan.difference import Change, ChangeKind, compare, unified

A, B, C, D = (PurePosixPath(f"/etc/{name}") for name in "abcd")


def file(path: PurePosixPath, text: str = "x\n", mode: int = 0o644) -> File:
    return File(path=path, text=text, mode=mode)


def test_compare() -> None:
    """What is missing, differs or is too much is a change, in the order of the paths."""
    desired: Tree = {D: file(D), B: file(B, "new\n"), A: file(A)}
    installed: Tree = {A: file(A), B: file(B), C: file(C)}
    expected = [(ChangeKind.UPDATE, B), (ChangeKind.REMOVE, C), (ChangeKind.CREATE, D)]
    assert expected == [(change.kind, change.path) for change in compare(desired, installed)]


def test_mode_is_a_change() -> None:
    """Another mode alone is a change, and its text says so."""
    (change,) = compare({A: file(A, mode=0o600)}, {A: file(A)})
    assert "+(mode 0600)" in unified(change).splitlines()


def test_nothing_to_change() -> None:
    """Equal trees give no change."""
    assert () == compare({A: file(A)}, {A: file(A)})


def test_unified_update() -> None:
    """An update is shown as `diff -u` shows it."""
    (change,) = compare({A: file(A, "1\n3\n")}, {A: file(A, "1\n2\n")})
    assert unified(change) == "--- a/etc/a\n+++ b/etc/a\n@@ -1,2 +1,2 @@\n 1\n-2\n+3\n"


def test_unified_creation_of_a_link() -> None:
    """A creation comes from /dev/null, and a link says where it points."""
    link = Link(path=A, target=B)
    change = Change(kind=ChangeKind.CREATE, path=A, before=None, after=link)
    assert unified(change) == "--- /dev/null\n+++ b/etc/a\n@@ -0,0 +1 @@\n+(link to /etc/b)\n"
    assert change.describe() == "create /etc/a"
