"""Completions for bash, zsh and fish: by shtab from the parser, with the names of this machine.

The names are found by the shell itself, from files and systemctl(1): that needs no root and no
start of Python.
"""

import argparse
from collections.abc import Iterator

import shtab

from wgconfine.cli.main import build_parser

__all__ = ["PLACES", "completion"]

PLACES = {
    "bash": "bash-completion/completions/wgconfine",
    "zsh": "zsh/site-functions/_wgconfine",
    "fish": "fish/vendor_completions.d/wgconfine.fish",
}
"""Where each shell looks below `share`."""

HEAD = "# Made from the command line itself by `make pages`, with shtab.\n"

TUNNELS = "_wgconfine_tunnels"
SERVICES = "_wgconfine_services"
CONFINED = "_wgconfine_confined"

KINDS: dict[str, object] = {
    "NAME": TUNNELS,
    "UNIT": SERVICES,
    "DIR": shtab.DIRECTORY,
    "FILE": shtab.FILE,
    "PATH": shtab.FILE,
    "CONF": shtab.FILE,
}
"""What stands for a word of the usage; for any other there is nothing to offer."""
SPECIAL = {("release", "UNIT"): CONFINED, ("init", "NAME"): None}
"""Where a command means something else by the same word."""

BASH = r"""
# Those of the given names that begin with the word; a backslash, which units have, is quoted.
_wgconfine_offer() {
  local word=$1 name
  shift
  for name; do
    if [[ $name == "$word"* || $(printf %q "$name") == "$word"* ]]; then
      printf '%q\n' "$name"
    fi
  done
}

_wgconfine_tunnels() {
  local file names=()
  for file in /etc/wgconfine/*.toml; do
    file=${file##*/}
    [[ $file == "*.toml" ]] || names+=("${file%.toml}")
  done
  _wgconfine_offer "$1" "${names[@]}"
}

_wgconfine_services() {
  local names
  mapfile -t names < <({
    systemctl list-units --type=service --all --plain --no-legend --no-pager
    systemctl list-unit-files --type=service --no-legend --no-pager
  } 2>/dev/null | sed -n 's/ .*//; /@\.service$/d; /^wgconfine/d; /\.service$/p' | sort -u)
  _wgconfine_offer "$1" "${names[@]}"
}

# Confined once and not released since: one of both files is there.
_wgconfine_confined() {
  local names
  mapfile -t names < <(
    for file in /etc/systemd/system/*.service.d/zz-wgconfine.conf \
      /usr/local/lib/systemd/system/*.service.d/zz-wgconfine-closed.conf; do
      file=${file%.d/*}
      file=${file##*/}
      [[ $file == "*.service" ]] || printf '%s\n' "$file"
    done | sort -u)
  _wgconfine_offer "$1" "${names[@]}"
}
"""
BASH_END = r"""
# Bash ends a word at '@' and ':', which names of units have: here they are whole. What it replaces
# begins with the '@', and after the ':'.
_wgconfine() {
  local line=${COMP_LINE:0:COMP_POINT} breaks=${COMP_WORDBREAKS//[^@:]/} whole begin=""
  if [[ $line != *[\'\"]* ]]; then
    read -ra whole <<<"${line//\\/\\\\}"
    [[ $line == *[[:space:]] ]] && whole+=("")
    local COMP_WORDS=("${whole[@]}") COMP_CWORD=$((${#whole[@]} - 1))
    begin=${COMP_WORDS[COMP_CWORD]}
    begin=${begin%"${begin##*["${breaks:- }"]}"}
    begin=${begin%@}
  fi
  _shtab_wgconfine
  COMPREPLY=("${COMPREPLY[@]#"$begin"}")
}

complete -o bashdefault -F _wgconfine wgconfine
"""
ZSH = r"""
_wgconfine_tunnels() {
  local -a names
  names=(/etc/wgconfine/*.toml(N:t:r))
  compadd -a names
}

_wgconfine_services() {
  local -a names
  names=(${(f)"$({
    systemctl list-units --type=service --all --plain --no-legend --no-pager
    systemctl list-unit-files --type=service --no-legend --no-pager
  } 2>/dev/null | sed -n 's/ .*//; /@\.service$/d; /^wgconfine/d; /\.service$/p' | sort -u)"})
  compadd -a names
}

# Confined once and not released since: one of both files is there.
_wgconfine_confined() {
  local -a names
  names=(/etc/systemd/system/*.service.d/zz-wgconfine.conf(N:h:t:r)
    /usr/local/lib/systemd/system/*.service.d/zz-wgconfine-closed.conf(N:h:t:r))
  compadd -a names
}
"""
FISH = r"""
function _wgconfine_tunnels
  for file in /etc/wgconfine/*.toml
    basename $file .toml
  end
end

function _wgconfine_services
  begin
    systemctl list-units --type=service --all --plain --no-legend --no-pager
    systemctl list-unit-files --type=service --no-legend --no-pager
  end 2>/dev/null | sed -n 's/ .*//; /@\.service$/d; /^wgconfine/d; /\.service$/p' | sort -u
end

# Confined once and not released since: one of both files is there.
function _wgconfine_confined
  for file in /etc/systemd/system/*.service.d/zz-wgconfine.conf \
      /usr/local/lib/systemd/system/*.service.d/zz-wgconfine-closed.conf
    basename (dirname $file) .d
  end | sort -u
end
"""
PREAMBLES = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def completion(shell: str) -> str:
    """Give the file of a shell."""
    parser = build_parser()
    for name, each in commands(parser):
        for action in each._actions:  # noqa: SLF001 — shtab's way to say it, too
            set_completion(name, action)
    text = shtab.complete(parser, shell, preamble=PREAMBLES[shell])
    first, _, rest = text.partition("# AUTOMATICALLY GENERATED")
    text = first + HEAD + rest.partition("\n\n")[2]  # how to install it by hand is in docs
    if shell == "bash":
        text = text.rpartition("complete -o bashdefault")[0].rstrip("\n") + "\n" + BASH_END
    return text


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield "", parser
    for action in parser._actions:  # noqa: SLF001 — argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            yield from action.choices.items()


def set_completion(command: str, action: argparse.Action) -> None:
    kind = SPECIAL.get((command, str(action.metavar)), KINDS.get(str(action.metavar)))
    if isinstance(kind, str):
        offered = dict.fromkeys(("bash", "zsh"), kind)
        action.complete = {**offered, "fish": f"({kind})"}  # type: ignore[attr-defined]  # shtab's
    elif kind is not None:
        action.complete = kind  # type: ignore[attr-defined]
