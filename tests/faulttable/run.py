"""Faults on one machine, one after the other; a machine that is not well any more is replaced."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from lab import CommandFailed
from tests.faulttable.bench import Bench, NotWellError
from tests.faulttable.fault import Fault, Found, Place

__all__ = ["Runner", "run_faults"]


class Runner:
    """Tries faults on a machine of a place. Leave the context, and it is gone."""

    def __init__(self, place: Place, wheelhouse: Path) -> None:
        self._place, self._wheelhouse = place, wheelhouse
        self._stack = ExitStack()
        self._bench: Bench | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.throw_away()

    def throw_away(self) -> None:
        self._stack.close()
        self._bench = None

    def bench(self) -> Bench:
        if self._bench is None:
            self._bench = self._stack.enter_context(Bench.boot(self._place, self._wheelhouse))
        return self._bench

    def run(self, fault: Fault) -> Found:
        """What becomes of it, on another machine where the last fault has spoilt the one before."""
        try:
            return self._try(fault)
        except NotWellError:
            self.throw_away()
            try:
                return self._try(fault)
            except NotWellError as error:
                self.throw_away()
                return Found(failed=str(error))

    def _try(self, fault: Fault) -> Found:
        found = self.bench().try_fault(fault)
        try:
            if not found.failed:
                fault.restore(self.bench())
                return found
        except CommandFailed:
            pass  # the next fault shall not suffer from that
        self.throw_away()
        return found


def run_faults(
    place: Place, faults: Iterable[Fault], wheelhouse: Path
) -> Iterator[tuple[Fault, Found]]:
    """Try the faults that can happen there."""
    with Runner(place, wheelhouse) as runner:
        for fault in faults:
            if fault.applies(place):
                yield fault, runner.run(fault)
