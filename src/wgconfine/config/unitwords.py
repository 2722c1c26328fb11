"""What a person types for services: names with or without `.service`, and patterns."""

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from wgconfine.config.escape import quote
from wgconfine.config.unitnames import SUFFIXES, parse_service
from wgconfine.config.values import WrongValueError
from wgconfine.config.words import suggest_services
from wgconfine.model.settings import UnitName

__all__ = ["find_services"]

_WILD = frozenset("*?[")
_SUFFIX = ".service"


def full_name(word: str) -> str:
    """Give `word` with `.service`, unless it has the suffix of a unit: systemctl does the same."""
    return word if word.rpartition(".")[2] in SUFFIXES else word + _SUFFIX


def find_services(
    words: Iterable[str], known: Collection[UnitName], kind: str = "service"
) -> list[UnitName]:
    """Give the services that words stand for, each once, in the order of the words.

    A pattern (`*`, `?`, `[ab]`) stands for all of `known` that it fits, and must fit one; a name
    may be of a service that is not among them. `kind` is the word for one of `known`. Raises
    WrongValueError.
    """
    found: dict[UnitName, None] = {}
    for word in words:
        if _WILD.isdisjoint(word):
            found[parse_service(full_name(word) if word else word)] = None
            continue
        fitting = [unit for unit in sorted(known) if fnmatchcase(unit, full_name(word))]
        if not fitting:
            hint = suggest_services("".join(each for each in word if each not in _WILD), known)
            raise WrongValueError(f"{quote(word)} fits no {kind}", hint)
        found |= dict.fromkeys(fitting)
    return list(found)
