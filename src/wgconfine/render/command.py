"""What confines a command that `wgconfine exec` runs: a drop-in of every unit that bears its name.

systemd reads the drop-ins in `a-b-.service.d` for each unit whose name begins with `a-b-`, for
transient ones too (systemd.unit(5); tried on 252, 257 and 262).
"""

from wgconfine.model.settings import Rights as Said
from wgconfine.model.settings import Settings
from wgconfine.model.tree import File
from wgconfine.render.hardening import Rights
from wgconfine.render.places import command_dropin_path
from wgconfine.render.service import confining_text, dropin_settings

__all__ = ["COMMAND_REFUSAL", "OWN_VARIABLES", "command_dropin", "command_settings"]

ABOUT = "# For whatever `wgconfine exec {name}` runs: each command is a unit of such a name.\n"

# A restart of the tunnel stops what is bound to it and starts it again (systemd.unit(5)); a command
# is not to be run twice. `true` and not `:`, with which a shell ends where it can't write.
ONCE = (
    '+/bin/sh -p -c "set -C;'
    " (true >'/proc/1/root/run/wgconfine/exec/%N.begun') 2>/dev/null || kill -USR1 $$$$\""
)
# systemd-run has no exit code for a signal, and 0 for what did not start. What came first counts.
ENDED = (
    '-+/bin/sh -p -c "set -C; (echo $$SERVICE_RESULT $$EXIT_CODE $$EXIT_STATUS'
    " >'/proc/1/root/run/wgconfine/exec/%N.ended') 2>/dev/null\""
)

# A shell on a terminal ends by SIGHUP alone; a program before a pipe by SIGPIPE.
MORE = """\
# No way to other rights: those of sudo and its like have root's.
NoNewPrivileges=yes
SendSIGHUP=yes
TimeoutStopSec=10s
IgnoreSIGPIPE=no
Restart=no
"""

COMMAND_REFUSAL = (
    "+/bin/sh -p -c \"(echo 'wgconfine: nothing confines this command: refused') >&2;"
    ' kill -USR1 $$$$"'
)
"""The `ExecCondition=` of a transient unit itself, which its drop-in takes away.

So a command whose drop-in systemd has not found is refused, and never run in the open.
"""

OWN_VARIABLES = frozenset(
    {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "TMUX_TMPDIR", "USER"}
    | {"WGCONFINE_TUNNEL", "XDG_RUNTIME_DIR"}
)
"""Of the environment: what `exec` or systemd gives each command, and what no drop-in may set."""


def command_dropin(settings: Settings, rights: Rights, systemd: int) -> File:
    """Give the drop-in of a tunnel's commands; `systemd` is its version, 0 where not known."""
    text = confining_text(
        settings,
        Said(),
        about=ABOUT.format(name=settings.name),
        wanted="",
        own={"ExecCondition": (ONCE,), "ExecStopPost": (ENDED,)},
        rights=rights,
        systemd=systemd,
    )
    return File(path=command_dropin_path(settings.name), text=text + MORE)


def command_settings() -> dict[str, frozenset[str]]:
    """Give, by section, the keys that the drop-in sets and that no later file may set."""
    keys = dropin_settings()
    more = {line.partition("=")[0] for line in MORE.splitlines() if not line.startswith("#")}
    return {**keys, "Service": keys["Service"] | more}
