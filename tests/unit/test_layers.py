"""Imports go one way: design.md, "Layers and imports"."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import wgconfine

SOURCE = Path(wgconfine.__file__).parent
SHARED = {f"config.{name}" for name in ("wgquick", "literal", "escape", "conf", "entries", "holes")}
"""What the runtime may have of config/: modules that import nothing but each other."""

ALLOWED: dict[str, set[str]] = {
    "model": set(),
    "runtime": SHARED,
    "config": {"model"},
    "render": {"model", "runtime.journal"},
    "plan": {"model", "render", "config.escape", "config.holes"},
    "system": {"model", "config", "render", "plan", "runtime"},
    "verify": {"model", "config", "render", "plan", "runtime", "system"},
    "doctor": {"model", "config", "render", "plan", "runtime", "system"},
    "report": {"model", "config.escape"},
    "cli": {"model", "config", "render", "plan", "runtime", "system", "verify", "doctor", "report"},
}


def imports(path: Path) -> Iterator[str]:
    """Everything that a file imports, wherever in it, with what it takes from there."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{each.name}" for each in names)
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case _:
                continue


def ours(path: Path) -> set[str]:
    found = (name.removeprefix("wgconfine.") for name in imports(path) if "wgconfine." in name)
    return {".".join(name.split(".")[:2]) for name in found if name != "__version__"}


def modules(layer: str) -> list[Path]:
    return sorted((SOURCE / layer).rglob("*.py"))


@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_a_layer_imports_only_what_is_below_it(layer: str) -> None:
    """Every import of another layer stands in the table."""
    foreign = {
        f"{path.name}: {name}"
        for path in modules(layer)
        for name in ours(path)
        if name.partition(".")[0] != layer
        if not {name, name.partition(".")[0]} & ALLOWED[layer]
    }

    assert set() == foreign


def test_every_directory_is_a_layer() -> None:
    """A new directory of the package gets its line in the table."""
    assert sorted(ALLOWED) == sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))


def test_the_table_has_no_cycle() -> None:
    """Each layer stands below those that may import it; `SHARED` counts as below everything."""
    below = {layer: {each for each in ALLOWED[layer] if "." not in each} for layer in ALLOWED}
    done: set[str] = set()
    while done != set(below):
        free = {layer for layer in set(below) - done if below[layer] <= done}
        assert free, f"a cycle among {sorted(set(below) - done)}"
        done |= free


@pytest.mark.parametrize("name", sorted(SHARED))
def test_what_the_runtime_shares_imports_nothing_else(name: str) -> None:
    """The shared modules of config/ import each other and nothing more of wgconfine."""
    path = SOURCE / f"{name.replace('.', '/')}.py"

    assert set() == ours(path) - SHARED
