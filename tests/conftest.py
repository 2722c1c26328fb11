"""Fixtures of every tier: the lab's machines, and a check that no test leaves anything behind."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A machine that is busy with the lab's machines is no reason for a property not to hold.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

pytest_plugins = ["lab.fixtures"]


# What takes a minute or more, the longest first. A file is one worker's, and one that begins last
# has all the others wait for it.
LONGEST = (
    "vm/test_kernel_wireguard.py",
    "container/test_kinds.py",
    "container/test_publish.py",
    "vm/test_without_ipv6.py",
    "container/test_inbound.py",
    "container/test_holes.py",
    "container/test_verify.py",
    "container/test_init.py",
    "container/test_endpoints.py",
    "container/test_leaks.py",
    "container/test_killed.py",
    "container/test_probes.py",
    "container/test_sandbox.py",
    "container/test_publish_units.py",
    "container/test_via.py",
    "container/test_confinement.py",
    "container/test_confine.py",
    "container/test_reboot.py",
    "container/test_guard.py",
    "container/test_verify_again.py",
    "container/test_hardening.py",
    "container/test_tick.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; within a file, and of the others, the order stays."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get("/".join(item.path.parts[-2:]), len(places)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end how many steps each fault table had: `record_property("table", …)`."""
    reports = (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed"))
    lines = [
        f"{report.nodeid}: {value}"
        for report in reports
        for name, value in report.user_properties
        if name == "table" and report.when == "call"
    ]
    if lines:
        terminalreporter.section("fault tables")
        terminalreporter.write("".join(f"{line}\n" for line in sorted(lines)))


def descriptors() -> set[str]:
    """What this process holds open, less what comes and goes with the listing itself."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{entry.name} {entry.readlink()}")
        except FileNotFoundError:
            continue
    return {each for each in found if not each.endswith(f"/proc/{os.getpid()}/fd")}


def children() -> set[str]:
    """Those of every thread; of one that ends meanwhile they become another's: looked at anew."""
    while True:
        tasks = Path("/proc/self/task").iterdir()
        try:
            return {pid for task in tasks for pid in (task / "children").read_text().split()}
        except (FileNotFoundError, ProcessLookupError):
            continue


def mounts() -> set[str]:
    """Those at places of ours: on a busy machine others come and go."""
    places = ("/run/wgconfine", "/run/netns", "/tmp/pytest-", "/var/lib/wgconfine-test-")  # noqa: S108 — looked at
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line for line in lines if line.split()[4].startswith(places)}


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a child process, an open descriptor or a mount.

    Machines of the lab outlive a test on purpose, and end by their own fixtures.
    """
    if any(request.node.get_closest_marker(mark) for mark in ("container", "vm")):
        yield
        return
    before = children(), descriptors(), mounts()
    yield
    left = [
        sorted(now - then)
        for now, then in zip((children(), descriptors(), mounts()), before, strict=True)
    ]
    assert [[], [], []] == left
