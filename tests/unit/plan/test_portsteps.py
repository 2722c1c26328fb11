"""What `apply` asks of sockets: nothing of those that it is not about."""

from pathlib import PurePosixPath

from wgconfine.model.tree import File
from wgconfine.plan.difference import Change, ChangeKind
from wgconfine.plan.steps import Action, Running, UnitStep, live_steps
from wgconfine.plan.unfinished import Unfinished

NETNS, TUNNEL = "wgconfine-netns@vpn.service", "wgconfine@vpn.service"
SOCKET = "wgconfine-publish@vpn.8080.socket"
OTHER = "wgconfine-reach@vpn.127.0.0.1:5432.socket"
PLACE = "/etc/systemd/system"


def change(path: str, kind: ChangeKind) -> Change:
    file = File(path=PurePosixPath(path), text="")
    before = None if kind is ChangeKind.CREATE else file
    after = None if kind is ChangeKind.REMOVE else file
    return Change(kind=kind, path=file.path, before=before, after=after)


def asked(
    *changes: Change,
    running: tuple[str, ...] = (NETNS, TUNNEL, SOCKET, OTHER),
    failed: tuple[str, ...] = (),
    unfinished: Unfinished | None = None,
) -> list[tuple[Action, str]]:
    """Give what is asked of sockets, in order."""
    machine = Running(
        units=frozenset(running),
        failed_ports=frozenset(failed),
        unfinished=unfinished or Unfinished(),
    )
    return [
        (step.action, unit)
        for step in live_steps(changes, machine, frozenset())
        if isinstance(step, UnitStep)
        for unit in step.units
        if unit.endswith((".socket", ".8080.*"))
    ]


def test_a_change_elsewhere_leaves_every_socket_alone() -> None:
    """Also one of the template: whoever is connected stays so."""
    other = change(f"{PLACE}/wgconfine-publish@.service", ChangeKind.UPDATE)

    assert [] == asked(change("/etc/wgconfine/vpn.json", ChangeKind.UPDATE), other)


def test_a_socket_that_changes_listens_anew() -> None:
    """And one whose proxy connects elsewhere."""
    restarted = [(Action.RESTART, SOCKET)]
    dropin = f"{PLACE}/{SOCKET.removesuffix('.socket')}.service.d/wgconfine.conf"

    assert restarted == asked(change(f"{PLACE}/{SOCKET}", ChangeKind.UPDATE))
    assert restarted == asked(change(dropin, ChangeKind.UPDATE))
    assert restarted == asked(
        change(dropin, ChangeKind.UPDATE), change(f"{PLACE}/{SOCKET}", ChangeKind.UPDATE)
    )


def test_a_socket_that_goes_is_stopped_before_others_start() -> None:
    """Another tunnel may want its port; systemd forgets that it failed."""
    new = "wgconfine-publish@two.8080.socket"
    running = (NETNS, TUNNEL, SOCKET, "wgconfine-netns@two.service")

    assert [
        (Action.STOP, SOCKET),
        (Action.RESET_FAILED, "wgconfine-publish@vpn.8080.*"),
        (Action.START, new),
    ] == asked(
        change(f"{PLACE}/{SOCKET}", ChangeKind.REMOVE),
        change(f"{PLACE}/{new}", ChangeKind.CREATE),
        running=running,
    )


def test_a_new_socket_of_a_tunnel_that_does_not_run_waits_for_it() -> None:
    """To start it would start the tunnel's namespace, which its owner may have stopped."""
    new = change(f"{PLACE}/{SOCKET}", ChangeKind.CREATE)

    assert [] == asked(new, running=())
    assert [(Action.START, SOCKET)] == asked(new, running=(NETNS,))


def test_one_that_failed_is_tried_again_and_one_that_was_stopped_is_not() -> None:
    """Its owner may have stopped it."""
    update = change(f"{PLACE}/{SOCKET}", ChangeKind.UPDATE)

    assert [] == asked(update, running=(NETNS,))
    assert [(Action.START, SOCKET)] == asked(running=(NETNS,), failed=(SOCKET,))


def test_what_an_apply_left_unstarted_starts_the_next_time() -> None:
    """It was new, and the run was cut off; it is not taken for a service."""
    left = Unfinished(starting=frozenset({SOCKET}))

    assert [(Action.START, SOCKET)] == asked(running=(NETNS, TUNNEL), unfinished=left)
    assert [] == asked(unfinished=left)


def test_what_watches_a_file_no_more_is_stopped_while_its_unit_is_there() -> None:
    """Without it systemd would go on watching, and fail when it wants to start something."""
    watch = "wgconfine-watch@vpn.0.path"
    steps = live_steps([change(f"{PLACE}/{watch}", ChangeKind.REMOVE)], Running(), frozenset())
    described = [step.describe() for step in steps]

    stop = f"stop {watch}  (its file is not watched any more)"
    assert [stop, f"remove {PLACE}/{watch}"] == described[:2]
    assert [] == [
        step
        for step in live_steps(
            [change(f"{PLACE}/{watch}", ChangeKind.CREATE)], Running(), frozenset()
        )
        if isinstance(step, UnitStep) and watch in step.units
    ]
