"""Whether a unit can be confined at all, and if not, why and what its owner can do. Pure.

Each rule is one function of the unit's facts.
"""

import os
from collections.abc import Callable, Iterator, Mapping

from wgconfine.config.escape import escape, quote
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Refinement
from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.plan.commandline import split_words
from wgconfine.plan.settled import all_lines, expand, is_yes, last_line, list_lines, problem_at
from wgconfine.plan.unitcommands import COMMAND_RULES
from wgconfine.plan.unitcontainers import CONTAINER_RULES
from wgconfine.plan.unitholes import HOST_RULES
from wgconfine.plan.unitmounts import MOUNT_RULES, RUN_RULES
from wgconfine.plan.unitrights import RIGHT_RULES
from wgconfine.render.places import CLOSING, DROPIN

__all__ = ["check_unit", "named_problems"]

Rule = Callable[[UnitFacts], Iterator[Problem]]
HoleRule = Callable[[UnitFacts, Refinement], Iterator[Problem]]

_EARLY = frozenset(
    {
        "basic.target",
        "cryptsetup.target",
        "cryptsetup-pre.target",
        "local-fs-pre.target",
        "local-fs.target",
        "paths.target",
        "sockets.target",
        "swap.target",
        "sysinit.target",
        "timers.target",
    }
)


def check_unit(
    facts: UnitFacts, ours: Mapping[str, frozenset[str]], said: Refinement | None = None
) -> list[Problem]:
    """Every reason why the unit cannot be confined; empty if it can be.

    `ours` names the settings of our drop-in, section by section; `said` is what its owner opens to
    it. Of a unit that is not loaded only that is said.
    """
    return sorted({problem for _, problem in named_problems(facts, ours, said)})


def named_problems(
    facts: UnitFacts, ours: Mapping[str, frozenset[str]], said: Refinement | None = None
) -> Iterator[tuple[str, Problem]]:
    """The same, each with a stable word for the rule that it breaks: `unit` where none has one."""
    unusable = _unusable(facts)
    if unusable is not None:
        yield "unit", unusable
        return
    for rule in RULES:
        for problem in rule(facts):
            yield NAMES.get(rule, "unit"), problem
    said = said or Refinement(unit=facts.name)
    for hole_rule in HOLE_RULES:
        for problem in hole_rule(facts, said):
            yield "unit", problem
    for problem in _read_after_ours(facts, ours):
        yield "later-drop-in", problem


def _unusable(facts: UnitFacts) -> Problem | None:
    if facts.user_unit and facts.load_state in {"not-found", "masked"}:
        return problem_at(
            facts,
            None,
            "is a user unit only, and a user manager ignores that it shall be confined and runs it"
            " in the open",
            "Make it a system unit in /etc/systemd/system with User=",
        )
    if facts.load_state == "not-found":
        return problem_at(
            facts, None, "there is no such unit", "Install it, or correct its name under services"
        )
    if facts.load_state == "masked":
        return problem_at(
            facts, None, "is masked", f"Unmask it: systemctl unmask {escape(facts.name)}"
        )
    if facts.load_state != "loaded":
        return problem_at(
            facts,
            None,
            f"systemd cannot load it ({escape(facts.load_state)})",
            f"See what is wrong: systemd-analyze verify {escape(facts.name)}",
        )
    return None


def _activated_by_socket(facts: UnitFacts) -> Iterator[Problem]:
    """A listening socket of the host's can be turned into a connection there."""
    for socket in facts.triggered_by:
        if socket.endswith(".socket"):
            yield problem_at(
                facts,
                None,
                f"is started by {escape(socket)}, which hands it a socket of the host's",
                f"Mask the socket: systemctl mask --now {escape(socket)}",
            )
    for line in all_lines(facts, "Service", "Sockets"):
        yield problem_at(
            facts,
            line,
            f"Sockets={quote(line.value)} hands it sockets of the host's",
            "Give it a unit without Sockets=",
        )


