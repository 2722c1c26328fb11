"""`make leak-table`: try every channel on every systemd, and write the record and the page."""

import sys
from pathlib import Path

from lab import RELEASES, boot_container
from lab.layers import build_wheelhouse
from tests.leaks.channel import Form, Outcome
from tests.leaks.channels import CHANNELS
from tests.leaks.machine import BEATS, EXTRA_PACKAGES, run_channels
from tests.leaks.table import FOUND, PAGE, dump_found, render


def try_release(release: str, wheelhouse: Path) -> dict[str, dict[Form, Outcome]]:
    with boot_container(release, wheelhouse=wheelhouse, extra_packages=EXTRA_PACKAGES) as world:
        tried = run_channels(world, CHANNELS)
    for trial in (each for forms in tried.values() for each in forms.values()):
        if trial.outcome is not Outcome.REFUSED and (trial.beats < BEATS or trial.astray):
            sys.exit(f"{release}: {trial.unit}: {trial.beats} inside, {trial.astray} outside")
    return {name: {form: forms[form].outcome for form in Form} for name, forms in tried.items()}


def main() -> None:
    wheelhouse = build_wheelhouse(Path(__file__).parents[2])
    found = {}
    for release in RELEASES:
        found[release] = try_release(release, wheelhouse)
        sys.stderr.write(f"{release}: {len(found[release])} channels tried\n")
    FOUND.write_text(dump_found(found), encoding="utf-8")
    PAGE.write_text(render(found), encoding="utf-8")


main()
