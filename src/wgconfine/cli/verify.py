"""`wgconfine verify`: look at what really runs, and say whether anything can get out."""

import os
import sys
import time
from collections.abc import Collection, Sequence
from functools import partial

from wgconfine.cli.dialogue import coloured, columns, complain
from wgconfine.model.errors import ExitCode, NeedsRoot, NotChecked, Refused
from wgconfine.model.settings import OnLeak, TunnelName, UnitName
from wgconfine.model.verify import Area, exit_code
from wgconfine.render.places import record_path
from wgconfine.report import verify as words
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.record import load
from wgconfine.system.lock import verify_lock
from wgconfine.system.systemctl import RealSystemctl
from wgconfine.system.transient import commands_of
from wgconfine.verify.compare import compare_exit, parse_url
from wgconfine.verify.periodic import run_periodic, store
from wgconfine.verify.run import AREAS, Report, verify_all

__all__ = ["run_verify", "verify_after_apply"]

PATIENCE = 240.0
"""Seconds to wait for another `apply`, which may wait for its person's word; whoever says
`verify` waits as long as he likes."""


def run_verify(
    names: Sequence[str], *, as_json: bool, verbose: bool, compare: str | None
) -> ExitCode:
    """Print what was found of the named tunnels, or of all; the worst of it is the exit code.

    `compare` is the URL of a site that shows who asks it. Raises Refused where it is none.
    """
    if os.geteuid() != 0:
        raise NeedsRoot("verify looks into namespaces and processes. Run it as root.")
    areas = AREAS
    if compare is not None:
        areas = (*AREAS, (Area.WORKS, partial(compare_exit, page=parse_url(compare))))
    with verify_lock(complain):
        report = verify_all(RealSystemctl(), names, areas)
        if compare is None:  # what a stranger says is no state of the machine
            keep(report)
    complain(*map(str, report.problems))
    if as_json:
        print(words.as_json(report.tunnels, report.closed, seconds=report.seconds))
    else:
        say(report, verbose=verbose)
    return code_of(report)


def verify_periodically(names: Sequence[str]) -> ExitCode:
    """Verify one tunnel for its unit: keeps the result, is loud, and stops what leaks if asked to.

    By what is installed, as everything that runs by itself. Raises Refused unless one is named.
    """
    if len(names) != 1:
        raise Refused("verify --periodic: name one tunnel.")
    name = TunnelName(names[0])
    systemctl = RealSystemctl()
    with verify_lock(complain, patience=PATIENCE):
        try:
            record = load(name)
        except Failure as failure:
            raise NotChecked(str(failure)) from failure
        return run_periodic(
            lambda: verify_all(systemctl, [name]).tunnels[0],
            name,
            (*map(UnitName, record.services), *commands_of(name)),
            systemctl,
            print,
            on_leak=OnLeak(record.on_leak),
        )


def keep(report: Report) -> None:
    """Keep what was found of tunnels that are installed: it is their last verify from now on."""
    now = time.time()
    for each in report.tunnels:
        if os.path.exists(record_path(TunnelName(each.tunnel))):  # noqa: PTH110 — by name
            try:
                store(each, now)
            except OSError as error:
                complain(f"[!] {error.filename}: what was found is not kept: {error.strerror}")


def say(report: Report, *, verbose: bool = False) -> None:
    found = (report.tunnels, report.closed)
    print(words.as_text(*found, verbose=verbose, width=columns(), colour=coloured()))


def code_of(report: Report) -> ExitCode:
    return exit_code([*report.tunnels, *([report.closed] if report.closed else [])])


def verify_after_apply(names: Collection[str]) -> ExitCode:
    """Verify the tunnels that an apply was about, and print it; never fails what was applied.

    A tunnel that carries nothing yet is said, and no failure: its server may be away.
    """
    try:
        with verify_lock(complain, patience=PATIENCE):
            if sys.stderr.isatty():
                complain(f"Verifying {', '.join(sorted(names))}; it takes some seconds.")
            report = verify_all(RealSystemctl(), names)
            keep(report)
    except Exception as error:  # noqa: BLE001 — what is applied is applied, whatever comes here
        said = f"[!] verify: {type(error).__name__}: {error}"
        complain(said, "    Look again: wgconfine verify")
        return ExitCode.UNCHECKED
    except KeyboardInterrupt:
        complain("[!] All of it is applied, and not verified yet: wgconfine verify")
        raise
    say(report)
    code = code_of(report)
    if code in {ExitCode.OK, ExitCode.FAILED}:
        return ExitCode.OK
    complain(
        "[!] All of it is applied; that not all is well with it is what verify says.",
        "    Look again: wgconfine verify",
    )
    return code
