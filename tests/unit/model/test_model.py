"""Values that every layer speaks in."""

from pathlib import PurePosixPath

import pytest

from wgconfine.model.errors import (
    ExitCode,
    NeedsRoot,
    OperationFailed,
    ProblemsFound,
    Refused,
    WgconfineError,
)
from wgconfine.model.problem import Problem
from wgconfine.model.settings import Endpoint, UnitName
from wgconfine.model.state import UnitState, judge
from wgconfine.model.units import Assignment, UnitFacts


def test_exit_codes_are_those_of_the_manual() -> None:
    """Scripts rely on them."""
    assert {0, 1, 2, 3, 4, 5, 6, 7, 70, 78} == set(map(int, ExitCode))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WgconfineError(), 1),
        (OperationFailed("step", "cause"), 1),
        (Refused(), 2),
        (NeedsRoot(), 4),
        (ProblemsFound([]), 78),
    ],
)
def test_each_error_has_its_exit_code(error: WgconfineError, code: int) -> None:
    """By its class alone."""
    assert code == error.exit_code


def test_problems_are_sorted_and_each_said_once() -> None:
    """However often and in whatever order they were found."""
    first, second = Problem(where="a.toml", what="bad"), Problem(where="b.toml", what="worse")

    assert ProblemsFound([second, first, second]).problems == (first, second)


def test_problems_of_a_file_are_in_the_order_of_its_lines() -> None:
    """Not in that of their digits; what is of the whole file, or of a line of a unit, too."""
    places = [
        "a.conf",
        "a.conf:2",
        "a.conf:10",
        "x.service (/x.service:9)",
        "x.service (/x.service:10)",
    ]
    problems = [Problem(where=each, what="is bad") for each in places]

    assert places == [each.where for each in ProblemsFound(problems[::-1]).problems]


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem(where="a.toml:3", what="is bad"), "a.toml:3: is bad."),
        (Problem(where="a.toml:3", what="is bad", hint="Mend it"), "a.toml:3: is bad. Mend it."),
    ],
)
def test_a_problem_is_one_line(problem: Problem, line: str) -> None:
    """`where: what. hint.`"""
    assert line == str(problem)


def test_a_failed_operation_says_step_cause_and_hint() -> None:
    """The hint on a line of its own."""
    assert (
        str(OperationFailed("stop x", "timed out", "Try again")) == "stop x: timed out\nTry again"
    )


@pytest.mark.parametrize(
    ("host", "text"), [("192.0.2.1", "192.0.2.1:5"), ("::1", "[::1]:5"), ("a.b", "a.b:5")]
)
def test_an_endpoint_is_written_as_wg_reads_it(host: str, text: str) -> None:
    """IPv6 in brackets."""
    assert text == str(Endpoint(host=host, port=5))


def facts(*lines: tuple[str, str]) -> UnitFacts:
    path = PurePosixPath("/x.service")
    assignments = tuple(
        Assignment(section="Service", key=key, value=text, path=path, line=number)
        for number, (key, text) in enumerate(lines)
    )
    return UnitFacts(name=UnitName("x.service"), load_state="loaded", assignments=assignments)


def test_a_list_setting_holds_what_comes_after_its_last_reset() -> None:
    """systemd.syntax(7)."""
    found = facts(("ExecStart", "a"), ("ExecStart", ""), ("ExecStart", "b"), ("ExecStart", "c"))

    assert found.values("Service", "ExecStart") == ("b", "c")
    assert found.values("Unit", "ExecStart") == ()


def test_a_scalar_setting_holds_its_last_value() -> None:
    """An empty one included; never set is empty too."""
    found = facts(("User", "a"), ("User", "b"), ("Group", "g"), ("Group", ""))

    assert ("b", "", "") == tuple(found.value("Service", key) for key in ("User", "Group", "Slice"))


def unit(**values: object) -> UnitState:
    return UnitState(name="x.service", **values)  # type: ignore[arg-type]  # a test's few words


@pytest.mark.parametrize(
    ("state", "judgement"),
    [
        (unit(active="active"), "running"),
        (unit(active="reloading"), "running"),
        (unit(active="refreshing"), "running"),
        (unit(active="deactivating"), "stopping"),
        (unit(active="activating", sub="start"), "starting"),
        (unit(active="activating", sub="auto-restart"), "failed"),
        (unit(active="activating", sub="auto-restart-queued"), "failed"),
        (unit(active="failed"), "failed"),
        (unit(), "stopped"),
        (unit(load="not-found"), "not-found"),
        (unit(load="masked"), "masked"),
        (unit(active="failed", condition_code="killed", condition_status=10), "refused"),
        (unit(active="failed", condition_code="dumped", condition_status=10), "refused"),
        (unit(active="failed", condition_code="killed", condition_status=9), "failed"),
        (unit(active="activating", sub="auto-restart", condition_code="killed",
              condition_status=10), "refused"),
        (unit(assertion=False), "refused"),
        (unit(condition=False), "refused"),
        (unit(result="exec-condition"), "refused"),
        (unit(condition_code="exited", condition_status=203), "refused"),
        (unit(condition_code="exited", condition_status=226), "refused"),
        (unit(active="active", assertion=False), "running"),
    ],
)  # fmt: skip
def test_what_was_kept_from_running_is_never_called_stopped(
    state: UnitState, judgement: str
) -> None:
    """Invariant 1: systemd calls most of these inactive with success."""
    assert judgement == judge(state)
