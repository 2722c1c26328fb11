"""What this machine can do, and whether the interpreter that units shall run may be trusted."""

import os
import stat
import subprocess
import sys
from pathlib import Path, PurePosixPath

import wgconfine
from wgconfine.config.escape import quote
from wgconfine.model.errors import OperationFailed
from wgconfine.render.quote import is_safe
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.process import ENVIRONMENT
from wgconfine.runtime.trusted import WRITABLE, judge, open_trusted

__all__ = ["fit_for_units", "kernel_has_wireguard", "trusted_interpreter"]

HINT = (
    "Install wgconfine where only root can write, such as a virtual environment in /opt: "
    "units would run it as root at every boot"
)


def fit_for_units(python: PurePosixPath) -> PurePosixPath:
    """Give an interpreter's path as it is. Raises OperationFailed where no unit can name it."""
    where = "the interpreter for units"
    if not python.is_absolute():
        raise OperationFailed(where, f"{python} is not an absolute path", "Give the whole path")
    if not is_safe(os.fspath(python)):
        what = f"{quote(os.fspath(python))} has characters that can't stand in a systemd unit"
        raise OperationFailed(where, what, "Install wgconfine below a path without them")
    return python


def trusted_interpreter() -> PurePosixPath:
    """Give the interpreter that this process runs under, for the units of ours.

    Raises OperationFailed unless it and the package belong to root, with every directory on the
    way, and lie outside /home: what can be changed by others must not be executed by PID 1.
    """
    interpreter = os.path.abspath(sys.executable)  # noqa: PTH100 — resolve() would leave the venv
    for path in (interpreter, os.path.abspath(wgconfine.__file__)):  # noqa: PTH100
        if path.startswith(("/home/", "/root/", "/tmp/", "/run/user/")):  # noqa: S108 — refused
            raise OperationFailed(path, "units can't run what lies there", HINT)
    try:
        os.close(open_trusted(interpreter, secret=False))
        judge_package(Path(wgconfine.__file__).absolute().parent)
    except Failure as failure:
        raise OperationFailed("the interpreter for units", str(failure), HINT) from failure
    return fit_for_units(PurePosixPath(interpreter))


def judge_package(package: Path) -> None:
    """Raise Failure unless root alone can change each module, and what is compiled of it."""
    for path in sorted(package.rglob("*")):
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            judge(status, os.fspath(path), WRITABLE)
        else:
            os.close(open_trusted(os.fspath(path), secret=False))


def kernel_has_wireguard() -> bool:
    """Tell whether the kernel makes WireGuard links, by making one in a namespace thrown away.

    Without the right to do that (not root), by whether the module is there already.
    """
    if os.geteuid() != 0:
        return Path("/sys/module/wireguard").exists()
    command = ["unshare", "--net", "ip", "link", "add", "wg0", "type", "wireguard"]
    try:
        done = subprocess.run(
            command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        why = error.strerror or str(error)
        raise OperationFailed(" ".join(command), why, "Install the package util-linux") from error
    return done.returncode == 0
