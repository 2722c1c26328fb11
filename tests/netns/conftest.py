"""Machines for the runtime; a tier that cannot run fails and says what is missing."""

from collections.abc import Iterator

import pytest

from tests.netns.machine import Machine, boot


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine of this test's own: nothing is configured and nothing runs."""
    with boot() as machine:
        yield machine


@pytest.fixture
def closed(machine: Machine) -> Machine:
    """Its tunnel is configured and has its namespace, and wireguard-go its link in the host's."""
    machine.configure()
    machine.succeed("netns-up")
    machine.start_wireguard()
    return machine


@pytest.fixture
def tunnel(closed: Machine) -> Machine:
    """Its tunnel is up."""
    closed.succeed("up")
    return closed
