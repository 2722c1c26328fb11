"""The list of mounts of a process as values: proc_pid_mountinfo(5). Pure."""

import re
from dataclasses import dataclass

__all__ = ["Mount", "parse_mounts"]

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of mountinfo: `root` within the file system is what lies at `point`.

    `parent` is the number of the mount that it stands on; `kind` is of file system.
    """

    number: int
    parent: int
    device: str
    root: str
    point: str
    read_only: bool = False
    kind: str = ""


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Give the mounts of a mount namespace, in the order in which the kernel lists them."""
    found = []
    for line in text.split("\n"):  # in names the kernel escapes that, but no U+0085
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > len(("id", "parent", "device", "root", "point")):
            root, point = (_OCTAL.sub(lambda m: chr(int(m[1], 8)), each) for each in fields[3:5])
            found.append(
                Mount(
                    number=int(fields[0]),
                    parent=int(fields[1]),
                    device=fields[2],
                    root=root,
                    point=point,
                    read_only="ro" in fields[5].split(","),
                    kind=after.partition(" ")[0],
                )
            )
    return tuple(found)
