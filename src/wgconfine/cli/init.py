"""`wgconfine init CONF --name NAME`: from a provider's .conf to a tunnel with services inside."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath

from wgconfine.cli.apply import carry_out
from wgconfine.cli.dialogue import UNCHANGED, CutOff, complain, confirm
from wgconfine.cli.draft import Draft, Wanted, draft_of
from wgconfine.cli.introduction import next_steps, unfinished_words
from wgconfine.cli.survey import survey
from wgconfine.cli.verify import verify_after_apply
from wgconfine.model.errors import ExitCode, NeedsRoot
from wgconfine.plan.outline import outlined
from wgconfine.plan.steps import Step
from wgconfine.system.installed import LIVE
from wgconfine.system.lock import apply_lock
from wgconfine.system.sources import below, create_file
from wgconfine.system.unfinished import keep_unfinished, read_unfinished

__all__ = ["run_init"]


def run_init(wanted: Wanted) -> ExitCode:
    """Make a tunnel: settings, plan, a person's word, apply, verify, and what may be done next.

    Nothing is written before that word, which is asked for on a terminal alone. Raises as
    `draft_of` and `survey`.
    """
    if os.geteuid() != 0:
        raise NeedsRoot("This changes the machine: run it as root.")
    may_ask = not wanted.yes and sys.stdin.isatty()
    try:
        draft = draft_of(wanted, may_ask=may_ask)
    except KeyboardInterrupt as error:
        say_unchanged(error)
        raise
    settings = draft.settings
    with apply_lock(LIVE, complain), what_is_there(draft):
        look = partial(survey, LIVE, earlier=read_unfinished(LIVE))
        found = look(edits=[settings], written=draft.written())
        show(draft, found.steps)
        if may_ask:
            confirm("Do it?")
        write(draft)
        keep_unfinished(LIVE, found.unfinished)
        carry_out(look(again=True), LIVE, yes=True)
    code = verify_after_apply([settings.name])
    print(*next_steps(settings), sep="\n")
    return code


@contextmanager
def what_is_there(draft: Draft) -> Iterator[None]:
    """Say what is there by now, and how to go on or back, where it ends early."""
    try:
        yield
    except BaseException as error:
        if holds(draft.settings.path, draft.text.encode()):
            complain(*unfinished_words(draft.settings))
        elif isinstance(error, KeyboardInterrupt):
            say_unchanged(error)
        raise


def say_unchanged(error: KeyboardInterrupt) -> None:
    """Say it of a Ctrl-C between two questions; at one it has been said."""
    if not isinstance(error, CutOff):
        complain(f"\n{UNCHANGED}")


def show(draft: Draft, steps: Sequence[Step]) -> None:
    """Say what is going to be done."""
    lines = []
    if draft.data is not None:
        lines.append(f"create {draft.conf}  (a copy that root alone can read)")
    if not draft.is_there():
        lines.append(f"create {draft.settings.path}  (the settings, with comments)")
    lines += filter(None, outlined(steps))
    complain("What will be done:", *(f"  {line}" for line in lines or ("nothing: it is done",)))


def write(draft: Draft) -> None:
    """Write the .conf and then the settings, or neither."""
    try:
        if draft.data is not None:
            create_file(LIVE, draft.conf, draft.data, 0o600)
        if not draft.is_there():
            create_file(LIVE, draft.settings.path, draft.text.encode(), 0o644)
    except BaseException:
        # Whatever stood in the way has another content.
        if draft.data is not None and holds(draft.conf, draft.data):
            below(LIVE, draft.conf).unlink()
        raise


def holds(path: PurePosixPath, data: bytes) -> bool:
    try:
        return below(LIVE, path).read_bytes() == data
    except OSError:
        return False
