# ruff: noqa: INP001, a script
"""Inside a virtual machine: run commands that arrive on the virtio-serial port `lab.agent`.

One JSON object a line each way. The first line says that we are there. The lab's side is lab/vm.py.
"""

import base64
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

PORTS = Path("/sys/class/virtio-ports")


def find_port() -> Path:
    """The device of our port; udev's link to it would come later in the boot."""
    while True:
        for port in PORTS.glob("*"):
            device = Path("/dev", port.name)
            if (port / "name").read_text().strip() == "lab.agent" and device.exists():
                return device
        time.sleep(0.05)


def execute(request: dict[str, Any]) -> dict[str, Any]:
    try:
        result = subprocess.run(
            request["argv"],
            input=base64.b64decode(request["input"]),
            env=request["env"],
            timeout=request["timeout"],
            capture_output=True,
            start_new_session=True,
            cwd="/",
            check=False,
        )
        returncode, stdout, stderr = result.returncode, result.stdout, result.stderr
    except subprocess.TimeoutExpired as error:
        returncode, stdout = 124, error.stdout or b""
        stderr = (error.stderr or b"") + f"\nlab: killed after {error.timeout} s".encode()
    except OSError as error:
        returncode, stdout, stderr = 127, b"", str(error).encode()
    return {
        "returncode": returncode,
        "stdout": base64.b64encode(stdout).decode(),
        "stderr": base64.b64encode(stderr).decode(),
    }


def main() -> None:
    port = os.open(find_port(), os.O_RDWR)

    def answer(value: dict[str, Any]) -> None:
        line = json.dumps(value).encode() + b"\n"
        while line:
            line = line[os.write(port, line) :]

    answer({"ready": True})
    pending = b""
    while True:
        received = os.read(port, 65536)
        if not received:  # nobody is connected on the other side
            time.sleep(0.05)
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            answer(execute(json.loads(line)))


main()
