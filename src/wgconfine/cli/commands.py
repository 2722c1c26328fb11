"""What does each command: its arguments as plain values, its modules imported when it is used."""

import argparse
from collections.abc import Callable

from wgconfine.model.errors import ExitCode

__all__ = ["COMMANDS", "journalctl_options"]

# ruff: noqa: PLC0415 — see above


def journalctl_options(arguments: argparse.Namespace) -> list[str]:
    """Give journalctl's options; a value is one word with its option, and so never an option."""
    switches = [f"--{name}" for name in ("follow", "boot") if getattr(arguments, name)]
    valued = {name: getattr(arguments, name) for name in ("lines", "since", "until")}
    return switches + [f"--{name}={value}" for name, value in valued.items() if value is not None]


def init(arguments: argparse.Namespace) -> ExitCode:
    from wgconfine.cli.draft import Wanted
    from wgconfine.cli.init import run_init

    return run_init(
        Wanted(
            conf=arguments.conf,
            name=arguments.name,
            services=tuple(arguments.service),
            publish=tuple(arguments.publish),
            dns=tuple(arguments.dns),
            in_place=arguments.in_place,
            yes=arguments.yes,
        )
    )


def confine(arguments: argparse.Namespace) -> ExitCode:
    from wgconfine.cli.confine import run_confine

    return run_confine(
        arguments.root,
        arguments.name,
        arguments.units,
        publish=arguments.publish,
        yes=arguments.yes,
        python=arguments.python,
    )


def check(arguments: argparse.Namespace) -> ExitCode:
    from wgconfine.cli.check import run_check

    return run_check(arguments.root, arguments.files)


def plan(arguments: argparse.Namespace) -> ExitCode:
    from wgconfine.cli.apply import run_plan

    return run_plan(arguments.root, verbose=arguments.verbose, python=arguments.python)


def apply(arguments: argparse.Namespace) -> ExitCode:
    from wgconfine.cli.apply import run_apply

    if arguments.dry_run:
        return plan(arguments)
    return run_apply(
        arguments.root,
        yes=arguments.yes,
        verbose=arguments.verbose,
        python=arguments.python,
    )


def remove(arguments: argparse.Namespace) -> ExitCode:
    from wgconfine.cli.remove import run_remove

    return run_remove(
        arguments.root,
        arguments.name,
        release=arguments.release,
        purge=arguments.purge,
        yes=arguments.yes,
        python=arguments.python,
    )


def release(arguments: argparse.Namespace) -> ExitCode:
    from wgconfine.cli.release import run_release

    return run_release(arguments.root, arguments.units, yes=arguments.yes, python=arguments.python)


def render(arguments: argparse.Namespace) -> ExitCode:
    from wgconfine.cli.render import run_render

    return run_render(arguments.root, arguments.output, python=arguments.python)


def status(arguments: argparse.Namespace) -> ExitCode:
    if arguments.watch is not None:
        from wgconfine.cli.watch import run_watch

        return run_watch(arguments.names, arguments.watch, as_json=arguments.json)
    from wgconfine.cli.status import run_status

    return run_status(arguments.names, as_json=arguments.json)


def verify(arguments: argparse.Namespace) -> ExitCode:
    from wgconfine.cli.verify import run_verify, verify_periodically

    if arguments.periodic:
        return verify_periodically(arguments.names)
    return run_verify(
        arguments.names,
        as_json=arguments.json,
        verbose=arguments.verbose,
        compare=arguments.compare,
    )


def doctor(arguments: argparse.Namespace) -> ExitCode:
    from wgconfine.cli.doctor import run_doctor

    return run_doctor(as_json=arguments.json, fix=arguments.fix, yes=arguments.yes)


def execute(arguments: argparse.Namespace) -> int:
    from wgconfine.cli.exec import run_exec

    return run_exec(arguments.name, arguments.words, user=arguments.user)


def metrics(arguments: argparse.Namespace) -> ExitCode:
    from wgconfine.cli.metrics import run_metrics

    return run_metrics(arguments.textfile)


def logs(arguments: argparse.Namespace) -> ExitCode:
    from wgconfine.cli.logs import run_logs

    return run_logs(arguments.name, journalctl_options(arguments))


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    each.__name__: each
    for each in (
        init,
        confine,
        check,
        plan,
        apply,
        remove,
        release,
        render,
        status,
        verify,
        doctor,
        metrics,
        logs,
    )
} | {"exec": execute}
