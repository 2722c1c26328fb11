"""The order of what `apply` does: killed anywhere in between, a service is closed or confined."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from wgconfine.model.settings import ConfFile, Settings, TunnelName, UnitName
from wgconfine.model.tree import File, Tree
from wgconfine.model.units import UnitFacts, UnitText
from wgconfine.plan.desired import Machine, desired_tree
from wgconfine.plan.difference import Change, ChangeKind, compare
from wgconfine.plan.steps import (
    Action,
    FileStep,
    Running,
    Step,
    UnitStep,
    file_steps,
    live_steps,
    under_way,
)
from wgconfine.plan.unfinished import RELEASE, Unfinished
from wgconfine.plan.unitfile import build_facts
from wgconfine.render.catalog import CATALOG
from wgconfine.render.places import UNITS, closing_path, command_dropin_path, dropin_path
from wgconfine.render.templates import TICK

A, B = UnitName("a.service"), UnitName("b.service")
TUNNEL, NETNS = "wgconfine@vpn.service", "wgconfine-netns@vpn.service"
OTHER = "wgconfine@other.service"
SWITCH = "wgconfine-switch@vpn.service"
COMMAND = UnitName("wgconfine-exec-vpn-4711_0a1b2c.service")


def facts(unit: UnitName, text: str = "") -> UnitFacts:
    path = PurePosixPath(f"/usr/lib/systemd/system/{unit}")
    main = UnitText(path=path, text=f"[Service]\nExecStart=/bin/x\n{text}")
    return build_facts(name=unit, load_state="loaded", texts=[main])


def tree(
    tunnels: Mapping[str, Sequence[UnitName]],
    *,
    unreleased: Sequence[UnitName] = (),
    dns: bool = False,
    kernel: bool = True,
    unit_text: str = "",
) -> Tree:
    settings = [
        Settings(
            name=TunnelName(name),
            path=PurePosixPath(f"/etc/wgconfine/{name}.toml"),
            digest="0",
            wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
            services=tuple(services),
            dns=() if dns else None,
        )
        for name, services in tunnels.items()
    ]
    known = {unit: facts(unit, unit_text) for unit in (A, B)}
    machine = Machine(python=PurePosixPath("/usr/bin/python3"), kernel_wireguard=kernel)
    return desired_tree(settings, known, machine, unreleased=unreleased)


def steps(
    desired: Tree, installed: Tree, *running: str, released: Sequence[UnitName] = ()
) -> list[Step]:
    machine = Running(units=frozenset(running))
    return live_steps(compare(desired, installed), machine, frozenset(released))


def units(found: Sequence[Step], action: Action) -> list[str]:
    """What is asked of systemd, in order."""
    asked = [step for step in found if isinstance(step, UnitStep) and step.action is action]
    return [unit for step in asked for unit in step.units]


def place(found: Sequence[Step], wanted: Action | PurePosixPath, unit: str = "") -> int:
    """Where in the order a file or a unit's turn comes; -1 if never."""
    for position, step in enumerate(found):
        match step:
            case FileStep(change=change) if change.path == wanted:
                return position
            case UnitStep(action=action, units=names) if action is wanted and unit in names:
                return position
    return -1


def test_without_a_change_there_is_no_step() -> None:
    """Not even a daemon-reload."""
    assert steps(tree({"vpn": [A]}), tree({"vpn": [A]}), A, TUNNEL) == []


def test_closing_files_are_written_and_read_before_anything_else() -> None:
    """From then on the service starts confined or not at all."""
    found = steps(tree({"vpn": [A, B]}), {})

    assert [closing_path(A), closing_path(B)] == [
        step.change.path for step in found[:2] if isinstance(step, FileStep)
    ]
    assert found[2] == UnitStep(action=Action.DAEMON_RELOAD)


