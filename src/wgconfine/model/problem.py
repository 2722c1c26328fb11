"""What is wrong with an input, as a value that can be collected and shown all at once."""

from dataclasses import dataclass

__all__ = ["Problem"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One thing wrong with an input.

    `where` is `FILE:LINE`, `FILE: KEY.PATH` or a unit's name; `what` says what is wrong there;
    `hint` is one imperative sentence, or empty.
    """

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        end = "" if self.hint.endswith("?") else "."
        return f"{self.where}: {self.what}." + (f" {self.hint}{end}" if self.hint else "")
