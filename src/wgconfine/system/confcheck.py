"""Check the .conf and key files of the settings where they are there already. Keeps no secret."""

import os
from collections.abc import Iterable
from pathlib import PurePosixPath

from wgconfine.config.check import check_conf, parse_conf
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.problem import Problem
from wgconfine.model.settings import ConfFile, Settings
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.record import read_key
from wgconfine.runtime.trusted import read_trusted

__all__ = ["check_sources"]

HIDDEN_PLACES = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 — refused


def check_sources(tunnels: Iterable[Settings]) -> list[Problem]:
    """Give every problem of every secret file that exists; one that comes later is read then."""
    return [problem for settings in tunnels for problem in check_source(settings)]


def check_source(settings: Settings) -> list[Problem]:
    source = settings.wireguard
    if isinstance(source, ConfFile):
        paths = {"config": source.path}
    else:
        keys = [source.private_key_file, *(peer.preshared_key_file for peer in source.peers)]
        paths = {f"key file {path}": path for path in keys if path is not None}
    problems = []
    for key, path in paths.items():
        if str(path).startswith(HIDDEN_PLACES):
            what = f"{path} can't be seen by the tunnel's unit, which has no access to such places"
            hint = "Put it into /etc/wireguard"
            problems.append(Problem(where=f"{settings.path}: {key}", what=what, hint=hint))
        elif os.path.lexists(path):
            problems += check_file(settings, path)
    return problems


def check_file(settings: Settings, path: PurePosixPath) -> list[Problem]:
    try:
        if not isinstance(settings.wireguard, ConfFile):
            read_key(str(path))
            return []
        conf = parse_conf(path, read_trusted(str(path), secret=True), settings)
    except ProblemsFound as found:
        return list(found.problems)
    except Failure as failure:
        where, _, what = str(failure).partition(": ")
        return [Problem(where=where, what=what.rstrip("."))]
    return check_conf(conf, settings, path)
