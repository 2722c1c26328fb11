"""The message catalog: what `journalctl -x` says below each of our messages in the journal."""

from dataclasses import dataclass
from textwrap import fill

from wgconfine.model.tree import File
from wgconfine.render.places import CATALOG
from wgconfine.render.templates import HEADER
from wgconfine.runtime import journal

__all__ = ["CATALOG", "MESSAGES", "Entry", "catalog_file"]

WIDTH = 76


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is told of one message. `@FIELD@` is a field of it; `page` is below docs/."""

    subject: str
    what: str
    why: str
    mend: str
    page: str

    def text(self, message_id: str) -> str:
        """Give it as journalctl(1) reads it. No line may begin with `#`."""
        parts = (self.what, f"Why: {self.why}", f"What to do: {self.mend}")
        body = "\n\n".join(
            fill(each, WIDTH, break_on_hyphens=False, break_long_words=False).replace(KEPT, " ")
            for each in parts
        )
        return (
            f"-- {message_id}\nSubject: {self.subject}\nDefined-By: wgconfine\n"
            f"Documentation: docs/{self.page} of wgconfine\n\n{body}\n"
        )


TUNNEL = "@WGCONFINE_TUNNEL@"
KEPT = "\N{NO-BREAK SPACE}"
"""A space where no line ends: within a command."""
LOGS, STATUS, VERIFY = (
    f"`wgconfine {verb} {TUNNEL}`".replace(" ", KEPT) for verb in ("logs", "status", "verify")
)

MESSAGES = {
    journal.LEAK: Entry(
        subject=f"Something gets out beside tunnel {TUNNEL}",
        what="A verify has seen that a confined service, or a probe in its place, reached "
        "something that it may reach through its tunnel alone.",
        why="Somebody changed the firewall or a mount, a service was given a right or a socket "
        "from outside, or a process of it runs in another network namespace.",
        mend=f"The message names what was seen, and where there is one the command that mends it. "
        f'Stop the service until {VERIFY} finds nothing any more. With on-leak = "stop" that is '
        "done without you.",
        page="verify.md",
    ),
    journal.NOT_CONFINED: Entry(
        subject=f"A service of tunnel {TUNNEL} is not confined as it should be",
        what="A verify has found a process outside of the tunnel's namespace, or a part of what "
        "confines it missing. No packet was seen outside.",
        why="A unit was changed after it was confined, a file of wgconfine's was deleted, or "
        "systemd has not read the units anew.",
        mend=f"Run `wgconfine{KEPT}apply`, then {VERIFY}. Until then stop the service that the "
        "message names.",
        page="verify.md",
    ),
    journal.UNKNOWN: Entry(
        subject=f"Something about tunnel {TUNNEL} could not be checked",
        what="A verify could not look at all that it looks at. It says neither that all is well "
        "nor that anything leaks.",
        why="A program is missing, took too long, or a service hindered it.",
        mend=f"Run {VERIFY} on a machine that is less busy; it says what is missing.",
        page="verify.md",
    ),
    journal.BROKEN: Entry(
        subject=f"Tunnel {TUNNEL} does not work",
        what="A verify found the tunnel closed: nothing leaks, and what should go through it does "
        "not.",
        why="The server does not answer, a resolver does not, or a key or an address is wrong.",
        mend=f"See {STATUS} and {LOGS}.",
        page="verify.md",
    ),
    journal.STOPPED: Entry(
        subject="@WGCONFINE_UNIT@ leaked, and wgconfine stopped it or tried to",
        what="A verify found a leak of this service, and the settings of its tunnel say "
        'on-leak = "stop".',
        why="The message of the leak itself stands before this one.",
        mend=f"Mend what {VERIFY} names, then start the service again. Nothing else starts it.",
        page="settings.md",
    ),
    journal.REFUSED: Entry(
        subject="@WGCONFINE_UNIT@ is kept from running",
        what="Somebody started this confined service, and an assertion, a condition or the guard "
        "did not let it. systemd itself counts that as no failure.",
        why="Something that confines it is missing, such as its namespace or its resolver files: "
        "without it the service would run in the open.",
        mend=f"{STATUS} says what is missing and the command that mends it.",
        page="units.md",
    ),
    journal.MENDED: Entry(
        subject=f"Something of tunnel {TUNNEL} is being mended",
        what="The regular look at tunnels found something amiss and has asked systemd to mend it. "
        "No service is stopped by that, and nothing goes outside meanwhile.",
        why="The message says what was found. A tunnel that does not carry is configured anew "
        "first, then sends from another port, then gets another link.",
        mend="Nothing, unless it is said again and again: then the server or the network between "
        f"needs somebody to look. See {LOGS}.",
        page="monitoring.md",
    ),
    journal.DEGRADED: Entry(
        subject=f"Tunnel {TUNNEL} does not carry",
        what="A peer to whom something was sent has not answered for longer than "
        "handshake-max-age, or the link, an address or a route is missing. Services keep running, "
        "inside.",
        why="The network or the server is away, the server's key or address has changed, or "
        "somebody deleted what is missing.",
        mend="It is mended step by step, and that is told here. If that does not help: is the "
        f"machine online, and is the .conf still what the provider hands out? See {LOGS}.",
        page="monitoring.md",
    ),
    journal.RECOVERED: Entry(
        subject=f"Tunnel {TUNNEL} is well again",
        what="What was wrong with it is so no more.",
        why="The message says how long it lasted, and how many steps were taken.",
        mend="Nothing.",
        page="monitoring.md",
    ),
    journal.NOT_READY: Entry(
        subject=f"No peer of tunnel {TUNNEL} has answered in time",
        what='The settings say ready = "handshake", and ready-timeout has passed without one. The '
        "services that waited start all the same, inside: they reach nothing until a peer answers.",
        why="The network or the server is away, or a key is wrong.",
        mend=f"See {STATUS}. When a peer answers later nothing needs to be done.",
        page="settings.md",
    ),
    journal.NOT_CONFIGURED: Entry(
        subject=f"Tunnel {TUNNEL} could not be configured",
        what="The tunnel's namespace, link, keys or firewall could not be made as its settings and "
        "its .conf say. Its services do not start, or keep running without a way out. This is said "
        "once for each reason, however often it is tried.",
        why="The message says it: often a .conf or a key that is not there yet, or has a mistake.",
        mend="Mend what the message names. The tunnel is tried again every 5 seconds, and services "
        f"that wait for it start by themselves. See {STATUS}.",
        page="monitoring.md",
    ),
    journal.CONFIGURED: Entry(
        subject=f"Tunnel {TUNNEL} is configured",
        what="What kept it from that is gone.",
        why="The message says how long it lasted.",
        mend="Nothing. Services that waited for it are started.",
        page="monitoring.md",
    ),
}  # fmt: skip
"""One for each ID of runtime/journal.py."""


def catalog_file() -> File:
    """Give the file; `journalctl --update-catalog` makes it known."""
    texts = "\n".join(entry.text(message_id) for message_id, entry in MESSAGES.items())
    return File(path=CATALOG, text=f"{HEADER}\n{texts}")
