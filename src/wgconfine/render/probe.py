"""The unit in which `verify` tries to get out: a service's identity and sandbox, around a probe."""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from wgconfine.model.settings import TunnelName, UnitName
from wgconfine.model.tree import MARK, File
from wgconfine.render.places import UNITS
from wgconfine.render.quote import UnsafeValueError, value

__all__ = ["PROBE_STATE", "probe_files", "probe_unit"]

PROBE_STATE = PurePosixPath("/run/wgconfine/probe")
"""Root's alone: what a probe is told (`STEM.in`) and what it says (`STEM.out`)."""

DROPIN = "zz-wgconfine-probe.conf"

# Requisite= and not BindsTo=: a look at a stopped tunnel must not start it. A stop of the probe
# deletes nothing of the service's, for it has no directories. It is forgotten when it ends, so that
# nothing of it is listed as failed; quiet, for it runs every few minutes.
UNIT = """\
# {mark}. Do not edit: `wgconfine apply` writes it anew.
[Unit]
Description=Try of wgconfine verify to get out in the place of {stem}.service
Requisite=wgconfine@{name}.service wgconfine-netns@{name}.service
PartOf=wgconfine@{name}.service wgconfine-netns@{name}.service
After=wgconfine@{name}.service wgconfine-netns@{name}.service
CollectMode=inactive-or-failed
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={python} -I -c "from wgconfine.verify.probe import run; run()"
"""

# In the drop-in all that counts, since drop-ins of every service (service.d) are read before it.
SETTINGS = """\
# {mark}. Do not edit: `wgconfine apply` writes it anew.
# What confines {stem}.service, and what its owner set of its identity and its sandbox.
[Unit]
{asserts}\

[Service]
{own}\
{confining}\
# PID 1 opens these as root, in the host's /run: no path of ours is seen inside.
StandardInput=file:{state}/%i.in
StandardOutput=file:{state}/%i.out
StandardError=journal
SyslogLevel=warning
LogLevelMax=warning
TimeoutStartSec=2min
TimeoutStopSec=2s
Restart=no
MemoryMax=128M
TasksMax=64
LimitFSIZE=262144
LimitCORE=0
"""

NOT_OF_A_PROBE = (
    *("ExecReload", "ExecReloadPost", "ExecStop", "ExecStopPost", "ExecStartPre", "ExecStartPost"),
    *("SuccessExitStatus", "PIDFile"),
)
"""What a service's drop-in repeats of the unit's own: commands, and what belongs to them."""


def probe_unit(unit: UnitName) -> str:
    """Give the name of the unit that tries to get out in the place of `unit`."""
    return f"wgconfine-probe@{unit.removesuffix('.service')}.service"


def probe_dropin_path(unit: UnitName) -> PurePosixPath:
    return UNITS / f"{probe_unit(unit)}.d" / DROPIN


def probe_files(
    name: TunnelName,
    unit: UnitName,
    *,
    dropin: str,
    own: Iterable[tuple[str, str]],
    python: PurePosixPath,
) -> list[File]:
    """Give the probe of a confined service.

    `dropin` is the text that confines the service: its lines are taken from there, so that they are
    the same whatever comes to stand in it. `own` are the unit's own settings of what a process may
    reach, in their order, with the specifiers of its name put in. Raises UnsafeValueError.
    """
    stem = value(unit.removesuffix(".service"))
    main = UNIT.format(mark=MARK, stem=stem, name=value(name), python=value(str(python)))
    settings = SETTINGS.format(
        mark=MARK,
        stem=stem,
        asserts="".join(asserts(dropin)),
        own="".join(line(key, text) for key, text in own),
        confining="".join(confining(dropin)),
        state=PROBE_STATE,
    )
    return [
        File(path=UNITS / probe_unit(unit), text=main),
        File(path=probe_dropin_path(unit), text=settings),
    ]


def line(key: str, text: str) -> str:
    """Give one setting as it was written; what could begin another line is refused.

    A backslash at the end had a space behind it, or the next line would belong to it: so has ours.
    """
    if not key.isalnum() or any(each in text for each in "\n\r\0"):
        raise UnsafeValueError(f"{text!r}: has characters that can't stand in a systemd unit")
    return f"{key}={text} \n" if odd_backslashes(text) else f"{key}={text}\n"


def odd_backslashes(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def asserts(dropin: str) -> Iterator[str]:
    """Give what must be there, and after what; whether the tunnel carries is `verify`'s to say."""
    for section, key, text in settings_of(dropin):
        ordered = key == "After" and not text.startswith("wgconfine-ready@")
        if section == "Unit" and (key.startswith("Assert") or ordered):
            yield f"{key}={of_the_service(text)}\n"


def confining(dropin: str) -> Iterator[str]:
    """Give the drop-in's lines without the commands of the unit that it repeats: the guard alone
    is left of them.
    """
    conditions = 0
    for section, key, text in settings_of(dropin):
        if section != "Service" or key in NOT_OF_A_PROBE:
            continue
        if key == "ExecCondition":
            conditions += 1
            if conditions > len(("the reset", "the guard")):
                continue
        yield f"{key}={of_the_service(text)}\n"


def settings_of(dropin: str) -> Iterator[tuple[str, str, str]]:
    section = ""
    for each in dropin.splitlines():
        if each.startswith("["):
            section = each.strip("[]")
        elif "=" in each and not each.startswith("#"):
            key, _, text = each.partition("=")
            yield section, key, text


def of_the_service(text: str) -> str:
    """Put the probe's instance, which is the service's name, in the place of the unit's own name.

    Written out, a backslash in that name would have to be doubled in some settings alone.
    """
    parts = text.split("%%")  # a doubled one is no specifier
    return "%%".join(part.replace("%N", "%i") for part in parts)
