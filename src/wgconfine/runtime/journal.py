"""Loud lines for the journal: with a priority, an ID for its catalog, and fields to search by."""

from __future__ import annotations

from wgconfine.config.escape import escape
from wgconfine.runtime.failure import say

SOCKET = "/run/systemd/journal/socket"
LIMIT = 4096
"""Characters of a message: what is shown of a finding is short, and a datagram has its limit."""

ERROR, WARNING, INFO = 3, 4, 6

LEAK = "8b325afc59bd40b4bf6bff3502084b8a"
NOT_CONFINED = "6b54395f0605403eb58aff1903c94294"
UNKNOWN = "9a969f0c720048acb1762cdf6b820be1"
BROKEN = "af0fb7c626fa417eb3ff781c059c65d0"
STOPPED = "99e93747d84b46eca06a345fed2a9e83"
REFUSED = "3c7ad984130447e1b697b2f84a837186"
MENDED = "bbf325d4e761424f999b469d79010d2e"
DEGRADED = "98f6e9244d4d4bf397ee96f181a41074"
RECOVERED = "551cc6f12f3342e4967c3d9dc4949f97"
NOT_CONFIGURED = "8fac09344d704ecebeef85e93c370f84"
CONFIGURED = "b9f0ec6b7e1d4f4199b3df3cb45d8396"
NOT_READY = "22624c44d5e44b17b43c224c1563e8dc"


def send(priority: int, message: str, message_id: str, **fields: str) -> None:
    """Write one entry; `fields` are its own, in small letters, and empty ones are left out.

    Where journald does not listen it goes to stderr, as sd-daemon(3) writes priorities. Text of
    others is escaped here at the latest.
    """
    from _socket import AF_UNIX, SOCK_DGRAM, socket  # noqa: PLC0415 — a tick that is content sends nothing

    values = {
        "MESSAGE": message,
        "PRIORITY": str(priority),
        "MESSAGE_ID": message_id,
        "SYSLOG_IDENTIFIER": "wgconfine",
        **{key.upper(): value for key, value in fields.items() if value},
    }
    # A value without a newline, and escaping leaves none, needs no length: this is systemd's
    # JOURNAL_NATIVE_PROTOCOL.
    lines = (f"{key}={escape(value[:LIMIT])}\n" for key, value in values.items())
    try:
        sender = socket(AF_UNIX, SOCK_DGRAM)
        try:
            sender.sendto("".join(lines).encode(errors="backslashreplace"), SOCKET)
        finally:
            sender.close()
    except OSError:
        say(f"<{priority}>{message}")
