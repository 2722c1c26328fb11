"""The files that settings of a tunnel are made of, each read, and what they come to together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import PurePosixPath
from typing import TypeVar

from wgconfine.config.ports import in_order
from wgconfine.config.schema import Document, OutboundTable
from wgconfine.model.ports import Inbound

__all__ = ["Fragment", "given_keys", "merge"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A file of settings; `table` is what TOML made of it, `document` what is right in that."""

    path: PurePosixPath
    table: Mapping[str, object]
    document: Document


def given_keys(files: Iterable[Fragment]) -> dict[str, PurePosixPath]:
    """Give the keys that are there, right or wrong, and the first file of each."""
    given: dict[str, PurePosixPath] = {}
    for file in files:
        for key in file.table:
            given.setdefault(key, file.path)
    return given


def merge(files: Sequence[Fragment]) -> Document:
    """Give what all files say together: their lists joined, the rest as the first one has it."""
    documents = [file.document for file in files]
    inbound = [document.inbound for document in documents if document.inbound]
    return replace(
        documents[0] if documents else Document(),
        services=_joined(document.services for document in documents),
        address=_joined(document.address for document in documents),
        peer=_joined(document.peer for document in documents),
        dns=_joined(document.dns for document in documents),
        service=_joined(document.service for document in documents),
        publish=_joined(document.publish for document in documents),
        reach=_joined(document.reach for document in documents),
        endpoints=_joined(document.endpoints for document in documents),
        inbound=Inbound(
            tcp=in_order(port for each in inbound for port in each.tcp),
            udp=in_order(port for each in inbound for port in each.udp),
        ),
        outbound=OutboundTable(
            deny=_joined(each.outbound.deny for each in documents if each.outbound) or ()
        ),
    )


def _joined(lists: Iterable[tuple[_T, ...] | None]) -> tuple[_T, ...] | None:
    """Join the lists that are there, each value once."""
    there = [values for values in lists if values is not None]
    return tuple(dict.fromkeys(chain.from_iterable(there))) if there else None
