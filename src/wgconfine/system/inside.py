"""Programs that look at a tunnel from within its namespace: all at once, each with a time limit."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from wgconfine.model.errors import OperationFailed
from wgconfine.runtime.process import ENVIRONMENT

__all__ = ["Answer", "ask_all", "end", "first_line", "is_late", "opened", "start"]

SECONDS = 10.0
REAP = 1.0
"""How long a killed process may take: one that the kernel holds is left to itself."""
MISSING = 127
"""The status of what could not be started, as of a shell."""
LATE = "no answer in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a program ended; `status` is negative for a signal. `complaint` is its standard error."""

    status: int
    output: str
    complaint: str


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Hold a namespace open, whatever is put on its name meanwhile. Raises OperationFailed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise OperationFailed(f"open {path}", error.strerror or str(error)) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def ask_all(
    commands: Sequence[Sequence[str]],
    *,
    namespace: int | None,
    stdin: str = "",
    seconds: float = SECONDS,
) -> list[Answer]:
    """Run programs side by side, inside an open namespace or (None) in ours; `stdin` is for each.

    What does not end in time is killed, and its answer is a failure.
    """
    prefix = [] if namespace is None else ["nsenter", f"--net=/proc/self/fd/{namespace}", "--"]
    inherited = () if namespace is None else (namespace,)
    deadline = time.monotonic() + seconds
    started = [start([*prefix, *command], inherited) for command in commands]
    return [finish(each, stdin, deadline) for each in started]


def start(command: Sequence[str], inherited: Sequence[int]) -> subprocess.Popen[str] | OSError:
    try:
        return subprocess.Popen(
            command,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=inherited,
        )
    except OSError as error:
        return error


def finish(process: subprocess.Popen[str] | OSError, stdin: str, deadline: float) -> Answer:
    if isinstance(process, OSError):
        return Answer(status=MISSING, output="", complaint=str(process))
    try:
        left = max(0.1, deadline - time.monotonic())
        output, complaint = process.communicate(stdin, timeout=left)
    except subprocess.TimeoutExpired:
        return Answer(status=-signal.SIGKILL, output="", complaint=LATE)
    finally:
        end(process)
    return Answer(status=process.returncode, output=output, complaint=complaint.strip())


def first_line(process: subprocess.Popen[str], seconds: float) -> str:
    """Give what a program says first, in one write; empty where it says nothing in time."""
    if process.stdout is None or not select.select([process.stdout], [], [], seconds)[0]:
        return ""
    return process.stdout.readline()


def is_late(answer: Answer) -> bool:
    """Tell whether a program was killed for its time limit: it has said nothing then."""
    return answer.status < 0 and answer.complaint == LATE


def end(process: subprocess.Popen[str]) -> None:
    """Kill what still runs, without a wait for the end of its output.

    Others may hold the pipes: PID 1 and a unit do, for systemd-run(1) with `--pipe`.
    """
    process.kill()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):  # nobody reads it any more
                pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(REAP)
