"""wgconfine-switch@NAME.service: the second switch, outside of the tunnel's namespace.

A rule of the host's firewall drops, and counts, what the control group of a tunnel's services sends
or is sent in the host's network namespace. Of services inside it sees nothing: it must count 0.
"""

from __future__ import annotations

import os
import time

from wgconfine.runtime import paths
from wgconfine.runtime.failure import Failure, step, warn
from wgconfine.runtime.process import Running, run
from wgconfine.runtime.resolver import write_in_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

HIERARCHY = "/sys/fs/cgroup"
MARK = "wgconfine: counts since "
DIRECTIONS = {"output": "sent", "input": "received"}
"""Each hook, which its chain is named after, and the counter of that.

Output alone would let a service answer: a SYN-ACK belongs to no full socket, and so to no control
group that a rule can see. Hence input, which stops the SYN before."""
LOADED = "on"
NOT_AVAILABLE = "not available: "
DISCARD = 9  # RFC 863; the datagram that tries the rule leaves no machine


class Table:
    """What `nft list table` says of a table: comment, counted packets, lines of its chains."""

    def __init__(self, text: str) -> None:
        self.comment = ""
        self.counted: dict[str, int] = {}
        self.chains: dict[str, list[str]] = {}
        kind = name = ""
        for line in map(str.strip, text.splitlines()):
            words = line.split()
            if words[-1:] == ["{"]:
                kind, name = words[0], words[1]
            elif line == "}":
                kind = ""
            elif kind == "table" and words[:1] == ["comment"]:
                self.comment = line.partition(" ")[2].strip('"')
            elif kind == "counter" and words[:1] == ["packets"]:
                self.counted[name] = int(words[1])
            elif kind == "chain" and line:
                self.chains.setdefault(name, []).append(line)

    @property
    def ours(self) -> bool:
        return self.comment.startswith(MARK)

    @property
    def since(self) -> str:
        return self.comment.removeprefix(MARK)


def table_name(name: str) -> str:
    return f"wgconfine-{name}"


def chain_lines(name: str, hook: str) -> list[str]:
    """Give what each chain must be, as nft(8) prints it while the control group is there.

    At the priority of `raw`, before the host's own rules; a verdict of drop is final.
    """
    group = paths.slice_group(name)
    return [
        f"type filter hook {hook} priority raw; policy accept;",
        f'socket cgroupv2 level {level_of(group)} "{group}" counter name "{DIRECTIONS[hook]}" drop',
    ]


def level_of(group: str) -> int:
    return len(group.strip("/").split("/"))


def rules(name: str, counted: Mapping[str, int], since: str, *, anew: bool = False) -> str:
    """Give the text for `nft -f`, one transaction: what has been counted goes on being counted.

    Counters that are there keep their count, new ones begin with `counted`. `anew` is for a table
    whose chains were made into something else.
    """
    table = f"inet {table_name(name)}"
    lines = [f'add table {table} {{ comment "{MARK}{since}"; }}']
    if anew:
        lines = [f"delete table {table}", *lines]
    for hook, counter in DIRECTIONS.items():
        head, rule = chain_lines(name, hook)
        packets = counted.get(counter, 0)
        lines += [
            f"add counter {table} {counter} {{ packets {packets} bytes 0; }}",
            f"add chain {table} {hook} {{ {head} }}",
            f"flush chain {table} {hook}",
            f"add rule {table} {hook} {rule}",
        ]
    return "\n".join(lines) + "\n"


def up(name: str) -> None:
    """Load the rule, or say why this machine can't have it, which is no failure. Raises Failure.

    Run again it puts back what is missing, and binds the rule to the control group as it is now.
    It does the same for the tunnel's other rule in the host's namespace, that of `pin-endpoint`.
    """
    from wgconfine.runtime import pin  # noqa: PLC0415 — it has its table read by this module

    pin.restore(name)
    live = look(name)
    reason = why_not(name) if live is None else ""
    if reason:
        warn(f"the second switch is not available: {reason}")
        keep_state(name, NOT_AVAILABLE + reason)
        return
    counted, since = kept(name) if live is None else (live.counted, live.since)
    if live is None and state(name) == LOADED:
        warn(f"table inet {table_name(name)} was gone; it counts on from {sum(counted.values())}")
    load(name, counted, since)
    keep_count(name, counted, since)
    keep_state(name, LOADED)


def down(name: str) -> None:
    """Take the rule away once nobody is left whom it would hold. Raises Failure."""
    live = look(name)
    if live is not None:
        keep_count(name, live.counted, live.since)
        if populated(name):
            # The host's firewall restarts, or a service left processes behind.
            warn(f"there are processes in {paths.slice_group(name)}: the rule stays")
            return
        step(f"nft delete table inet {table_name(name)}")
        run("nft", "delete", "table", "inet", table_name(name))
    remove(f"{paths.switch_state(name)}/state")


