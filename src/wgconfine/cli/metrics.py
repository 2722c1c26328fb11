"""`wgconfine metrics`: what a monitoring system should know, once."""

import os
from pathlib import Path

from wgconfine.cli.status import current_status
from wgconfine.config.escape import escape
from wgconfine.model.errors import ExitCode, OperationFailed
from wgconfine.model.status import Status
from wgconfine.report.metrics import Seen, as_metrics
from wgconfine.system.systemctl import RealSystemctl

__all__ = ["run_metrics"]


def run_metrics(textfile: Path | None) -> ExitCode:
    """Print OpenMetrics; or write what node_exporter's textfile collector reads, whole or not."""
    status = current_status()
    seen = Seen(status=status, restarts=restarts(status))
    if textfile is None:
        print(as_metrics(seen, openmetrics=True), end="")
    else:
        replace_file(textfile, as_metrics(seen, openmetrics=False))
    return ExitCode.OK


def restarts(status: Status) -> dict[str, int]:
    units = [each.unit for tunnel in status.tunnels for each in tunnel.services]
    shown = RealSystemctl().show(units, ["NRestarts"]) if units else {}
    return {unit: int(values["NRestarts"]) for unit, values in shown.items() if values["NRestarts"]}


def replace_file(path: Path, text: str) -> None:
    """Write beside it and rename: who reads meanwhile has the old one, or the new one."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)  # of a run that was cut off
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:  # a person knows the file by the name that he gave it
        hint = "Name a file in a directory that is there, and that you may write to"
        raise OperationFailed(escape(str(path)), os.strerror(error.errno or 0), hint) from None
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 — a descriptor
            # By the descriptor: the directory is another user's, who may put a link in its place.
            os.fchmod(descriptor, 0o644)
            file.write(text)
        beside.rename(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
