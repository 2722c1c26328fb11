"""A command of a container on a terminal, with a person before it who reads and answers."""

import os
import re
import signal
from collections.abc import Sequence

import pexpect

from lab import Container, World

PATIENCE = 180.0
# With what stty(1) tells of the terminal, which no command may leave in another state.
_END = 'end() { c=$?; [ "$t" = "$(stty -g)" ]; echo ended=$c-$?; }; t=$(stty -g)'
_ENDED = re.compile(r"ended=(\d+)-(\d)")


class Terminal:
    """One command, started by a login shell of a terminal of its own, as people do."""

    def __init__(
        self, world: World, command: str, *, rows: int = 50, columns: int = 100, term: str = "dumb"
    ) -> None:
        assert isinstance(world.machine, Container)
        program, *arguments = world.machine.shell()
        self._said = ""
        self._child = pexpect.spawn(
            program,
            [f"TERM={term}" if each.startswith("TERM=") else each for each in arguments],
            encoding="utf-8",
            timeout=PATIENCE,
            dimensions=(rows, columns),
            env={**os.environ, "TERM": term},
            # Whoever runs the tests in the background ignores it, and so would all that they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self._child.sendline(_END)
        self._child.sendline(f"cd /root; {command}; end")

    def wait(self, words: str) -> None:
        """Read on until these words come. Raises AssertionError with what came instead."""
        try:
            ended = self._child.expect([re.escape(words), _ENDED])
        except (pexpect.TIMEOUT, pexpect.EOF) as error:
            raise AssertionError(f"no {words!r} after {self._child.before!r}") from error
        assert not ended, f"no {words!r}, but its end after {self._child.before!r}"
        self._said += f"{self._child.before}{self._child.after}"

    def answer(self, question: str, line: str) -> None:
        self.wait(question)
        self._child.sendline(line)

    def interrupt(self, question: str) -> None:
        """Press Ctrl-C where the question stands."""
        self.wait(question)
        self._child.sendintr()

    def stop(self, question: str) -> None:
        """Press Ctrl-Z there."""
        self.wait(question)
        self._child.sendcontrol("z")

    def hang_up(self) -> None:
        """Close the terminal, as a window or a connection is."""
        self._child.close(force=True)

    def resize(self, rows: int, columns: int) -> None:
        self._child.setwinsize(rows, columns)

    def suspend(self) -> None:
        """Press Ctrl-Z, and read on until the shell is back."""
        self._child.sendcontrol("z")
        self._child.expect(_ENDED)
        self._said += f"{self._child.before}{self._child.after}"

    def go_on(self) -> None:
        """Have the shell bring it to the front again."""
        self._child.sendline("fg; end")

    def end_of_input(self, question: str) -> None:
        """Press Ctrl-D there."""
        self.wait(question)
        self._child.sendeof()

    def ended(self) -> tuple[int, str]:
        """Give the exit code, and all that the terminal showed."""
        self._child.expect(_ENDED)
        code, other_terminal = map(int, self._child.match.groups())
        assert not other_terminal, "the terminal is not as it was"
        self._said += self._child.before
        self._child.close(force=True)
        return code, self._said


def shown(
    world: World, command: str, answers: Sequence[tuple[str, str]] = (), *, columns: int
) -> str:
    """Give what a command puts on a terminal that has colours, with what is answered to it."""
    # The words of the command itself, which the terminal echoes, are not those that are printed.
    words = f"echo; echo it-''begins; {command}; echo it-''ends"
    terminal = Terminal(world, words, columns=columns, term="xterm")
    terminal.wait("it-begins")
    for question, answer in answers:
        terminal.answer(question, answer)
    terminal.wait("it-ends")
    _, said = terminal.ended()
    return said.partition("it-begins\r\n")[2].partition("it-ends")[0]