def look(name: str) -> Table | None:
    """Give our table as it is, None where there is none. Raises Failure if it is not ours."""
    status, text, _ = Running("nft", "list", "table", "inet", table_name(name)).wait()
    if status != 0:
        return None
    table = Table(text)
    if not table.ours:
        raise Failure(
            f"table inet {table_name(name)}: wgconfine did not make it. Delete or rename it."
        )
    return table


def switched_on() -> list[str]:
    """Give the tunnels whose second switch was loaded and not taken away by us."""
    try:
        names = sorted(os.listdir(os.path.dirname(paths.switch_state(""))))
    except FileNotFoundError:
        return []
    return [name for name in names if state(name) == LOADED]


def is_whole(name: str) -> bool:
    """Tell whether our table is there, and each of its chains has its rule. Raises Failure."""
    table = look(name)
    return table is not None and all(len(table.chains.get(hook, ())) > 1 for hook in DIRECTIONS)


def load(name: str, counted: Mapping[str, int], since: str) -> None:
    step(f"nft -f - (drop what {paths.slice_group(name)} sends in the host's namespace)")
    text = rules(name, counted, since)
    status, _, complaint = Running("nft", "-f", "-", text=text).wait()
    if status != 0:
        warn(f"the table is not as it was made, and is made anew: {complaint.strip()}")
        run("nft", "-f", "-", text=rules(name, counted, since, anew=True))


def why_not(name: str) -> str:
    """Say why the rule would be of no use here; empty where it was seen to work.

    By trying it on our own control group: in a container a kernel before 6.12 takes such a rule and
    never finds it met, since it counts levels from the root of the whole machine.
    """
    if not os.path.exists(f"{HIERARCHY}/cgroup.controllers"):
        return "the control groups of this machine are of version 1"
    group = own_group()
    if not group:
        return "this unit has no control group of its own"
    table = f"inet wgconfine_try-{name}"
    text = (
        # Anew, where one who tried was killed: the rule of that would meet the packet first.
        f"add table {table}\ndelete table {table}\n"
        f"table {table} {{ chain output {{ type filter hook output priority -310; policy accept; "
        f'ip daddr 127.0.0.1 udp dport {DISCARD} socket cgroupv2 level {level_of(group)} "{group}" '
        "counter drop; }; }\n"
    )
    status, _, complaint = Running("nft", "-f", "-", text=text).wait()
    if status != 0:
        said = complaint.strip().partition("\n")[0]
        return f"kernel or nft know no rules on control groups: {said}"
    try:
        send_to_nobody()
        listed = run("nft", "list", "table", *table.split())
    finally:
        run("nft", "delete", "table", *table.split())
    return "" if "counter packets 1 " in listed else "the kernel takes the rule, and never meets it"


def own_group() -> str:
    """Give our own control group below the root that this machine sees: cgroups(7)."""
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        found = [line[3:].strip().strip("/") for line in file if line.startswith("0::")]
    return "".join(found)


def send_to_nobody() -> None:
    import socket  # noqa: PLC0415 — only where the rule is tried

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(b"", ("127.0.0.1", DISCARD))
        except OSError:  # the rule's own verdict is EPERM
            return


def populated(name: str) -> bool:
    try:
        with open(f"{HIERARCHY}/{paths.slice_group(name)}/cgroup.events", encoding="ascii") as file:
            return "populated 1" in file.read()
    except OSError:
        return False


def state(name: str) -> str:
    return read(f"{paths.switch_state(name)}/state").strip()


def keep_state(name: str, text: str) -> None:
    os.makedirs(paths.switch_state(name), mode=0o755, exist_ok=True)
    write_in_place(f"{paths.switch_state(name)}/state", text + "\n")


def kept(name: str) -> tuple[dict[str, int], str]:
    """Give what was counted when the rule was last seen, and since when; from now on else."""
    words = read(f"{paths.switch_state(name)}/counted").split()
    if len(words) == 1 + len(DIRECTIONS) and all(map(str.isdigit, words[1:])):
        return dict(zip(DIRECTIONS.values(), map(int, words[1:]), strict=True)), words[0]
    return {}, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def keep_count(name: str, counted: Mapping[str, int], since: str) -> None:
    """Keep a count that is not 0, so that whoever flushes the host's rules does not hide it."""
    path = f"{paths.switch_state(name)}/counted"
    numbers = [counted.get(each, 0) for each in DIRECTIONS.values()]
    if any(numbers):
        os.makedirs(paths.switch_state(name), mode=0o755, exist_ok=True)
        write_in_place(path, f"{since} {' '.join(map(str, numbers))}\n")
    else:
        remove(path)


def read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
