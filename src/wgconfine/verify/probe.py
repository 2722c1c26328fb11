"""What a probe unit runs: every attempt to get out, as the service's own user, in its sandbox.

It is told its targets on standard input and answers on standard output, one line for each channel,
which is all that it shares with whom it works for. A filter that kills, a call that hangs: each
attempt has a process of its own. The host does not believe a "blocked" of it (`escapes`).
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import time

from wgconfine.verify.attempt import BLOCKED, Targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wgconfine.verify.attempt import Attempt, Outcome

MODULES = ("attempt_network", "attempt_names", "attempt_sockets", "attempt_rights")
HELLO = '{"ready": true}\n'
GO = b"go\n"
MOST_TOLD = 1 << 16
WAIT_SECONDS = 30.0
"""How long it waits for the word to begin, while the host looks at it."""
ATTEMPT_SECONDS = 4.0
AT_ONCE = 12
MOST_SAID = 3000


def run() -> None:
    """Say that we are there, wait for the word, and try everything."""
    os.write(1, HELLO.encode())
    told = json.loads(listen())
    channels = {str(name): str(token) for name, token in told["channels"].items()}
    attempts = load()
    waiting = [(name, attempts[name], Targets(told, token)) for name, token in channels.items()]
    running: list[Running] = []
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            running.append(Running(*waiting.pop(0)))
        left = max(0.0, min(each.deadline for each in running) - time.monotonic())
        readable, _, _ = select.select(running, [], [], left)
        for each in [each for each in running if each.ended(readable)]:
            running.remove(each)
            say(each)


def listen() -> bytes:
    """Read what we are told, which ends with the word to begin."""
    told = b""
    deadline = time.monotonic() + WAIT_SECONDS
    while not told.endswith(GO):
        if time.monotonic() > deadline or len(told) > MOST_TOLD:
            raise SystemExit("wgconfine: nobody told this probe to begin")
        more = os.read(0, MOST_TOLD)
        told += more
        if not more:
            time.sleep(0.02)
    return told.removesuffix(GO)


def load() -> dict[str, Attempt]:
    found: dict[str, Attempt] = {}
    for name in MODULES:
        found |= importlib.import_module(f"wgconfine.verify.{name}").ATTEMPTS
    return found


def say(ended: Running) -> None:
    word, detail = ended.outcome()
    answer = {"channel": ended.name, "token": ended.token, "word": word, "detail": detail}
    os.write(1, json.dumps(answer).encode() + b"\n")


class Running:
    """One attempt in a process of its own, whose pipe select(2) can wait for."""

    def __init__(self, name: str, attempt: Attempt, targets: Targets) -> None:
        self.name, self.token = name, targets.token
        self.deadline = time.monotonic() + ATTEMPT_SECONDS
        self._said = b""
        self._late = False
        self._pipe, end = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                text = json.dumps(tried(attempt, targets))
                os.write(end, text.encode())
            finally:
                os._exit(0)
        os.close(end)

    def fileno(self) -> int:
        return self._pipe

    def ended(self, readable: list[Running]) -> bool:
        """Whether it has said all that it will, or its time is over."""
        if self in readable:
            more = os.read(self._pipe, 8192)
            self._said += more
            return not more
        self._late = time.monotonic() >= self.deadline
        return self._late

    def outcome(self) -> Outcome:
        """Reap it, and give what it found; of one that a filter killed, that it was blocked."""
        if self._late:
            os.kill(self._pid, signal.SIGKILL)
        os.close(self._pipe)
        _, status = os.waitpid(self._pid, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS:
            return BLOCKED, "killed by its filter of system calls"
        if self._late:
            return "timeout", f"no end within {ATTEMPT_SECONDS} s"
        try:
            word, detail = json.loads(self._said)
        except ValueError:
            return "failed", f"ended with status {status}"
        return str(word), str(detail)[:MOST_SAID]


def tried(attempt: Attempt, targets: Targets) -> Outcome:
    try:
        word, detail = attempt(targets)
    except OSError as error:
        return BLOCKED, f"{error.strerror or error}"
    except Exception as error:  # noqa: BLE001 — an attempt that breaks is an answer about it alone
        return "failed", f"{type(error).__name__}: {error}"
    return word, detail[:MOST_SAID]
