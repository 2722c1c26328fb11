"""`wgconfine status --watch`: the state again and again, in place on a terminal."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from wgconfine.cli.dialogue import coloured, columns, complain, has_screen, width
from wgconfine.cli.status import current_status, narrowed
from wgconfine.config.escape import escape
from wgconfine.model.errors import ExitCode, WgconfineError
from wgconfine.model.status import Status
from wgconfine.report import status as words
from wgconfine.report.paint import painted
from wgconfine.report.watch import fitted, with_rates

__all__ = ["Look", "run_watch", "screenful"]

# The other screen of a terminal, which has its own again afterwards; and no cursor meanwhile.
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
CLEAR = "\x1b[H\x1b[J"
LEAST_PAUSE = 0.1
"""Seconds; where a look takes longer than it is asked for."""
NOTICED = {signal.SIGWINCH, signal.SIGTSTP}
"""Another size of the terminal, and Ctrl-Z."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen, and said of it; `at` is in seconds of a clock that does not jump.

    `status` is None where nothing could be seen.
    """

    status: Status | None
    said: tuple[str, ...]
    at: float


class Ended(BaseException):
    """A signal that ends this, once the terminal is as it was."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def run_watch(names: Sequence[str], seconds: float, *, as_json: bool) -> ExitCode:
    """Show the named tunnels, or all, every so many seconds until Ctrl-C.

    In place on a terminal; elsewhere one block after the other, or one line of JSON. Raises
    WgconfineError where the first look fails; later ones may, and it goes on.
    """
    with suppress(KeyboardInterrupt):
        first = take(names)
        if as_json or not has_screen():
            follow(first, names, seconds, print_json if as_json else print_block)
        else:
            redraw(first, names, seconds)
    return ExitCode.OK


def take(names: Sequence[str], before: Look | None = None) -> Look:
    """Look, and give rates where there was a look before. Raises WgconfineError."""
    said: list[str] = []
    status = narrowed(current_status(said.append), names)
    at = time.monotonic()
    if before is not None and before.status is not None:
        status = with_rates(status, before.status, at - before.at)
    return Look(status=status, said=tuple(said), at=at)


def take_again(names: Sequence[str], before: Look) -> Look:
    try:
        return take(names, before)
    except WgconfineError as error:  # systemd may be away for a moment, or a tunnel gone
        return Look(status=None, said=(str(error),), at=time.monotonic())


def follow(
    look: Look, names: Sequence[str], seconds: float, show: Callable[[Status], None]
) -> None:
    """Print what is seen, and on standard error what is said of it, for ever."""
    while True:
        began = time.monotonic()
        complain(*look.said)
        if look.status is not None:
            show(look.status)
            sys.stdout.flush()
        time.sleep(max(LEAST_PAUSE, began + seconds - time.monotonic()))
        look = take_again(names, look)


def heading(seconds: float) -> str:
    return f"wgconfine status, every {seconds:g} s, {time.strftime('%H:%M:%S')}"


def print_json(status: Status) -> None:
    print(words.as_json(status, indent=None))


def print_block(status: Status) -> None:
    print(
        time.strftime("%Y-%m-%dT%H:%M:%S%z"), words.as_text(status, width=columns()), "", sep="\n"
    )


def redraw(look: Look, names: Sequence[str], seconds: float) -> None:
    """Draw it on a screen of its own for ever; anew where the terminal changes its size."""
    with own_screen():
        while True:
            due = time.monotonic() + seconds
            head = heading(seconds)
            draw(look, head)
            while (left := due - time.monotonic()) > 0:
                if (noticed := signal.sigtimedwait(NOTICED, left)) is None:
                    break
                if noticed.si_signo == signal.SIGTSTP:
                    pause()
                draw(look, head)
            look = take_again(names, look)


def draw(look: Look, head: str) -> None:
    """Write it in one go, so that nothing flickers."""
    size = os.get_terminal_size(sys.stdout.fileno())
    write(CLEAR + "\n".join(screenful(look, head, size, width=width(), colour=coloured())))


def screenful(
    look: Look, head: str, size: os.terminal_size, *, width: int, colour: bool
) -> list[str]:
    """Give the lines that a terminal of a size has, with what is folded for a width."""
    lines = [escape(line) for text in look.said for line in text.splitlines()]
    if look.status is not None:
        lines += words.as_text(look.status, width=width).splitlines()
    shown = fitted([head, *lines], rows=size.lines, columns=size.columns)
    return [shown[0], *map(painted, shown[1:])] if colour else shown


def pause() -> None:
    """Stop, as whoever pressed Ctrl-Z wants it, with the terminal as it was."""
    write(LEAVE)
    os.kill(os.getpid(), signal.SIGSTOP)
    write(ENTER)


@contextmanager
def own_screen() -> Iterator[None]:
    """Have the terminal's other screen, and give it back however this ends."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, NOTICED)
    try:
        write(ENTER)
        yield
    except Ended as ended:
        give_back(mask)
        signal.signal(ended.number, signal.SIG_DFL)
        os.kill(os.getpid(), ended.number)  # whoever waits for this process sees by what it ended
    finally:
        give_back(mask)


def give_back(mask: Iterable[int]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not come in between
    with suppress(OSError):  # the terminal itself may be gone
        write(LEAVE)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def end(number: int, _: FrameType | None) -> None:
    raise Ended(number)


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
