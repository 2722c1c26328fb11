"""Check the .conf and key files of the settings where they are there already. Keeps no secret."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from wgconfine.config.check import (
    PrivateKey,
    check_conf,
    check_keys,
    parse_conf,
    private_key,
    remarks_on_inbound,
)
from wgconfine.config.places import place_of
from wgconfine.config.via import check_way
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.problem import Problem
from wgconfine.model.settings import ConfCredential, ConfFile, Inline, Settings
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.process import find
from wgconfine.runtime.record import read_key
from wgconfine.runtime.trusted import read_trusted
from wgconfine.system.sources import problem_of

__all__ = ["Findings", "check_sources"]

# The tunnel's unit has PrivateDevices=, ProtectHome= and PrivateTmp=.
HIDDEN_PLACES = ("/dev/", "/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 — refused
TOPS = ("/etc", "/run", "/usr/local/lib", "/usr/lib")
STORES = ("/run/credentials/@system", *(f"{top}/credstore" for top in TOPS))
"""Where systemd looks for LoadCredential=NAME, first to last."""
ENCRYPTED_STORES = (
    "/run/credentials/@encrypted",
    *(f"{top}/credstore.encrypted" for top in TOPS),
)
"""Likewise for LoadCredentialEncrypted=NAME, which it alone can read."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong, what is merely worth a word, and what could not be looked at without root."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    unseen: list[PurePosixPath] = field(default_factory=list)


def check_sources(
    tunnels: Iterable[Settings], written: Mapping[PurePosixPath, bytes] | None = None
) -> Findings:
    """Look at every secret file that exists; one that comes later is read and judged then.

    `written` has those that this very command is going to write.
    """
    coming = written or {}
    findings = Findings()
    keys: list[PrivateKey] = []
    tunnels = list(tunnels)
    known = {each.name: each for each in tunnels}
    for settings in tunnels:
        outer = known.get(settings.via) if settings.via else None
        for key, path in secret_files(settings):
            if str(path).startswith(HIDDEN_PLACES):
                findings.problems.append(hidden(settings, key, path))
            elif path not in coming and not may_look(path):
                findings.unseen.append(path)
            elif path in coming or os.path.lexists(path):
                found = check_file(settings, key, path, findings, outer, coming=coming.get(path))
                keys += [found] if found is not None and settings.enable else []
        findings.problems.extend(check_forms(settings))
        findings.problems.extend(check_proxy(settings))
        if isinstance(settings.wireguard, Inline):
            findings.warnings.extend(remarks_on_inbound(settings, settings.wireguard.peers))
            findings.problems.extend(check_way(settings, outer, settings.wireguard.peers))
    findings.problems.extend(check_keys(keys))
    return findings


def check_proxy(settings: Settings) -> list[Problem]:
    """Name the program that a line of the settings needs and this machine lacks."""
    wanting = [each.unit for each in settings.refinements if each.allow_bus]
    try:
        if wanting:
            find("xdg-dbus-proxy")
    except Failure:
        return [
            Problem(
                where=place_of(settings.path, "service", unit, "allow-bus"),
                what="it needs xdg-dbus-proxy, which is not there",
                hint="Install the package xdg-dbus-proxy",
            )
            for unit in wanting
        ]
    return []


Key = tuple[str | int, ...]
"""The place of a value in the settings: keys, and positions in lists."""


def secret_files(settings: Settings) -> list[tuple[Key, PurePosixPath]]:
    """Give the files that hold secrets and can be read, and where the settings lead to each."""
    found: list[tuple[Key, PurePosixPath | None]] = []
    match settings.wireguard:
        case ConfFile(path=path):
            found = [(("config",), path)]
        case Inline(private_key_file=path, peers=peers):
            found = [(("private-key-file",), path)]
            found += [
                (("peer", index, "preshared-key-file"), peer.preshared_key_file)
                for index, peer in enumerate(peers)
            ]
        case ConfCredential():
            pass
    if not settings.encrypted_credentials:
        found += [(key, place_in(STORES, name)) for key, name in credentials(settings)]
    return [(key, path) for key, path in found if path is not None]


def credentials(settings: Settings) -> list[tuple[Key, str]]:
    """Give the names of credentials, and where the settings name each."""
    found: list[tuple[Key, str | None]] = []
    match settings.wireguard:
        case ConfCredential(name=name):
            found = [(("config-credential",), name)]
        case Inline(private_key_credential=name, peers=peers):
            found = [(("private-key-credential",), name)]
            found += [
                (("peer", index, "preshared-key-credential"), peer.preshared_key_credential)
                for index, peer in enumerate(peers)
            ]
        case ConfFile():
            pass
    return [(key, name) for key, name in found if name is not None]


def place_in(stores: Iterable[str], name: str) -> PurePosixPath | None:
    """Give the file that a credential will come from, where that is known already."""
    paths = [PurePosixPath(place, name) for place in stores]
    return next((path for path in paths if not may_look(path) or os.path.lexists(path)), None)


def check_forms(settings: Settings) -> list[Problem]:
    """Name each credential that lies there in the other form only: systemd takes the one or the
    other.
    """
    ours, others = STORES, ENCRYPTED_STORES
    if settings.encrypted_credentials:
        ours, others = others, ours
    return [
        Problem(
            where=place_of(settings.path, *key),
            what=f"{found} is {'not ' if settings.encrypted_credentials else ''}encrypted",
            hint="Encrypt it with systemd-creds encrypt, or take encrypted-credentials away"
            if settings.encrypted_credentials
            else "Write encrypted-credentials = true",
        )
        for key, name in credentials(settings)
        if place_in(ours, name) is None
        and (found := place_in(others, name)) is not None
        and os.path.lexists(found)
    ]


def hidden(settings: Settings, key: Key, path: PurePosixPath) -> Problem:
    return Problem(
        where=place_of(settings.path, *key),
        what=f"the tunnel's unit has no access to {path}",
        hint="Put it into /etc/wireguard",
    )


def may_look(path: PurePosixPath) -> bool:
    """Tell whether this user sees what is there: without root /etc/wireguard is closed."""
    try:
        os.lstat(path)
    except PermissionError:
        return False
    except OSError:
        return True
    return os.access(path, os.R_OK)


def check_file(
    settings: Settings,
    key: Key,
    path: PurePosixPath,
    findings: Findings,
    outer: Settings | None = None,
    *,
    coming: bytes | None = None,
) -> PrivateKey | None:
    """Check what is at `key` of the settings; gives the private key if that is one.

    `outer` is the tunnel that this one goes through, `coming` what a .conf is going to have in it.
    """
    try:
        if isinstance(settings.wireguard, Inline):
            text = read_key(str(path))
            ours = key[0] != "peer"
            return private_key(settings, place_of(settings.path, *key), text) if ours else None
        data = read_trusted(str(path), secret=True) if coming is None else coming
        conf = parse_conf(path, data, settings)
    except ProblemsFound as found:
        findings.problems.extend(found.problems)
    except Failure as failure:
        findings.problems.append(problem_of(failure))
    else:
        findings.problems.extend(check_conf(conf, settings, path))
        findings.problems.extend(check_way(settings, outer, conf.peers))
        findings.warnings.extend(remarks_on_inbound(settings, conf.peers))
        findings.warnings.extend(
            Problem(where=f"{place_of(path)}:{each.line}", what=each.what, hint=each.hint)
            for each in conf.warnings
        )
        if conf.private_key is not None:
            where = f"{place_of(path)}:{conf.lines['PrivateKey']}"
            return private_key(settings, where, conf.private_key)
    return None