def _survives_the_guard(facts: UnitFacts) -> Iterator[Problem]:
    """The guard dies by USR1; listed as success, that lets the service start where it is."""
    for line in list_lines(facts, "Service", "SuccessExitStatus"):
        for word in split_words(line.value):
            if word.removeprefix("SIG") == "USR1":  # a plain 10 is an exit status to systemd
                yield problem_at(
                    facts,
                    line,
                    f"SuccessExitStatus={word} takes the guard's refusal for success",
                    "Reset the list by an empty SuccessExitStatus= in a drop-in, without USR1",
                )


def _joins_another(facts: UnitFacts) -> Iterator[Problem]:
    """It wins over the path, cannot be reset, and another unit's line counts, too."""
    named: set[str] = set()
    for line in all_lines(facts, "Unit", "JoinsNamespaceOf"):
        named.update(expand(facts.name, word) for word in split_words(line.value))
        yield problem_at(
            facts,
            line,
            f"JoinsNamespaceOf={quote(line.value)} wins over the tunnel's namespace",
            "Remove this line; no drop-in can reset it",
        )
    for other in facts.joined:
        if other not in named:
            yield problem_at(
                facts,
                None,
                f"{escape(other)} has JoinsNamespaceOf={escape(facts.name)}, which joins the two in"
                " both directions and wins over the tunnel's namespace",
                f"Remove that line from {escape(other)}, then run systemctl daemon-reload",
            )


def _refuses_hands(facts: UnitFacts) -> Iterator[Problem]:
    """It is stopped before it is confined, and started by name when its tunnel comes back."""
    for key in ("RefuseManualStart", "RefuseManualStop"):
        line = last_line(facts, "Unit", key)
        if line and is_yes(line.value):
            yield problem_at(
                facts,
                line,
                f"{key}=yes forbids what wgconfine has to do: stop it, and start it inside",
                f"Set {key}=no in a drop-in",
            )


def _starts_early(facts: UnitFacts) -> Iterator[Problem]:
    """A tunnel starts after basic.target: this makes a cycle, which systemd breaks at will."""
    for line in all_lines(facts, "Unit", "Before"):
        early = [word for word in split_words(line.value) if word in _EARLY]
        if early:
            yield problem_at(
                facts,
                line,
                f"Before={' '.join(early)} starts it before there can be a tunnel",
                "Start it later: a confined unit comes after basic.target",
            )


def _hides_ours(facts: UnitFacts) -> Iterator[Problem]:
    """Of drop-ins of one name systemd reads the first alone: a higher directory hides ours."""
    for text in facts.texts[1:]:
        if text.path.name in {DROPIN, CLOSING}:
            yield problem_at(
                facts,
                None,
                f"{escape(os.fspath(text.path))} has the name of a file of wgconfine's and is not",
                "Rename it to a name that sorts before zz-wgconfine",
            )


def _read_after_ours(facts: UnitFacts, ours: Mapping[str, frozenset[str]]) -> Iterator[Problem]:
    """The last one read wins; tried."""
    later = {
        text.path for text in facts.texts[1:] if os.fsencode(text.path.name) > os.fsencode(DROPIN)
    }
    for line in facts.assignments:
        if line.path in later and _sets_ours(line, ours):
            yield problem_at(
                facts,
                line,
                f"{line.key}= in this drop-in is read after {DROPIN} and would win",
                f"Rename the drop-in to a name that sorts before {DROPIN}",
            )


def _sets_ours(line: Assignment, ours: Mapping[str, frozenset[str]]) -> bool:
    return line.key in ours.get(line.section, frozenset())


HOLE_RULES: tuple[HoleRule, ...] = (*HOST_RULES, *RUN_RULES)
"""Those that a line of the unit's owner answers: what it needs of the host."""

RULES: tuple[Rule, ...] = (
    _activated_by_socket,
    _survives_the_guard,
    _joins_another,
    *COMMAND_RULES,
    *CONTAINER_RULES,
    _refuses_hands,
    _starts_early,
    _hides_ours,
    *MOUNT_RULES,
    *RIGHT_RULES,
)

NAMES: dict[Rule, str] = {
    _activated_by_socket: "host-socket",
    _joins_another: "joins-namespace",
}
"""The rules whose findings `verify` names by themselves."""