def test_whatever_was_started_meanwhile_stops_once_systemd_knows_the_files() -> None:
    """Also a service that did not run when we looked: a timer may have started it since."""
    found = steps(tree({"vpn": [A]}), {})
    last_reload = max(
        index
        for index, step in enumerate(found)
        if isinstance(step, UnitStep) and step.action is Action.DAEMON_RELOAD
    )
    assert place(found, Action.ENSURE_STOPPED, A) > last_reload
    assert place(found, Action.ENSURE_STOPPED, A) < place(found, Action.START, TUNNEL)


def test_a_service_that_runs_outside_is_brought_in_without_a_change_of_files() -> None:
    """`apply` looks at the machine and not only at its own files."""
    machine = Running(units=frozenset({A, TUNNEL}), outside=frozenset({A}))
    found = live_steps([], machine, frozenset())
    assert [Action.STOP, Action.ENSURE_STOPPED, Action.START] == [
        step.action for step in found if isinstance(step, UnitStep)
    ]


def test_a_tunnel_that_runs_by_an_older_record_is_reloaded() -> None:
    """A killed `apply` wrote the record and did not come to the reload: the next one does."""
    machine = Running(
        units=frozenset({TUNNEL}), not_in_force=frozenset({TunnelName("vpn")}), stale_units=True
    )
    assert [
        UnitStep(action=Action.DAEMON_RELOAD),
        UnitStep(action=Action.RELOAD, units=(TUNNEL,)),
    ] == live_steps([], machine, frozenset())


def test_a_running_tunnel_gets_the_second_switch_that_is_new() -> None:
    """Without a restart of itself or of a service; one that runs only loads its rule again."""
    wanted = tree({"vpn": [A], "other": [B]})
    older = {path: file for path, file in wanted.items() if "wgconfine-switch@" not in str(path)}
    for running, action in (({A, TUNNEL}, Action.START), ({A, TUNNEL, SWITCH}, Action.RELOAD)):
        found = [step for step in steps(wanted, older, *running) if isinstance(step, UnitStep)]
        assert [
            UnitStep(action=Action.DAEMON_RELOAD),
            UnitStep(action=action, units=(SWITCH,), why="its rule is new"),
        ] == found


def test_a_new_service_leaves_the_second_switch_alone() -> None:
    """The rule is about the slice, whoever is in it."""
    found = steps(tree({"vpn": [A, B]}), tree({"vpn": [A]}), A, TUNNEL, SWITCH)

    asked = [step for step in found if isinstance(step, UnitStep)]
    assert [] == [step for step in asked if SWITCH in step.units]


def test_the_second_switch_of_a_tunnel_that_goes_stops_after_it() -> None:
    """It would start again as long as the tunnel runs, which upholds it."""
    found = steps({}, tree({"vpn": [A]}), A, TUNNEL, NETNS, SWITCH)

    assert [A, TUNNEL, NETNS, SWITCH] == units(found, Action.STOP)
    assert [] == units(found, Action.START) + units(found, Action.RELOAD)


def test_what_ran_before_a_run_was_cut_off_is_started_by_the_next() -> None:
    """Also a tunnel that was to be started: its files are there already."""
    cut_off = under_way(steps(tree({"vpn": [A]}), {}, A))
    machine = Running(unfinished=cut_off)
    assert [
        "daemon-reload",
        "ensure stopped a.service",
        f"start {TUNNEL}",
        "start a.service  (inside; it ran before an apply that did not come to its end)",
    ] == [step.describe() for step in live_steps([], machine, frozenset())]


def test_what_was_started_in_the_open_meanwhile_is_stopped() -> None:
    """Whoever did: until its files are read it may not run."""
    machine = Running(units=frozenset({A}), unfinished=Unfinished(stopped=frozenset({A})))
    assert [Action.STOP, Action.DAEMON_RELOAD, Action.ENSURE_STOPPED, Action.START] == [
        step.action for step in live_steps([], machine, frozenset()) if isinstance(step, UnitStep)
    ]


