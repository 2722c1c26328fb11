"""Reading below a root directory as that system itself would: its links lead nowhere else."""

import errno
import os
import stat
from pathlib import Path, PurePosixPath

__all__ = ["RootedFiles"]

_MOST_LINKS = 40  # as the kernel's


class RootedFiles:
    """The files of the system that lies at `root`, by their absolute paths there.

    A symbolic link is followed within that system: absolute ones and `..` end at its root. Nothing
    is written. What cannot be read is as if it were not there, but for text, which raises OSError.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def on_host(self, path: PurePosixPath) -> Path:
        """Where a path without links lies on this machine."""
        return self.root / os.fspath(path)[1:]  # pathlib's relative_to() takes ten times as long

    def resolve(self, path: PurePosixPath) -> PurePosixPath | None:
        """The path less its links; None if it, or what a link points to, is not there."""
        # In strings: this is done a thousand times, and pathlib would take most of the time.
        pending = list(reversed(path.parts[1:]))
        root, resolved = os.fspath(self.root).rstrip("/"), ""
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                resolved = resolved.rpartition("/")[0]
                continue
            try:
                target = os.readlink(f"{root}{resolved}/{part}")  # noqa: PTH115 — see above
            except OSError as error:
                if error.errno != errno.EINVAL:  # what readlink says of anything but a link
                    return None
                resolved = f"{resolved}/{part}"
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            if target.startswith("/"):
                resolved = ""
            pending.extend(part for part in reversed(target.split("/")) if part not in {"", "."})
        return PurePosixPath(resolved or "/")

    def link_target(self, path: PurePosixPath) -> PurePosixPath | None:
        """What a link says; None for what is no link. The parent of `path` must be resolved."""
        try:
            return PurePosixPath(self.on_host(path).readlink())
        except OSError:
            return None

    def listed(self, directory: PurePosixPath) -> tuple[str, ...]:
        """The names in a directory, sorted; none where there is no such directory."""
        resolved = self.resolve(directory)
        if resolved is None:
            return ()
        try:
            return tuple(sorted(entry.name for entry in self.on_host(resolved).iterdir()))
        except OSError:
            return ()

    def text(self, path: PurePosixPath) -> str | None:
        """A file's text, other bytes than UTF-8 as surrogates; empty for a device (/dev/null).

        None where there is no such file.
        """
        resolved = self.resolve(path)
        if resolved is None:
            # In a tree without /dev a link to /dev/null still says what it says.
            return "" if self._names_null(path) else None
        descriptor = os.open(self.on_host(resolved), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return ""
            with open(descriptor, "rb", closefd=False) as file:
                return file.read().decode(errors="surrogateescape")
        finally:
            os.close(descriptor)

    def _names_null(self, path: PurePosixPath) -> bool:
        parent = self.resolve(path.parent)
        return parent is not None and self.link_target(parent / path.name) == PurePosixPath(
            "/dev/null"
        )
