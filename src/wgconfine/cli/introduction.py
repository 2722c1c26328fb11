"""What `init` says of a .conf, and what may be done next. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from wgconfine.config.conf import Conf
from wgconfine.config.confcopy import LeftOut
from wgconfine.model.settings import Settings, TunnelName, UnitName
from wgconfine.runtime.link import endpoint_text

__all__ = ["next_steps", "read_from", "undo", "unfinished_words"]


def read_from(where: str, conf: Conf, left_out: Iterable[LeftOut]) -> Iterator[str]:
    """Give what was read of a .conf at `where`, and what of it will not count."""
    peers = "1 peer" if len(conf.peers) == 1 else f"{len(conf.peers)} peers"
    called = [endpoint_text(*peer.endpoint) for peer in conf.peers if peer.endpoint]
    yield f"{where}: {peers}, at {', '.join(called) or 'no endpoint'}"
    yield f"  addresses {', '.join(conf.addresses)}; resolvers {', '.join(conf.dns) or 'none'}"
    for each in left_out:
        yield f"  line {each.line}: {each.key} is left out: {each.why}"
    for warning in conf.warnings:
        yield f"  line {warning.line}: {warning}"


def next_steps(settings: Settings) -> Iterator[str]:
    """Give the commands that a person may want now."""
    name = settings.name
    yield "Next:"
    yield from _table([
        (f"wgconfine status {name}", "how it is"),
        (f"wgconfine verify {name}", "prove it again; a timer does so every 15 minutes"),
        (f"wgconfine confine {name} UNIT", "put another service into it"),
        (f"wgconfine logs {name}", "what happened"),
        (undo(name, settings.services), "undo all of this"),
    ])  # fmt: skip


def undo(name: TunnelName, services: Sequence[UnitName]) -> str:
    """Give the command that takes away what `init` made; services run in the open after it."""
    release = " --release" if services else ""
    return f"wgconfine remove {name}{release} --purge"


def unfinished_words(settings: Settings) -> Iterator[str]:
    """Give what is there, and what can be done, where not all of it came to its end."""
    yield f"[!] Not all of it is done. The settings are in {settings.path}."
    if settings.services:
        yield "    A service that was stopped stays so until then: none was started in the open."
    yield from _table([
        ("wgconfine apply", "go on, once it is mended"),
        (undo(settings.name, settings.services), "undo it"),
    ])  # fmt: skip


def _table(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    width = max(len(command) for command, _ in rows)
    for command, words in rows:
        yield f"  {command:<{width}}  {words}"
