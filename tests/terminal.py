"""A command of a container on a terminal, with a person before it who reads and answers."""

import os
import re
import signal

import pexpect

from lab import Container, World

PATIENCE = 60.0
_ENDED = re.compile(r"ended=(\d+)")


class Terminal:
    """One command, started by a login shell of a terminal of its own, as people do."""

    def __init__(self, world: World, command: str, *, columns: int = 100) -> None:
        assert isinstance(world.machine, Container)
        program, *arguments = world.machine.shell()
        self._said = ""
        self._child = pexpect.spawn(
            program,
            [each.replace("TERM=xterm", "TERM=dumb") for each in arguments],
            encoding="utf-8",
            timeout=PATIENCE,
            dimensions=(50, columns),
            env={**os.environ, "TERM": "dumb"},
            # Whoever runs the tests in the background ignores it, and so would all that they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self._child.sendline(f"cd /root; {command}; echo ended=$?")

    def wait(self, words: str) -> None:
        """Read on until these words come. Raises AssertionError with what came instead."""
        try:
            self._child.expect_exact(words)
        except (pexpect.TIMEOUT, pexpect.EOF) as error:
            raise AssertionError(f"no {words!r} after {self._child.before!r}") from error
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

    def resize(self, *, rows: int, columns: int) -> None:
        self._child.setwinsize(rows, columns)

    def hang_up(self) -> None:
        """Close the terminal, as a window or a connection is."""
        self._child.close(force=True)

    def end_of_input(self, question: str) -> None:
        """Press Ctrl-D there."""
        self.wait(question)
        self._child.sendeof()

    def ended(self) -> tuple[int, str]:
        """Give the exit code, and all that the terminal showed."""
        self._child.expect(_ENDED)
        code = int(self._child.match[1])
        self._said += self._child.before
        self._child.close(force=True)
        return code, self._said