def test_a_tunnel_whose_restart_was_cut_off_is_restarted() -> None:
    """Or started, where it was stopped by then."""
    cut_off = Unfinished(restarting=frozenset({TUNNEL}))
    for running, action in (({TUNNEL}, Action.RESTART), (set[str](), Action.START)):
        machine = Running(units=frozenset(running), unfinished=cut_off)
        assert units(live_steps([], machine, frozenset()), action) == [TUNNEL]


def test_the_word_of_a_release_is_nobody_elses() -> None:
    """Another command leaves such a service as it is, unless the settings confine it again."""
    cut_off = Unfinished(stopped=frozenset({A}), released={A: RELEASE})
    assert cut_off.half_released(confined=[], released=[]) == {A}
    assert cut_off.half_released(confined=[], released=[A]) == frozenset()
    assert cut_off.half_released(confined=[A], released=[]) == frozenset()
    assert cut_off.only([A]) == cut_off
    assert not cut_off.only([B])


def test_a_running_service_stops_before_its_drop_in_is_written() -> None:
    """Invariant 6: it never goes on in the open beside files that say it is confined."""
    found = steps(tree({"vpn": [A]}), {}, A)

    stop, write, start = (
        place(found, Action.STOP, A),
        place(found, dropin_path(A)),
        place(found, Action.START, A),
    )
    assert 0 <= stop < write < start


def test_a_service_starts_again_after_its_tunnel_and_the_reload() -> None:
    """Inside."""
    found = steps(tree({"vpn": [A]}), {}, A)
    reload = max(n for n, step in enumerate(found) if step == UnitStep(action=Action.DAEMON_RELOAD))

    assert reload < place(found, Action.START, TUNNEL) < place(found, Action.START, A)


def test_what_did_not_run_is_not_started() -> None:
    """Its owner decides."""
    assert units(steps(tree({"vpn": [A]}), {}), Action.START) == [TUNNEL, TICK]


def test_another_digest_restarts_nothing() -> None:
    """A package upgrade rewrites a comment of the drop-in."""
    found = steps(tree({"vpn": [A]}, unit_text="Nice=1\n"), tree({"vpn": [A]}), A, TUNNEL)

    assert ["update /etc/systemd/system/a.service.d/zz-wgconfine.conf", "daemon-reload"] == [
        step.describe() for step in found
    ]


def test_a_changed_setting_reloads_the_tunnel_alone() -> None:
    """No service restarts, and no packet goes outside."""
    found = steps(tree({"vpn": [A]}, dns=True), tree({"vpn": [A]}), A, TUNNEL, NETNS)

    assert ["update /etc/wgconfine/vpn.json", "daemon-reload", f"reload {TUNNEL}"] == [
        step.describe() for step in found
    ]


def test_another_backend_restarts_the_tunnel() -> None:
    """Its own units changed; the services follow by BindsTo=."""
    found = steps(tree({"vpn": [A]}, kernel=False), tree({"vpn": [A]}), A, TUNNEL, NETNS)

    assert units(found, Action.RESTART) == [TUNNEL]
    assert units(found, Action.STOP) == []


def test_a_tunnel_that_its_owner_stopped_stays_stopped() -> None:
    """Invariant 11: it has the new settings when he starts it."""
    found = steps(tree({"vpn": [A]}, dns=True), tree({"vpn": [A]}))

    assert [] == units(found, Action.START) + units(found, Action.RELOAD)


def test_a_tunnel_that_leaves_is_stopped_before_its_files_go() -> None:
    """After that nobody would know how to."""
    found = steps(tree({}, unreleased=[A]), tree({"vpn": [A]}), A, TUNNEL, NETNS)

    record = place(found, PurePosixPath("/etc/wgconfine/vpn.json"))
    assert 0 <= place(found, Action.STOP, A) < place(found, Action.STOP, TUNNEL) < record
    assert 0 <= place(found, Action.STOP, NETNS) < record


