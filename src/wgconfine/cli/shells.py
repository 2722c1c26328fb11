"""How a person's shell is started so that its prompt says which tunnel it is in. Pure.

As a Python venv does it: the prompt that the shell's own files have set, with the name before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from wgconfine.model.names import TunnelName

__all__ = ["PLACE", "Shell", "interactive", "may_log_in"]

PLACE = "wgconfine"
"""Below the private /run: where the shell finds the files that are made for it."""

_BASH = """\
# What `wgconfine exec` has bash read in the place of ~/.bashrc.
if [ -r ~/.bashrc ]; then . ~/.bashrc; fi
PS1="($WGCONFINE_TUNNEL) ${PS1-}"
"""
# zsh reads both from ZDOTDIR, which a person's own .zshenv may set.
_ZSHENV = """\
# What `wgconfine exec` has zsh read in the place of ~/.zshenv.
ZDOTDIR=$HOME
if [[ -r $ZDOTDIR/.zshenv ]]; then source $ZDOTDIR/.zshenv; fi
WGCONFINE_ZDOTDIR=$ZDOTDIR
ZDOTDIR=/run/wgconfine
"""
_ZSHRC = """\
# What `wgconfine exec` has zsh read in the place of ~/.zshrc.
ZDOTDIR=$WGCONFINE_ZDOTDIR
unset WGCONFINE_ZDOTDIR
if [[ -r $ZDOTDIR/.zshrc ]]; then source $ZDOTDIR/.zshrc; fi
PS1="($WGCONFINE_TUNNEL) $PS1"
"""
_FISH = """\
functions --query fish_prompt; and functions --copy fish_prompt _wgconfine_prompt
function fish_prompt
    echo -n "($WGCONFINE_TUNNEL) "
    functions --query _wgconfine_prompt; and _wgconfine_prompt
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A shell's command line, the files it reads below PLACE, and variables for it."""

    argv: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def may_log_in(shell: str) -> bool:
    """Tell whether a user's shell is one: nologin(8) and false(1) stand for no shell at all."""
    return PurePosixPath(shell).name not in {"nologin", "false", "true", "sync"}


def interactive(shell: str, name: TunnelName, *, root: bool) -> Shell:
    """Give how to start the shell at `shell` on a terminal."""
    match PurePosixPath(shell).name:
        case "bash":
            argv = (shell, "--rcfile", f"/run/{PLACE}/bashrc", "-i")
            return Shell(argv=argv, files={"bashrc": _BASH})
        case "zsh":
            files = {".zshenv": _ZSHENV, ".zshrc": _ZSHRC}
            return Shell(argv=(shell, "-i"), files=files, environment={"ZDOTDIR": f"/run/{PLACE}"})
        case "fish":
            return Shell(argv=(shell, f"--init-command={_FISH}"))
        case _:
            sign = "#" if root else "$"
            return Shell(argv=(shell, "-i"), environment={"PS1": f"({name}) {sign} "})
