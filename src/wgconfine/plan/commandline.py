"""What the command lines of a unit run in the end: systemd's quoting, prefixes, wrappers, shells.

Pure, and a judgement by names: a program that a script starts on its own is not seen.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

__all__ = ["Command", "commands_of", "split_words"]

Command = tuple[str, ...]
"""The file name of a program, and its arguments."""

_PREFIXES = "-@:+!|"
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "busybox"})
_KEYWORDS = frozenset(
    {"if", "then", "elif", "else", "while", "until", "do", "!", "{", "command", "builtin", "eval"}
)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_SHELL_SEPARATOR = re.compile(r"[;&|()`\n]|\$\(")
_DEPTH = 8

# The options of a wrapper that take the next word with them, and how many plain words follow them.
_WRAPPERS: dict[str, tuple[frozenset[str], int]] = {
    "env": (frozenset({"-u", "--unset", "-C", "--chdir"}), 0),
    "exec": (frozenset({"-a"}), 0),
    "nohup": (frozenset(), 0),
    "setsid": (frozenset(), 0),
    "time": (frozenset({"-f", "-o"}), 0),
    "nice": (frozenset({"-n", "--adjustment"}), 0),
    "ionice": (frozenset({"-c", "-n", "-p", "--class", "--classdata"}), 0),
    "chrt": (frozenset({"-T", "-P", "-D"}), 1),
    "taskset": (frozenset(), 1),
    "timeout": (frozenset({"-s", "--signal", "-k", "--kill-after"}), 1),
    "stdbuf": (frozenset({"-i", "-o", "-e"}), 0),
    "flock": (frozenset({"-w", "--timeout", "-E", "--conflict-exit-code"}), 1),
    "sudo": (frozenset({"-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T", "-U"}), 0),
    "doas": (frozenset({"-u", "-C"}), 0),
    "runuser": (frozenset({"-u", "-g", "-G", "--user", "--group"}), 0),
    "setpriv": (frozenset(), 0),
    "tini": (frozenset({"-p", "-e"}), 0),
    "dumb-init": (frozenset({"-r", "--rewrite"}), 0),
    "chpst": (frozenset({"-u", "-U", "-b", "-e", "-d", "-m", "-o", "-p", "-f", "-c"}), 0),
}


# One piece of a line: an escape, a quote, white space, or any other character.
_PIECE = re.compile(
    r"\\x(?P<hex>[0-9a-fA-F]{2})|\\(?P<escaped>.)"
    r"|(?P<quote>[\"'])|(?P<space>[ \t\n\r]+)|(?P<plain>.)",
    re.DOTALL,
)
_C_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "s": " ", "\\": "\\", '"': '"', "'": "'",
}  # fmt: skip


def split_words(value: str) -> tuple[str, ...]:
    """The words of a value: white space, both quotes and C escapes (systemd.syntax(7), "Quoting").

    An escape that C does not know stays as written; an open quote ends with the value.
    """
    words: list[str] = []
    word: list[str] | None = None
    open_quote = ""
    for piece in _PIECE.finditer(value):
        character = piece["quote"] or piece["space"] or ""
        if piece["quote"] and open_quote in {"", character}:
            open_quote = "" if open_quote else character
            word = [] if word is None else word
        elif piece["space"] and not open_quote:
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = [] if word is None else word
            word.append(character or _unescaped(piece))
    if word is not None:
        words.append("".join(word))
    return tuple(words)


def _unescaped(piece: re.Match[str]) -> str:
    if piece["hex"]:
        return chr(int(piece["hex"], 16))
    if piece["escaped"]:
        return _C_ESCAPES.get(piece["escaped"], piece.group())
    return piece["plain"]


def commands_of(value: str) -> Iterator[Command]:
    """What one `Exec…=` line runs: each command of it, and each that a wrapper or `sh -c` names."""
    words: list[str] = []
    for word in (*split_words(value), ";"):
        if word != ";":
            words.append(word)
        elif words:
            yield from _of_line(words)
            words = []


def _of_line(words: Sequence[str]) -> Iterator[Command]:
    program = words[0].lstrip(_PREFIXES)
    prefixes = words[0].removesuffix(program)
    if "|" in prefixes:  # since 258: by the user's shell
        yield from _of_script(" ".join((program, *words[1:])), _DEPTH)
        return
    arguments = words[2:] if "@" in prefixes else words[1:]  # `@`: the next word is argv[0]
    if program:
        yield from _of_words((program, *arguments), _DEPTH)


def _of_words(words: Sequence[str], depth: int) -> Iterator[Command]:
    """The command itself, and the one that it stands in front of."""
    while words and (_ASSIGNMENT.fullmatch(words[0]) or words[0] in _KEYWORDS):
        words = words[1:]
    if not words or not depth:
        return
    name, arguments = PurePosixPath(words[0]).name, words[1:]
    yield (name, *arguments)
    if name in _SHELLS:
        script = _script_of(arguments)
        if script is not None:
            yield from _of_script(script, depth - 1)
    elif name in _WRAPPERS:
        yield from _of_words(_behind_wrapper(name, arguments), depth - 1)


def _script_of(arguments: Sequence[str]) -> str | None:
    """What follows `-c`, also in `-ec` or, of busybox, `sh -c`."""
    for index, argument in enumerate(arguments[:-1]):
        if argument.startswith("-") and not argument.startswith("--") and argument.endswith("c"):
            return arguments[index + 1]
    return None


def _of_script(script: str, depth: int) -> Iterator[Command]:
    for part in _SHELL_SEPARATOR.split(script):
        yield from _of_words(split_words(part), depth)


def _behind_wrapper(name: str, arguments: Sequence[str]) -> Sequence[str]:
    with_value, plain = _WRAPPERS[name]
    index = 0
    while index < len(arguments) and arguments[index].startswith("-"):
        option = arguments[index]
        index += 2 if option in with_value else 1
        if option == "--":
            break
    if name == "env":
        while index < len(arguments) and _ASSIGNMENT.fullmatch(arguments[index]):
            index += 1
    return arguments[index + plain :]
