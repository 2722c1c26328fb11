"""When something that is missing is asked for, and how often."""

from itertools import pairwise

import pytest

from wgconfine.runtime.look import LONG_WAIT, MANY, TRIES, WAIT, Mender

LINK, ROUTE = {"vpn": "link wg0"}, {"vpn": "route ::/0"}


def asked(looks: list[tuple[float, dict[str, str]]]) -> list[tuple[float, str]]:
    """Give when what was asked for, of looks at these times."""
    found: list[tuple[float, str]] = []
    at = 0.0

    def mend(_name: str, what: str) -> None:
        found.append((at, what))

    mender = Mender(mend)
    for at, missing in looks:
        mender.see(missing, at)
    return found


def test_what_is_there_is_not_asked_for() -> None:
    """However often it is looked for."""
    assert [] == asked([(0.0, {}), (1.0, {})])


def test_what_is_missing_is_asked_for_at_once() -> None:
    """Of each tunnel, without a pause before the first time."""
    both = {"a": "its second switch", "b": "its second switch"}
    assert [(7.0, "its second switch")] * 2 == asked([(7.0, both)])


def test_the_same_again_has_growing_pauses_and_an_end() -> None:
    """What does not help is the tick's in the end."""
    times = [at for at, _ in asked([(at / 2, LINK) for at in range(400)])]

    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert [1.0, 2.0, 4.0, 8.0, 16.0] == pauses
    assert TRIES == len(times)


def test_something_else_is_asked_for_soon() -> None:
    """Also after what does not come back was given up."""
    given_up = [(at / 2, ROUTE) for at in range(400)]

    assert (200.0, "link wg0") == asked([*given_up, (200.0, LINK)])[-1]


def test_two_faults_after_one_another() -> None:
    """The second waits until the first had time to be mended."""
    looks = [(0.0, LINK), (WAIT / 2, ROUTE), (WAIT, ROUTE)]

    assert [(0.0, "link wg0"), (WAIT, "route ::/0")] == asked(looks)


@pytest.mark.parametrize(("rounds", "pause"), [(MANY, WAIT), (MANY + 5, LONG_WAIT)])
def test_somebody_who_undoes_it_at_once_each_time(rounds: int, pause: float) -> None:
    """After many times it is done less often, and in time all the same."""
    looks = [(at / 2, [LINK, {}][at % 2]) for at in range(400)]
    times = [at for at, _ in asked(looks)][:rounds]

    assert times[-1] - times[-2] == pause
