"""What is said of units that start containers themselves."""

from pathlib import PurePosixPath

import pytest

from wgconfine.model.problem import Problem
from wgconfine.model.settings import UnitName
from wgconfine.model.units import UnitText
from wgconfine.plan.unitcheck import check_unit
from wgconfine.plan.unitfile import build_facts
from wgconfine.render.service import dropin_settings

MAIN = PurePosixPath("/run/systemd/generator/web.service")
PATH = "ns:/run/netns/vpn"


def check(*lines: str) -> list[Problem]:
    text = UnitText(path=MAIN, text="\n".join(("[Service]", *lines)))
    facts = build_facts(name=UnitName("web.service"), load_state="loaded", texts=[text])
    return check_unit(facts, dropin_settings())


@pytest.mark.parametrize(
    "arguments", [f"--network {PATH}", f"--network={PATH}", f"--net {PATH}", f"-d --net={PATH} -d"]
)
def test_who_joins_as_root_is_told_to_leave_services(arguments: str) -> None:
    """Podman lets the container join by itself, and is told which unit does that right."""
    (problem,) = check(f"ExecStart=/usr/bin/podman run {arguments} x")

    assert f"lets the container join '{PATH}' by itself" in problem.what
    assert problem.hint.startswith("Take it out of services: docs/containers.md")


@pytest.mark.parametrize(
    "line",
    [
        "ExecStart=/usr/bin/podman run x",
        "ExecStart=/usr/bin/podman run --network",
        "ExecStart=/usr/bin/podman run --network host x",
        "ExecStart=/usr/bin/podman-compose up",
        "ExecStart=/bin/sh -c 'exec podman start x'",
        "User=x\nExecStart=/usr/bin/x\nExecStopPost=+/usr/bin/podman rm x",
        "User=x\nExecStart=!/usr/bin/podman run x",
    ],
)
def test_podman_as_root_is_refused_with_both_ways(line: str) -> None:
    """One command of root's is enough, whatever starts it."""
    (problem,) = check(line)

    assert "runs podman as root" in problem.what
    assert "forget the containers" in problem.what
    assert "--network ns:/run/netns/NAME" in problem.hint
    assert "docs/containers.md" in problem.hint


def test_podman_is_named_once() -> None:
    """A unit of Quadlet's runs it three times."""
    podman = "/usr/bin/podman"
    (problem,) = check(
        f"ExecStart={podman} run --network {PATH} x",
        f"ExecStop={podman} rm -f x",
        f"ExecStopPost=-{podman} rm -f x",
    )
    assert f"web.service ({MAIN}:2)" == problem.where


def test_a_user_is_told_that_the_path_is_roots() -> None:
    """It would fail, closed, at each start."""
    (problem,) = check("User=x", f"ExecStart=/usr/bin/podman run --network {PATH} x")

    assert "which the kernel allows to root alone" in problem.what
    assert problem.hint.startswith("Write --network host")


@pytest.mark.parametrize("options", ["", "--network host", "--network=pasta", "-v /srv:/srv"])
def test_a_users_podman_is_let_through(options: str) -> None:
    """Its containers are its children, and what they open is below the tunnel."""
    assert [] == check("User=x", f"ExecStart=/usr/bin/podman run {options} x")


def test_a_service_of_podmans_is_somebody_else() -> None:
    """As root and as a user, that alone is said."""
    for user in ("root", "x"):
        (problem,) = check(f"User={user}", "ExecStart=/usr/bin/podman --remote run x")
        assert "only asks podman's service" in problem.what
        assert "docs/containers.md" in problem.hint


@pytest.mark.parametrize("option", ["--network-namespace-path=", "--network-namespace-path "])
def test_nspawn_by_the_path_is_told_to_leave_services(option: str) -> None:
    """There is no /run/netns in a confined service."""
    (problem,) = check(f"ExecStart=/usr/bin/systemd-nspawn {option}/run/netns/vpn -D /srv/x")

    assert "join '/run/netns/vpn' by itself" in problem.what
    assert "docs/containers.md" in problem.hint


def test_nspawn_without_a_path_is_let_through() -> None:
    """Its container is in the network that nspawn is in."""
    assert [] == check("ExecStart=/usr/bin/systemd-nspawn --register=no --keep-unit -D /srv/x")


@pytest.mark.parametrize(
    "program",
    [
        *("docker run x", "docker compose up", "docker-compose up", "nerdctl run x", "ctr run x"),
        *("crictl runp x", "kubectl apply x", "lxc start x", "incus start x", "machinectl start x"),
        *("kind create cluster", "k3d cluster create", "minikube start", "buildctl build"),
        *("helm install x", "podman-remote run x"),
    ],
)
def test_a_client_of_a_daemon_is_told_what_works(program: str) -> None:
    """Where the work is done, and the page with recipes that work."""
    (problem,) = check(f"ExecStart=/usr/bin/{program}")

    assert "the work is done elsewhere, outside of the tunnel" in problem.what
    assert problem.hint.endswith("docs/containers.md")