def test_a_service_that_leaves_unreleased_stops_and_stays_so() -> None:
    """Invariant 12: it would refuse to start; `apply` says so."""
    found = steps(tree({"vpn": [B]}, unreleased=[A]), tree({"vpn": [A, B]}), A, B, TUNNEL)

    asked = [step for step in found if isinstance(step, UnitStep) and A in step.units]
    assert [Action.STOP, Action.ENSURE_STOPPED] == [step.action for step in asked]
    assert asked[0].why.endswith("it will refuse to start")
    assert place(found, closing_path(A)) == -1


def test_a_released_service_starts_in_the_open() -> None:
    """Its process inside is stopped first; then both files go; then it starts again."""
    found = steps(tree({"vpn": []}), tree({"vpn": [A]}), A, TUNNEL, released=[A])

    stop, start = place(found, Action.STOP, A), place(found, Action.START, A)
    files = place(found, closing_path(A)), place(found, dropin_path(A))
    assert stop < min(files)
    assert max(files) < start
    assert "start a.service  (in the open; it ran before)" == found[start].describe()


def test_a_released_service_that_did_not_run_is_not_started() -> None:
    """Release is about where, not whether."""
    found = steps(tree({"vpn": []}), tree({"vpn": [A]}), TUNNEL, released=[A])

    assert [] == units(found, Action.START)


def test_a_service_that_moves_is_stopped_in_between() -> None:
    """It runs in the one tunnel, nowhere, and then in the other."""
    before = tree({"vpn": [A], "other": []})
    found = steps(tree({"vpn": [], "other": [A]}), before, A, TUNNEL, OTHER)

    assert (
        place(found, Action.STOP, A) < place(found, dropin_path(A)) < place(found, Action.START, A)
    )
    assert "start a.service  (inside; it ran before)" in [step.describe() for step in found]


def test_files_of_a_tree_are_written_closing_files_first() -> None:
    """Without systemd there are no other steps."""
    found = file_steps(compare(tree({"vpn": [A]}), {}))

    assert found[0].describe() == f"create {closing_path(A)}"
    assert len(found) == len(tree({"vpn": [A]}))


ASSIGNMENT = st.fixed_dictionaries(
    {A: st.sampled_from(["", "vpn", "other"]), B: st.sampled_from(["", "vpn", "other"])}
)
RUNNING = st.sets(st.sampled_from([A, B, TUNNEL, NETNS, OTHER]))


@given(before=ASSIGNMENT, after=ASSIGNMENT, running=RUNNING)
def test_no_service_is_ever_open_on_the_way(
    before: dict[UnitName, str], after: dict[UnitName, str], running: set[str]
) -> None:
    """After every single step each service that was or will be confined has one of its files.

    Until its closing file is written, a service that comes from the open still is in the open; from
    then on it is not, and none is written before that.
    """
    closed = [unit for unit in (A, B) if before[unit]]
    installed = tree(by_tunnel(before), unreleased=closed)
    desired = tree(by_tunnel(after), unreleased=closed)
    now, seen = set(installed), set()
    for step in steps(desired, installed, *running):
        if isinstance(step, FileStep):
            carry_out(step.change, now)
        for unit in (A, B):
            if closing_path(unit) in now:
                seen.add(unit)
            assert unit not in seen or closing_path(unit) in now
            assert dropin_path(unit) not in now or closing_path(unit) in now
    assert now == set(desired)


@given(before=ASSIGNMENT, after=ASSIGNMENT, running=RUNNING)
def test_nothing_runs_while_its_drop_in_changes(
    before: dict[UnitName, str], after: dict[UnitName, str], running: set[str]
) -> None:
    """Between the stop of a service and its start stands everything that is about it."""
    closed = [unit for unit in (A, B) if before[unit]]
    found = steps(
        tree(by_tunnel(after), unreleased=closed),
        tree(by_tunnel(before), unreleased=closed),
        *running,
    )
    up = set(running)
    for step in found:
        match step:
            case UnitStep(action=Action.STOP, units=names):
                up -= set(names)
            case UnitStep(action=Action.START, units=names):
                up |= set(names)
            case UnitStep():
                continue
            case FileStep(change=change):
                assert change.path not in {dropin_path(unit) for unit in (A, B) if unit in up}


