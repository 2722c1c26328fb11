"""Words in colour. The word stays what it is: nothing is said by colour alone."""

import re

__all__ = ["painted"]

GREEN, YELLOW, RED, BOLD = "32", "33", "31", "1"
TONES = {
    **dict.fromkeys(("up", "confined", "ok", "fine", "listening"), GREEN),
    **dict.fromkeys(("waiting", "degraded", "starting", "stopping", "unknown"), YELLOW),
    **dict.fromkeys(
        ("does not work", "not all could be checked", "not looked at", "closed"), YELLOW
    ),
    **dict.fromkeys(
        ("LEAK", "NOT CONFINED", "not confined", "refused", "failed", "WILL NOT WORK"), RED
    ),
}
"""What a tunnel, a service, a port or a check is called."""

_TONED = "|".join(map(re.escape, TONES))
# A name or a port before the word, or nothing: what somebody wrote elsewhere in a line stays plain.
_LINE = re.compile(
    r"(?P<before>(?:  )?(?!why: |next: )(?:(?:publish|reach|exec) .*: |verify [^:]* ago: |\S+: )?)"
    rf"(?P<word>{_TONED})(?P<after>(?:[ ,.:(].*)?)"
)
_PROBLEM = "  ! "


def painted(line: str) -> str:
    """Give a line of `status`, `verify` or `doctor` with the word that it is about in colour."""
    if line.startswith(_PROBLEM):
        return f"  {paint('!', f'{BOLD};{RED}')} {line.removeprefix(_PROBLEM)}"
    if (found := _LINE.fullmatch(line)) is None:
        return line
    before, word, after = found.groups()
    return f"{before}{paint(word, TONES[word])}{after}"


def paint(text: str, codes: str) -> str:
    return f"\x1b[{codes}m{text}\x1b[0m"
