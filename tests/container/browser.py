"""Runs on a machine of the lab: opens a page in headless Chromium and says what came of it.

Its argument is a question in JSON: `url`, `headers`, `until` (an expression that holds once the
page is there), `ask` (name: expression) and `picture`, the path of a screenshot. The answer, on
standard output, has the value of each expression. Chromium is spoken to by its DevTools protocol
over two pipes, which it expects as descriptors 3 and 4: no port is opened.
"""

import json
import os
import sys
import tempfile
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

TO_BROWSER, FROM_BROWSER = 3, 4
PATIENCE = 120
# What a browser would do by itself is switched off: while packets are counted it is to send nothing
# but what the page needs, and it is told that there are no names at all.
OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # it runs as root here
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE ::1",
    "--window-size=1280,800",
)


class Browser:
    """A Chromium with one page."""

    def __init__(self, profile: str) -> None:
        import subprocess

        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        for descriptor in (theirs_in, theirs_out):
            os.set_inheritable(descriptor, True)
        # Moved by a shell, since the pair may sit at 3 and 4 the other way round.
        move = f'exec "$@" {TO_BROWSER}<&{theirs_in} {FROM_BROWSER}>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", move, "bash", "chromium", *OPTIONS, f"--user-data-dir={profile}"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._received = b""
        self._number = 0
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Give what a command of the protocol answers; what it reports meanwhile is dropped."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            piece = os.read(self._from, 1 << 20)
            if not piece:
                sys.exit("Chromium has ended")
            self._received += piece
        message, _, self._received = self._received.partition(b"\0")
        value: dict[str, Any] = json.loads(message)
        return value

    def value(self, expression: str) -> object:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def close(self) -> None:
        self._session = None
        self.call("Browser.close")
        self._process.wait(PATIENCE)


def main(question: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        browser.call("Network.enable")
        browser.call("Network.setExtraHTTPHeaders", headers=question["headers"])
        opened = browser.call("Page.navigate", url=question["url"])
        if "errorText" in opened:
            sys.exit(f"{question['url']}: {opened['errorText']}")
        deadline = time.monotonic() + PATIENCE
        there = False
        while not there and time.monotonic() < deadline:
            time.sleep(0.2)
            there = bool(browser.value(question["until"]))
        answer = {name: browser.value(text) for name, text in question["ask"].items()}
        picture = browser.call("Page.captureScreenshot", format="png")
        Path(question["picture"]).write_bytes(b64decode(picture["data"]))
        browser.close()
    sys.stdout.write(json.dumps({**answer, "there": there}))


main(json.loads(sys.argv[1]))
