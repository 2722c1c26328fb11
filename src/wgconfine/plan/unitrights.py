"""What a unit is given beside its mounts: rights, descriptors and variables. Pure."""

from collections.abc import Iterator

from wgconfine.config.escape import quote
from wgconfine.model.problem import Problem
from wgconfine.model.units import Assignment, UnitFacts
from wgconfine.plan.commandline import split_words
from wgconfine.plan.settled import is_yes, last_line, list_lines, problem_at
from wgconfine.render.hardening import CAPABILITIES
from wgconfine.render.service import LOADER_VARIABLES

__all__ = ["RIGHT_RULES", "allows_no_family"]

# In the order of their numbers: linux/capability.h.
_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
    *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)
_NUMBERS = {f"CAP_{name}": number for number, name in enumerate(_CAPABILITIES)}
_ALL = frozenset(range(64))
_WAYS_OUT = {_NUMBERS[name]: name for name in CAPABILITIES}


_FOREIGN_CALLS = frozenset({"x86", "x32", "arm"})


def allows_no_family(facts: UnitFacts) -> bool:
    """Whether RestrictAddressFamilies= comes to `none`.

    A list that follows it begins anew, so that a deny-list of ours would undo it: tried.
    """
    line = last_line(facts, "Service", "RestrictAddressFamilies")
    return line is not None and line.value == "none"


def _delegated_namespaces(facts: UnitFacts) -> Iterator[Problem]:
    """The guard, with its `+`, is spared this; the main process then runs in the host's: tried."""
    line = last_line(facts, "Service", "DelegateNamespaces")
    if line:  # `no` has it in a user namespace, too
        yield problem_at(
            facts,
            line,
            f"DelegateNamespaces={quote(line.value)} has it join the tunnel's namespace out of a"
            " user namespace, which fails, and systemd then runs it in the host's",
            "Reset it by an empty DelegateNamespaces= in a drop-in",
        )


def _authenticates(facts: UnitFacts) -> Iterator[Problem]:
    """systemd opens the session before the process joins its namespaces: tried on 252 and 262."""
    line = last_line(facts, "Service", "PAMName")
    if line:
        yield problem_at(
            facts,
            line,
            f"PAMName={quote(line.value)} has PAM's modules run in the host's namespace",
            "Take it away by an empty PAMName= in a drop-in",
        )


def _manages_users(facts: UnitFacts) -> Iterator[Problem]:
    line = last_line(facts, "Service", "PrivateUsers")
    if line and line.value == "managed":
        yield problem_at(
            facts,
            line,
            "PrivateUsers=managed has another service make its namespaces",
            "Set PrivateUsers=yes in a drop-in",
        )


def _joins_a_user_namespace(facts: UnitFacts) -> Iterator[Problem]:
    line = last_line(facts, "Service", "UserNamespacePath")
    if line:
        yield problem_at(
            facts,
            line,
            f"UserNamespacePath={quote(line.value)} has it join the tunnel's namespace out of"
            " another user namespace, which the kernel forbids",
            "Set PrivateUsers=yes in a drop-in in its place, after an empty UserNamespacePath=",
        )


def _foreign_system_calls(facts: UnitFacts) -> Iterator[Problem]:
    """The drop-in allows the native ones alone: they would be more than the unit does."""
    lines = list_lines(facts, "Service", "SystemCallArchitectures")
    words = frozenset(word for line in lines for word in split_words(line.value))
    if words and words <= _FOREIGN_CALLS:
        yield problem_at(
            facts,
            lines[-1],
            f"SystemCallArchitectures={quote(lines[-1].value)} is for a 32-bit program, which can't"
            " be confined: its system calls go round the list of address families",
            "Run a 64-bit program, with SystemCallArchitectures=native in a drop-in",
        )


def _stored_descriptors(facts: UnitFacts) -> Iterator[Problem]:
    line = last_line(facts, "Service", "FileDescriptorStorePreserve")
    if line and is_yes(line.value):
        yield problem_at(
            facts,
            line,
            f"{line.key}={quote(line.value)} hands the confined service the sockets that it stored"
            " while it ran in the open",
            f"Set {line.key}=no in a drop-in",
        )


def _ambient_capabilities(facts: UnitFacts) -> Iterator[Problem]:
    for line, numbers in _given(facts):
        names = " ".join(_WAYS_OUT[number] for number in sorted(numbers))
        yield problem_at(
            facts,
            line,
            f"{line.key}={quote(line.value)} gives it {names}, which a confined service never has:"
            " a way into the host's network namespace, its processes or its kernel",
            f"Take it away by an empty {line.key}= in a drop-in, and repeat what the service needs",
        )


def _given(facts: UnitFacts) -> Iterator[tuple[Assignment, frozenset[int]]]:
    """Each line with what it gives that no later one takes: config_parse_capability_set()."""
    given: frozenset[int] = frozenset()
    source: dict[int, Assignment] = {}
    for line in facts.assignments:
        if (line.section, line.key) != ("Service", "AmbientCapabilities"):
            continue
        inverted = line.value.startswith("~")
        named = frozenset(_numbers(line.value.removeprefix("~")))
        before = given
        if not named or not given:
            given = _ALL - named if inverted else named
        else:
            given = given - named if inverted else given | named
        source |= dict.fromkeys(given - before, line)
    for line in dict.fromkeys(source.values()):
        left = frozenset(number for number in given & _WAYS_OUT.keys() if source[number] is line)
        if left:
            yield line, left


def _numbers(value: str) -> Iterator[int]:
    """The capabilities of a list, by name or number; systemd passes over others."""
    for word in split_words(value):
        if word.upper() in _NUMBERS:
            yield _NUMBERS[word.upper()]
        elif word.isdecimal() and int(word) in _ALL:
            yield int(word)


def _loader_variables(facts: UnitFacts) -> Iterator[Problem]:
    for key in ("Environment", "PassEnvironment"):
        for line in list_lines(facts, "Service", key):
            for word in split_words(line.value):
                variable = word.partition("=")[0]
                if variable in LOADER_VARIABLES:
                    yield problem_at(
                        facts,
                        line,
                        f"{key}= sets {variable}, which a confined unit cannot have: the guard runs"
                        " as root with the unit's environment",
                        f"Set {variable} in a wrapper script that ExecStart= runs, and reset {key}="
                        " in a drop-in",
                    )


RIGHT_RULES = (
    _delegated_namespaces,
    _authenticates,
    _manages_users,
    _joins_a_user_namespace,
    _foreign_system_calls,
    _stored_descriptors,
    _ambient_capabilities,
    _loader_variables,
)
