"""Every way out, tried by the same probe in a service of the recipe's form and in ours.

The recipe's is the control: the channel is seen to leak there, or the test proves nothing. What was
found on each systemd is recorded in tests/leaks/found.json by `make leak-table`, and the same here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import RELEASES, boot_container
from tests.leaks.channel import OUT, Channel, Form, Outcome
from tests.leaks.channels import CHANNELS
from tests.leaks.machine import BEATS, EXTRA_PACKAGES, Trial, run_channels
from tests.leaks.table import SYSTEMD, load_found

pytestmark = pytest.mark.container

WHOLE = "trixie"
"""The release on which every run tries all channels; on the others it tries the essential ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Channels on one release; `whole` runs are for `make test-long`."""

    release: str
    whole: bool

    @property
    def channels(self) -> Sequence[Channel]:
        if self.whole:
            return CHANNELS
        quick = [channel for channel in CHANNELS if not channel.minute]
        essential = [channel for channel in quick if channel.essential]
        return quick if self.release == WHOLE else essential

    @property
    def forms(self) -> tuple[Form, ...]:
        return tuple(Form) if self.whole else (Form.RECIPE, Form.BASELINE)

    def __str__(self) -> str:
        return f"{self.release}-whole" if self.whole else self.release


RUNS = [Run(release=name, whole=whole) for whole in (False, True) for name in RELEASES]
CASES = [
    pytest.param(run, channel.name, id=f"{run}-{channel.name}", marks=marks)
    for run in RUNS
    for channel in run.channels
    for marks in [[pytest.mark.long] if run.whole else []]
]
Tried = Mapping[str, Mapping[Form, Trial]]


@pytest.fixture(scope="module")
def runs() -> dict[Run, Tried]:
    """What is there of each run so far."""
    return {}


@pytest.fixture
def tried(request: pytest.FixtureRequest, wheelhouse: Path, runs: dict[Run, Tried]) -> Tried:
    """What became of each channel of a run, which is made for the first test that asks."""
    run: Run = request.param
    if run not in runs:
        runs[run] = {}  # a run that fails is not made again
        with boot_container(
            run.release, wheelhouse=wheelhouse, extra_packages=EXTRA_PACKAGES
        ) as world:
            runs[run] = run_channels(world, run.channels, run.forms)
    return runs[run]


def tried_ones(trials: Mapping[Form, Trial]) -> Sequence[Trial]:
    return [each for each in trials.values() if each.outcome is not Outcome.REFUSED]


@pytest.mark.parametrize(("tried", "name"), CASES, indirect=["tried"])
def test_channel(request: pytest.FixtureRequest, tried: Tried, name: str) -> None:
    """The control shows the channel, ours shows none, and both are as it was recorded."""
    run: Run = request.node.callspec.params["tried"]
    trials = tried[name]
    said = "\n".join(
        f"{trial.unit}: {trial.beats} inside\n{trial.said}" for trial in trials.values()
    )
    found = {form: trial.outcome for form, trial in trials.items()}
    channel = trials[Form.RECIPE].channel
    leaks = {form for form, outcome in found.items() if outcome in OUT} - {Form.RECIPE}
    recorded = load_found()[run.release][name]

    assert all(each.beats >= BEATS and not each.astray for each in tried_ones(trials)), said
    assert found[Form.RECIPE] in channel.control(int(SYSTEMD[run.release])), said
    assert channel.open & set(run.forms) == leaks, said
    assert {form: recorded[form] for form in run.forms} == found, said
