"""/etc/wgconfine/NAME.toml and NAME.d/*.toml: text in, `Settings` or every problem at once out."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from wgconfine.config.conflicts import check_files
from wgconfine.config.digest import settings_digest
from wgconfine.config.escape import escape, holds_key, quote
from wgconfine.config.fragments import Fragment, merge
from wgconfine.config.places import place_of
from wgconfine.config.schema import KEYS, LIST_KEYS, Document, Finding, structure
from wgconfine.config.values import WrongValueError, read_tunnel_name
from wgconfine.model.errors import ProblemsFound
from wgconfine.model.ports import Inbound
from wgconfine.model.problem import Problem
from wgconfine.model.settings import (
    Backend,
    ConfCredential,
    ConfFile,
    EndpointOrder,
    HealthSettings,
    Inline,
    Ready,
    Settings,
    TunnelName,
    VerifySettings,
)

__all__ = ["parse_settings", "parse_tunnel_name"]


def parse_tunnel_name(text: str) -> TunnelName:
    """Read a tunnel's name, `[a-z0-9][a-z0-9-]{0,30}`. Raises ProblemsFound."""
    try:
        return read_tunnel_name(text)
    except WrongValueError as error:
        what = "not the name of a tunnel"
        raise ProblemsFound([Problem(where=quote(text), what=what, hint=error.hint)]) from None


def parse_settings(
    name: str, texts: Sequence[tuple[PurePosixPath, str | None]], unreadable: Iterable[Problem] = ()
) -> Settings:
    """Read the settings of a tunnel: NAME.toml first, then the files of NAME.d in their order.

    The text is None of those files that `unreadable` is about. Raises ProblemsFound with every
    problem of every file.
    """
    problems = list(unreadable)
    files: list[Fragment] = []
    try:
        parse_tunnel_name(name)
    except ProblemsFound as error:
        where = place_of(texts[0][0])
        problems.extend(
            replace(each, where=where, what=f"{each.where} is {each.what}")
            for each in error.problems
        )
    for position, (path, text) in enumerate(texts):
        if text is None:
            continue
        try:
            table = _load(path, text)
        except ProblemsFound as error:
            problems.extend(error.problems)
            continue
        findings = list(_not_lists(table)) if position else []
        wrong = {finding.path[0] for finding in findings}
        document, more = structure({key: table[key] for key in table if key not in wrong})
        problems.extend(_problem(path, finding) for finding in (*findings, *more))
        files.append(Fragment(path=path, table=table, document=document))
    problems.extend(check_files(files, complete=len(files) == len(texts)))
    if problems:
        raise ProblemsFound(problems)
    return _build(TunnelName(name), files, [text or "" for _, text in texts])


def _load(path: PurePosixPath, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        words = str(error)
    except RecursionError:
        words = "too deeply nested"
    except ValueError:  # int() refuses numbers of over 4300 digits
        words = "a number is too long"
    # Before Python 3.14, which has attributes for it, the line is in the message's last words.
    what, _, place = words.partition(" (at ")
    line = place.removeprefix("line ").partition(",")[0]
    if place.startswith("end of document"):
        line = str(text.count("\n") + 1)
    where = f"{place_of(path)}:{line}" if line else place_of(path)
    # Some messages name a key of the file, and a secret may have got into its place.
    what = "not TOML" if holds_key(what) else f"not TOML: {escape(what)}"
    # As in the name of a unit that was pasted.
    hint = "Put text with a backslash in single quotes" if "\\" in what else ""
    raise ProblemsFound([Problem(where=where, what=what, hint=hint)])


def _problem(path: PurePosixPath, finding: Finding) -> Problem:
    where = place_of(path, *finding.path)
    return Problem(where=where, what=finding.what, hint=finding.hint)


def _not_lists(table: Mapping[str, object]) -> Iterator[Finding]:
    for key in table:
        if key in KEYS and key not in LIST_KEYS:
            what = "this file can only add to lists"
            yield Finding(path=(key,), what=what, hint="Set it in the tunnel's own file")


def _source(document: Document) -> ConfFile | ConfCredential | Inline:
    if document.config is not None:
        return ConfFile(path=document.config)
    if document.config_credential is not None:
        return ConfCredential(name=document.config_credential)
    return Inline(
        address=document.address or (),
        peers=document.peer or (),
        private_key_file=document.private_key_file,
        private_key_credential=document.private_key_credential,
    )


def _build(name: TunnelName, files: Sequence[Fragment], texts: Iterable[str]) -> Settings:
    document = merge(files)
    return Settings(
        name=name,
        path=files[0].path,
        digest=settings_digest(texts),
        wireguard=_source(document),
        enable=document.enable is not False,
        services=document.services or (),
        backend=document.backend or Backend.AUTO,
        dns=document.dns,
        mtu=document.mtu,
        listen_port=document.listen_port,
        fwmark=document.fwmark,
        ready=document.ready or Ready.LINK,
        ready_timeout=document.ready_timeout or 90,
        reload_on_change=document.reload_on_change is True,
        encrypted_credentials=document.encrypted_credentials is True,
        endpoints=document.endpoints or (),
        endpoint_order=document.endpoint_order or EndpointOrder.LISTED,
        pin_endpoint=document.pin_endpoint is True,
        via=document.via,
        verify=document.verify or VerifySettings(),
        refinements=document.service or (),
        publish=document.publish or (),
        reach=document.reach or (),
        inbound=document.inbound or Inbound(),
        health=document.health or HealthSettings(),
        outbound_deny=document.outbound.deny if document.outbound else (),
    )
