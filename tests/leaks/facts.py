"""What was measured about joining, DNS and other ways out, and the tests that show each fact."""

from dataclasses import dataclass

from tests.leaks.channels import CHANNELS

__all__ = ["FACTS", "NUMBERS", "Fact"]

NUMBERS = (*map(str, range(1, 10)), *map(str, range(11, 27)), "30a", "30c")
"""Those that are a matter of getting out; the others are about lifetime and how to test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact. `tests` are beside those channels that show it: `FILE::FUNCTION` below tests/."""

    number: str
    says: str
    tests: tuple[str, ...] = ()


_APPLY = "container/test_apply.py"
_CONFINEMENT = "container/test_confinement.py"
_FACTS = "container/test_facts.py"
_GUARD = "container/test_guard.py"
_RECIPE = "container/test_recipe.py"
_MEASURED = (
    Fact(
        number="1",
        says="systemd runs a unit in the host's namespace, with success, when joining is refused"
        " with EPERM; a user manager always does",
        tests=(
            f"{_GUARD}::test_systemd_that_may_not_join_runs_nothing",
            f"{_GUARD}::test_systemd_without_the_capability_runs_nothing",
            f"{_APPLY}::test_a_user_unit_is_refused",
        ),
    ),
    Fact(
        number="2",
        says="a missing path, or one that is no namespace, fails the unit by 225/NETWORK",
        tests=(
            f"{_FACTS}::test_a_missing_path_and_one_that_is_no_namespace_are_closed",
            f"{_GUARD}::test_a_missing_namespace_file_is_refused",
        ),
    ),
    Fact(
        number="3",
        says="`JoinsNamespaceOf=` a unit that does not run gives an empty namespace",
        tests=(f"{_FACTS}::test_joining_a_unit_that_does_not_run_gives_an_empty_namespace",),
    ),
    Fact(
        number="4",
        says="`JoinsNamespaceOf=` wins over `NetworkNamespacePath=`",
        tests=(
            f"{_FACTS}::test_joins_namespace_of_wins_over_the_path",
            "unit/plan/test_unitcheck.py::test_joined_by_another",
        ),
    ),
    Fact(number="5", says="commands with `+` run inside the unit's namespace"),
    Fact(
        number="6",
        says="the path is opened anew at each start; a running process stays where it is",
        tests=(
            f"{_FACTS}::test_a_running_process_stays_where_it_is_and_a_start_looks_anew",
            f"{_APPLY}::test_a_running_service_is_stopped_first_and_starts_again_only_inside",
        ),
    ),
    Fact(
        number="7",
        says="a socket unit goes on listening in the old namespace",
        tests=(f"{_FACTS}::test_a_socket_unit_goes_on_listening_in_the_old_namespace",),
    ),
    Fact(
        number="8",
        says="sandboxing of the unit that makes the namespace hides it from the host",
        tests=(
            f"{_FACTS}::test_a_sandboxed_maker_hides_its_namespace_from_the_host",
            f"{_RECIPE}::test_recipe_part_1_the_namespace_has_a_name_that_goes_on_stop",
        ),
    ),
    Fact(
        number="9",
        says="before 254, /sys/class/net inside lists the host's links",
        tests=(f"{_FACTS}::test_the_list_of_links_in_sys",),
    ),
    Fact(
        number="11",
        says="`ip netns del` takes the name and leaves the namespace to its processes",
        tests=(
            f"{_FACTS}::test_a_deleted_name_leaves_the_namespace_to_its_processes",
            "container/test_sandbox.py::test_a_stopped_namespace_is_gone_and_names_who_stays",
        ),
    ),
    Fact(number="12", says="nss-resolve and varlink ask the host's resolved, on its uplink"),
    Fact(number="13", says="a bind over resolv.conf goes when the host renames one into place"),
    Fact(number="14", says="a mask goes when what it covers is made anew"),
    Fact(number="15", says="a mask of an absent path is never made"),
    Fact(number="16", says="a mask of resolved's directory swallows the bind over resolv.conf"),
    Fact(
        number="17",
        says="a tmpfs over /run is undone by the unit's own `ReadWritePaths=/run`; a prepared"
        " directory is not",
        tests=("container/test_hardships.py::test_a_forking_service_with_a_pid_file_in_run_works",),
    ),
    Fact(
        number="18",
        says="an exposed resolv.conf names the wrong resolver; `dnat` makes that harmless",
        tests=(f"{_CONFINEMENT}::test_a_query_to_any_resolver_is_answered_by_the_tunnels",),
    ),
    Fact(
        number="19",
        says="a bind pins the inode of its source: resolv.conf is rewritten in place",
        tests=("netns/test_tunnel.py::test_resolver_files_keep_their_inode",),
    ),
    Fact(
        number="20",
        says="libc asks nscd before it reads nsswitch.conf; users are still looked up without it",
        tests=(f"{_CONFINEMENT}::test_the_service_keeps_its_own_user",),
    ),
    Fact(number="21", says="/etc/netns is read by `ip netns exec` alone"),
    Fact(number="22", says="an inherited socket stays in the host's namespace and sends there"),
    Fact(number="23", says="root and CAP_NET_ADMIN get out: setns, links, PID 1"),
    Fact(
        number="24",
        says="AF_VSOCK takes no notice of namespaces, and lists of families merge",
        tests=("container/test_kinds.py::test_a_list_in_force_is_within_theirs_and_ours",),
    ),
    Fact(number="25", says="sockets with a path cross namespaces, abstract ones do not"),
    Fact(number="26", says="a client of a daemon is not confined by its own namespace"),
    Fact(
        number="30a",
        says="override.conf sorts after `90-…`; `systemctl revert` deletes every drop-in",
        tests=(
            f"{_FACTS}::test_the_override_of_systemctl_edit_is_read_before_ours",
            f"{_APPLY}::test_no_other_way_out_of_confinement_is_a_release",
            "unit/render/test_service.py::test_the_drop_in_is_read_after_what_owners_write",
        ),
    ),
    Fact(
        number="30c",
        says="without CAP_SYS_PTRACE PID 1's namespace is not seen: that counts as the host's",
        tests=("netns/test_namespace.py::test_an_unseen_first_process_is_refused",),
    ),
)


def _of_channels(number: str) -> tuple[str, ...]:
    return tuple(
        f"container/test_leaks.py::test_channel[{channel.name}]"
        for channel in CHANNELS
        if number in channel.facts
    )


FACTS = tuple((fact, (*_of_channels(fact.number), *fact.tests)) for fact in _MEASURED)
"""Each fact with all the tests that show it."""
