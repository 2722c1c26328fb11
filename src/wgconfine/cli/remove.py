"""`wgconfine remove NAME`: take a tunnel away. Its services stay closed unless released too."""

from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from wgconfine.cli.apply import approve, carry_out
from wgconfine.cli.release import confirm_release, remove_from_settings, without
from wgconfine.cli.survey import survey
from wgconfine.config.edit import set_enable
from wgconfine.model.errors import ExitCode, OperationFailed
from wgconfine.model.settings import ConfFile, Settings
from wgconfine.system.lock import apply_lock
from wgconfine.system.sources import PLACE, below, fragments_of, load_all, write_settings

__all__ = ["run_remove"]


def run_remove(
    root: Path, name: str, *, release: bool, purge: bool, yes: bool, python: PurePosixPath | None
) -> ExitCode:
    """Stop the tunnel and take its files away. Keeps the settings, with `enable = false`, and keys.

    `release` lets its services run in the open again; without it they refuse to start until
    somebody releases them. `purge` deletes the settings too, and keys that lie in /etc/wgconfine.
    """
    with apply_lock(root):
        tunnels = load_all(root)
        settings = next((each for each in tunnels if each.name == name), None)
        record = below(root, PLACE / f"{name}.json")
        if settings is None and not record.exists():
            raise OperationFailed(name, "there is no tunnel of that name in /etc/wgconfine")
        services = set(settings.services) if settings is not None and release else set()
        confirm_release(services, yes=yes)
        # What is wrong elsewhere is found, and a person asked, before the settings change.
        edits = [replace(without(settings, services), enable=False)] if settings else []
        approve(survey(root, python=python, released=services, edits=edits), yes=yes)
        remove_from_settings(root, tunnels, services)
        if settings is not None:
            write_settings(root, settings.path, partial(set_enable, enable=False))
        done = carry_out(survey(root, python=python, released=services), root, yes=True)
        if settings is not None and purge:
            delete_settings(root, settings)
    return done


def delete_settings(root: Path, settings: Settings) -> None:
    """Delete the settings, and the keys that lie beside them: other places are their owner's."""
    paths = [settings.path, *fragments_of(root, settings.path)]
    source = settings.wireguard
    if isinstance(source, ConfFile):
        paths.append(source.path)
    else:
        keys = [source.private_key_file, *(peer.preshared_key_file for peer in source.peers)]
        paths += [path for path in keys if path is not None]
    for path in paths:
        if path.is_relative_to(PLACE):
            below(root, path).unlink(missing_ok=True)
