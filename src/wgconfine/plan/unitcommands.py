"""Whether a unit's commands do their work in the unit, or ask somebody outside of it. Pure."""

from collections.abc import Iterator, Sequence

from wgconfine.config.escape import quote
from wgconfine.model.problem import Problem
from wgconfine.model.units import UnitFacts
from wgconfine.plan.commandline import Command, commands_of, split_words
from wgconfine.plan.settled import list_lines, problem_at

__all__ = ["COMMAND_RULES", "RUNS", "is_remote"]

_RUNS_BEFORE = ("ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost")
RUNS = (*_RUNS_BEFORE, "ExecReload", "ExecReloadPost", "ExecStop", "ExecStopPost")

_CONTAINER_CLIENTS = {
    "docker": "dockerd",
    "docker-compose": "dockerd",
    "kind": "dockerd",
    "k3d": "dockerd",
    "minikube": "dockerd or another driver",
    "nerdctl": "containerd",
    "ctr": "containerd",
    "crictl": "the container runtime",
    "buildctl": "buildkitd",
    "podman-remote": "podman's service",
    "lxc": "lxd",
    "lxd.lxc": "lxd",
    "incus": "incusd",
    "machinectl": "systemd-machined",
    "kubectl": "the cluster",
    "helm": "the cluster",
}
_CLIENTS = {
    "multipass": "multipassd",
    "virsh": "libvirtd",
    "virt-install": "libvirtd",
    "systemd-run": "systemd itself",
    "run0": "systemd itself",
    "portablectl": "systemd-portabled",
    "at": "atd",
    "batch": "atd",
}
_HINT = "Confine the daemon's own unit, or run the program without it"
_CONTAINER_HINT = (
    "Run the program without a container, or let Podman put the container into the tunnel's"
    " namespace: docs/containers.md"
)
_MOUNTERS = frozenset(
    {"bindfs", "blobfuse2", "ceph-fuse", "curlftpfs", "davfs2", "encfs", "fusermount"}
    | {"fusermount3", "gcsfuse", "geesefs", "glusterfs", "gocryptfs", "goofys", "mergerfs"}
    | {"mhddfs", "mount", "mount.cifs", "mount.davfs", "mount.fuse", "mount.nfs", "mount-s3"}
    | {"ntfs-3g", "rar2fs", "rclonefs", "s3fs", "simple-mtpfs", "sshfs", "unionfs", "unionfs-fuse"}
)
_MOUNTS_BY_WORD = frozenset({"juicefs", "rclone", "restic", "borg", "kopia", "seaf-fuse", "weed"})
_STARTS_UNITS = frozenset(
    {"start", "restart", "try-restart", "reload-or-restart", "isolate", "enable", "reenable"}
)


def _works_elsewhere(facts: UnitFacts) -> Iterator[Problem]:
    """Confining a client confines nothing: the work is done by its daemon."""
    for key in RUNS:
        for line in list_lines(facts, "Service", key):
            for command in commands_of(line.value):
                daemon, hint = _daemon_of(command, facts)
                if daemon:
                    yield problem_at(
                        facts,
                        line,
                        f"{key}= runs {quote(command[0])}, which only asks {daemon}: the work is"
                        " done elsewhere, outside of the tunnel",
                        hint,
                    )


def _daemon_of(command: Command, facts: UnitFacts) -> tuple[str, str]:
    """Who does the work that a command asks for, and what its owner can do; empty for itself."""
    program, *arguments = command
    if program == "podman" and is_remote(arguments, facts):
        return "podman's service", _CONTAINER_HINT
    if program == "snap" and arguments[:1] == ["run"]:  # in mounts of its own, with the host's /run
        return "snapd", _HINT
    if program in _CONTAINER_CLIENTS:
        return _CONTAINER_CLIENTS[program], _CONTAINER_HINT
    return _CLIENTS.get(program, ""), _HINT


def is_remote(arguments: Sequence[str], facts: UnitFacts) -> bool:
    """Whether these arguments of podman, or the unit's environment, name a service of podman's."""
    options = {argument.partition("=")[0] for argument in arguments}
    if options & {"--remote", "-r", "--url", "--connection"}:
        return True
    return any(
        word.startswith(("CONTAINER_HOST=", "CONTAINER_CONNECTION="))
        for line in list_lines(facts, "Service", "Environment")
        for word in split_words(line.value)
    )


def _starts_others(facts: UnitFacts) -> Iterator[Problem]:
    """What it starts runs in the host's namespace, and inside there is no way to PID 1 to ask."""
    for key in _RUNS_BEFORE:
        for line in list_lines(facts, "Service", key):
            for program, *arguments in commands_of(line.value):
                if program == "systemctl" and _STARTS_UNITS & set(arguments):
                    yield problem_at(
                        facts,
                        line,
                        f"{key}= starts another unit by systemctl, which a confined service cannot"
                        " reach, and what it starts would run outside of the tunnel",
                        "Order the other unit by Wants= and After=, and confine it too",
                    )


def _mounts_for_others(facts: UnitFacts) -> Iterator[Problem]:
    """Each confined unit has a view of the mounts of its own, and so has each of its commands."""
    for key in RUNS:
        for line in list_lines(facts, "Service", key):
            for program, *arguments in commands_of(line.value):
                if program in _MOUNTERS or (
                    program in _MOUNTS_BY_WORD and "mount" in _words_of(arguments)
                ):
                    yield problem_at(
                        facts,
                        line,
                        f"{key}= runs {quote(program)}, which mounts for the host: what a confined"
                        " service mounts is seen by itself alone",
                        "Leave this service unconfined, or confine the programs that use the mount",
                    )


def _words_of(arguments: list[str]) -> set[str]:
    """The plain words; of rclone and its like the first ones are commands."""
    return {word for word in arguments if not word.startswith("-")}


COMMAND_RULES = (_works_elsewhere, _starts_others, _mounts_for_others)