def by_tunnel(assignment: dict[UnitName, str]) -> dict[str, list[UnitName]]:
    names = sorted({name for name in assignment.values() if name})
    return {name: [unit for unit in assignment if assignment[unit] == name] for name in names}


def carry_out(change: Change, now: set[PurePosixPath]) -> None:
    if change.kind is ChangeKind.REMOVE:
        now.remove(change.path)
    else:
        now.add(change.path)


def test_the_timer_starts_last_with_the_first_tunnel() -> None:
    """A second tunnel does nothing to it."""
    assert units(steps(tree({"vpn": [A]}), {}), Action.START)[-1] == TICK
    more = steps(tree({"vpn": [A], "other": [B]}), tree({"vpn": [A]}), TUNNEL, TICK)
    assert TICK not in {*units(more, Action.START), *units(more, Action.RESTART)}


def test_the_timer_stops_before_its_file_goes_with_the_last_tunnel() -> None:
    """And it is not started, though it does not run by then."""
    found = steps(tree({}, unreleased=[A]), tree({"vpn": [A]}), A, TUNNEL, NETNS, TICK)

    assert place(found, Action.STOP, TICK) < place(found, UNITS / TICK)
    idle = live_steps(compare(tree({}), tree({"vpn": [A]})), Running(idle_tick=True), frozenset())
    assert TICK not in units(idle, Action.START)


def test_a_timer_that_does_not_run_is_started_without_any_change() -> None:
    """Nobody would verify."""
    found = live_steps([], Running(idle_tick=True), frozenset())
    assert [f"start {TICK}"] == [step.describe() for step in found]


def test_a_changed_timer_is_restarted() -> None:
    """It would go by its old times."""
    now, before = tree({"vpn": [A]}), tree({"vpn": [A]})
    before[UNITS / TICK] = File(path=UNITS / TICK, text="old")

    assert [TICK] == units(steps(now, before, TUNNEL, TICK), Action.RESTART)


def test_the_second_switch_of_a_tunnel_that_goes_stops_once_nobody_is_left_in_its_slice() -> None:
    """As long as a process is there that a service left behind, its rule would stay for good."""
    desired, installed = tree({}, unreleased=[A]), tree({"vpn": [A]})
    found = steps(desired, installed, A, TUNNEL, NETNS, SWITCH)

    stopped = place(found, Action.STOP, SWITCH)
    assert place(found, Action.STOP, TUNNEL) < place(found, Action.ENSURE_STOPPED, A) < stopped
    assert stopped < place(found, UNITS / "wgconfine-switch@.service")


def test_a_verify_of_a_tunnel_that_goes_is_stopped() -> None:
    """It waits for who changes the machine, and would then look for what is gone."""
    verify = "wgconfine-verify@vpn.service"
    assert verify in units(steps({}, tree({"vpn": []}), TUNNEL, verify), Action.STOP)
    assert verify not in units(steps(tree({"vpn": [A]}), tree({"vpn": []}), verify), Action.STOP)


def test_what_failed_is_forgotten_of_units_that_go() -> None:
    """Else systemd would list them as failed until the next boot."""
    instance = UnitName("x@a\\x2db.service")
    changes = [*compare({}, tree({"vpn": [A]}))]
    changes += [
        Change(kind=ChangeKind.REMOVE, path=dropin_path(instance), before=each.before, after=None)
        for each in changes
        if each.path == dropin_path(A)
    ]
    found = live_steps(changes, Running(), frozenset())

    patterns = units(found, Action.RESET_FAILED)
    assert {
        "wgconfine*@vpn.*",
        "wgconfine-*@a.service",
        r"wgconfine-*@x@a\\x2db.service",
        "wgconfine-tick.*",
    } == {*patterns}
    assert place(found, Action.RESET_FAILED, patterns[0]) > place(found, Action.DAEMON_RELOAD, "")


