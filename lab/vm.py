"""A machine with a kernel of its own: QEMU, Debian's cloud kernel, one network card.

Commands go through an agent on a virtio-serial port (guest/root/usr/lib/lab/agent.py), no network.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab.accelerator import fastest_accelerator
from lab.cache import scratch_folder
from lab.image import build_image
from lab.internet import Internet
from lab.layers import Root
from lab.machine import BOOT_SECONDS, Completed, Machine
from lab.requirements import require

MEMORY = "1024"
# Under tcg two processors now and then oops in int3: the kernel patches its code under the other.
PROCESSORS = "1"
# What a newer model has costs tcg more than it saves: a tenth of a boot, a seventh of our commands.
MODELS = {"kvm": "max", "tcg": "Nehalem"}
# net.ifnames=0: the uplink is eth0. mitigations=off: pure cost where nothing hostile runs.
COMMAND_LINE = "quiet console=ttyS0 net.ifnames=0 mitigations=off panic=-1 random.trust_cpu=on"


class VirtualMachine(Machine):
    """Boot `root` with its uplink in `internet`. Its disk outlives a reboot, not close().

    `kernel_arguments` go to the kernel's command line, such as ipv6.disable=1.
    """

    patience = 3  # its processor may be emulated

    def __init__(
        self, root: Root, internet: Internet, *, kernel_arguments: Sequence[str] = ()
    ) -> None:
        require("qemu-system-x86_64")
        self._command_line = " ".join((COMMAND_LINE, *kernel_arguments))
        self._folder = scratch_folder()
        self._monitor = self._folder / "monitor"
        self._internet = internet
        self._image = build_image(root)
        self._tap = internet.attach_vm()
        self._socket: socket.socket | None = None
        self._qemu: subprocess.Popen[bytes] | None = None
        try:
            copy = ["cp", "--reflink=auto", "--sparse=always"]
            subprocess.run([*copy, self._image.disk, self._folder / "disk"], check=True)
            self._boot()
        except BaseException:
            self.close()
            raise

    def _boot(self) -> None:
        agent, console = self._folder / "agent", self._folder / "console.log"
        agent.unlink(missing_ok=True)
        self._monitor.unlink(missing_ok=True)
        accelerator = fastest_accelerator(self._image)
        # fmt: off
        command = self._internet.command(
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot",  # a reboot ends QEMU, and the lab starts it again
            "-accel", accelerator, "-cpu", MODELS[accelerator],
            "-smp", PROCESSORS, "-m", MEMORY,
            "-kernel", os.fspath(self._image.kernel), "-initrd", os.fspath(self._image.initrd),
            "-append", self._command_line,
            "-drive", f"file={self._folder / 'disk'},format=raw,if=virtio,cache=unsafe",
            "-netdev", f"tap,id=uplink,ifname={self._tap},script=no,downscript=no",
            "-device", "virtio-net-pci,netdev=uplink,romfile=",
            "-device", "virtio-rng-pci",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={agent},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=lab.agent",
            "-serial", f"file:{console}",
            "-qmp", f"unix:{self._monitor},server=on,wait=off",
        )
        # fmt: on
        try:
            with (self._folder / "qemu.log").open("wb") as log:
                self._qemu = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            self._socket = socket.socket(socket.AF_UNIX)
            self.wait_for(lambda: self._connects(agent), "QEMU has started", 60)
            self._received = b""
            self._receive(time.monotonic() + BOOT_SECONDS)  # the agent says that it is there
            self._wait_until_booted()
        except (AssertionError, OSError) as error:
            error.add_note(self._last_words())
            raise

    def _connects(self, agent: Path) -> bool:
        # The socket is there before QEMU listens on it.
        try:
            self._connection.connect(os.fspath(agent))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def _assert_alive(self) -> None:
        if self._qemu is None or self._qemu.poll() is not None:
            raise AssertionError("the virtual machine has ended")

    def _last_words(self) -> str:
        files = (self._folder / "qemu.log", self._folder / "console.log")
        return "\n".join(
            file.read_text(errors="replace")[-4000:] for file in files if file.exists()
        )

    @property
    def _connection(self) -> socket.socket:
        self._assert_alive()
        if self._socket is None:
            raise AssertionError("the virtual machine has not started")
        return self._socket

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._received:
            self._assert_alive()
            if time.monotonic() > deadline:
                raise AssertionError("the machine's agent does not answer")
            self._connection.settimeout(1)
            try:
                self._received += self._connection.recv(1 << 20)
            except TimeoutError:
                continue
        line, _, self._received = self._received.partition(b"\n")
        value: dict[str, Any] = json.loads(line)
        return value

    def _execute(
        self,
        argv: Sequence[str],
        *,
        input: bytes,  # noqa: A002, the name subprocess gives it
        timeout: float,
        env: Mapping[str, str],
    ) -> Completed:
        request = {
            "argv": list(argv),
            "env": dict(env),
            "input": base64.b64encode(input).decode(),
            "timeout": timeout,
        }
        self._connection.settimeout(timeout)
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        answer = self._receive(time.monotonic() + timeout + 30)
        return Completed(
            argv=tuple(argv),
            returncode=answer["returncode"],
            stdout=base64.b64decode(answer["stdout"]).decode(errors="backslashreplace"),
            stderr=base64.b64decode(answer["stderr"]).decode(errors="backslashreplace"),
        )

    def reboot(self) -> None:
        self.systemctl("reboot", "--no-block")
        self._end(patience=90)
        self._boot()

    def sleep(self, seconds: float) -> None:
        """Have the machine stand still, its clocks too, while the world around it goes on."""
        self._command("stop")
        time.sleep(seconds)
        self._command("cont")

    def _command(self, name: str) -> None:
        """Have QEMU's monitor do something: docs/interop/qmp-spec.rst."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(60)
            monitor.connect(os.fspath(self._monitor))
            with monitor.makefile("rw") as lines:
                lines.readline()  # it greets
                for each in ("qmp_capabilities", name):
                    lines.write(json.dumps({"execute": each}) + "\n")
                    lines.flush()
                    while "return" not in (answer := json.loads(lines.readline())):
                        assert "error" not in answer, answer  # anything else is an event

    def _wait_for_restart(self) -> None:
        self._receive(time.monotonic() + BOOT_SECONDS)  # the agent is there again

    def cut_power(self) -> None:
        """Pull the plug, plug it in again, and return when the machine is up."""
        self._end(patience=0)
        self._boot()

    def _end(self, patience: float) -> None:
        if self._qemu is not None:
            with suppress(subprocess.TimeoutExpired):
                self._qemu.wait(patience)
            self._qemu.kill()
            self._qemu.wait()
        if self._socket is not None:
            self._socket.close()

    def close(self) -> None:
        self._end(patience=0)
        shutil.rmtree(self._folder, ignore_errors=True)