def test_of_units_that_stay_no_failure_is_forgotten() -> None:
    """It is their owner's to look at."""
    assert [] == units(steps(tree({"vpn": [A, B]}), tree({"vpn": [A]})), Action.RESET_FAILED)


def test_the_message_catalog_is_read_last_of_all() -> None:
    """With the first tunnel, when its text changes, when the last tunnel goes; not in between."""
    known, text = tree({"vpn": [A]}), File(path=CATALOG, text="# other\n")
    for before, after in ((({}, known)), (known | {CATALOG: text}, known), (known, {})):
        found = steps(after, before)
        assert found[-1] == UnitStep(action=Action.UPDATE_CATALOG, why="what journalctl -x says")
        assert [] == units(found, Action.UPDATE_CATALOG)
    assert [] == steps(known, known)
    other = steps(tree({"vpn": [A], "other": [B]}), known)
    assert Action.UPDATE_CATALOG not in [
        step.action for step in other if isinstance(step, UnitStep)
    ]


def test_a_catalog_that_a_cut_off_run_left_is_read_by_the_next() -> None:
    """Its file is as it should be; the database of journalctl is older."""
    found = live_steps([], Running(unread_catalog=True), frozenset())

    assert ["update-catalog  (what journalctl -x says)"] == [each.describe() for each in found]


def with_command(desired: Tree, installed: Tree) -> list[Step]:
    """Give the steps while `wgconfine exec` runs something in the tunnel."""
    commands = {TunnelName("vpn"): (COMMAND,)}
    machine = Running(units=frozenset({A, TUNNEL, NETNS}), commands=commands)
    return live_steps(compare(desired, installed), machine, frozenset())


def why_stopped(found: Sequence[Step]) -> list[str]:
    asked = (step for step in found if isinstance(step, UnitStep) and COMMAND in step.units)
    return [step.why for step in asked]


def test_commands_run_on_where_nothing_of_theirs_changes() -> None:
    """New resolvers reach what runs, by a reload."""
    found = with_command(tree({"vpn": [A]}, dns=True), tree({"vpn": [A]}))

    assert [TUNNEL] == units(found, Action.RELOAD)
    assert [] == why_stopped(found)


def test_commands_stop_before_their_tunnel_goes() -> None:
    """And before anything is written."""
    found = with_command(tree({}, unreleased=[A]), tree({"vpn": [A]}))

    assert ["the tunnel is removed or disabled"] == why_stopped(found)
    first = next(place for place, step in enumerate(found) if isinstance(step, FileStep))
    assert place(found, Action.STOP, COMMAND) < first


def test_commands_stop_where_their_tunnel_restarts() -> None:
    """They are bound to it, and don't come back."""
    found = with_command(tree({"vpn": [A]}, kernel=False), tree({"vpn": [A]}))

    assert [TUNNEL] == units(found, Action.RESTART)
    assert ["its tunnel restarts"] == why_stopped(found)


def test_commands_stop_where_what_confines_them_changes() -> None:
    """A comment alone is no change."""
    path = command_dropin_path(TunnelName("vpn"))
    installed = tree({"vpn": [A]})
    file = installed[path]
    assert isinstance(file, File)
    edited = {**installed, path: replace(file, text=f"{file.text}NoNewPrivileges=no\n")}
    commented = {**installed, path: replace(file, text=f"{file.text}# and a word\n")}

    assert [] == why_stopped(with_command(tree({"vpn": [A]}), commented))
    assert ["it may not run while its confinement changes"] == why_stopped(
        with_command(tree({"vpn": [A]}), edited)
    )
