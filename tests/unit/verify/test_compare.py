"""Which address a stranger sees: what is asked, and what is read of the answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from wgconfine.model.errors import Refused
from wgconfine.model.verify import Verdict
from wgconfine.verify.compare import (
    Page,
    ask,
    ask_both,
    inside_names,
    judge_exits,
    parse_url,
    seen_address,
)


@pytest.mark.parametrize(
    ("url", "page"),
    [
        (
            "https://ip.example.net",
            Page(secure=True, host="ip.example.net", port=443, target="/"),
        ),
        (
            "http://[2001:db8::1]:8080/me?text=1",
            Page(secure=False, host="2001:db8::1", port=8080, target="/me?text=1"),
        ),
    ],
)
def test_a_url_is_read(url: str, page: Page) -> None:
    """Of both kinds; addresses stand without their brackets."""
    assert page == parse_url(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.net/", "is no http or https URL. Write https://HOST/PATH."),
        ("file:///etc/passwd", "is no http or https URL."),
        ("http://", "is no http or https URL."),
        ("example.net", "is no http or https URL."),
        ("http://exa mple.net/", "is no http or https URL."),
        ("http://x/\r\nHost: y", "is no http or https URL."),
        ("http://ä/", "is no http or https URL. Write https://HOST/PATH, in ASCII."),
        ("http://u:secret@example.net/", "--compare: a URL with a password is not asked."),
        ("http://x:99999/", "'http://x:99999/' is no URL: Port out of range 0-65535."),
        ("http://[::1/", "'http://[::1/' is no URL: Invalid IPv6 URL. Write https://HOST/PATH."),
    ],
)
def test_what_is_no_such_url_is_refused(url: str, why: str) -> None:
    """Before anybody is asked; a password is not repeated."""
    with pytest.raises(Refused) as refused:
        parse_url(url)
    assert why in str(refused.value)
    assert "secret" not in str(refused.value)


def test_what_can_not_be_asked_is_said() -> None:
    """An address of the other family, and a name that nobody could be asked for."""
    page = Page(secure=False, host="192.0.2.1", port=1, target="/")
    assert {"wrong": "192.0.2.1 is no IPv6 address"} == ask(page, 6, inside_names([]))
    named = Page(secure=False, host="ip.example.net", port=1, target="/")
    assert {"wrong": "the tunnel has no resolver"} == ask(named, 4, inside_names([]))


@pytest.mark.parametrize(
    ("body", "address"),
    [
        (b"203.0.113.7\n", "203.0.113.7"),
        (b'{"ip":"2001:db8::7","when":"12:30:05"}', "2001:db8::7"),
        (b"at 12:30:05 you were 203.0.113.7", "203.0.113.7"),
        (b"<html>\x1b[2Jno\xff</html>", "None"),
        (b"", "None"),
    ],
)
def test_only_an_address_is_read_of_a_strangers_text(body: bytes, address: str) -> None:
    """Whatever else it says."""
    assert address == str(seen_address(body))


V4, V6 = {"seen": "203.0.113.7"}, {"seen": "2001:db8:1:2::7"}
NONE = {"wrong": "no route"}


@pytest.mark.parametrize(
    ("inside", "outside", "verdicts"),
    [
        ((V4, V6), ({"seen": "198.51.100.2"}, NONE), (Verdict.OK, Verdict.OK)),
        ((V4, NONE), (V4, V6), (Verdict.NOT_CONFINED, Verdict.UNAVAILABLE)),
        ((NONE, NONE), (V4, V6), (Verdict.UNKNOWN, Verdict.UNKNOWN)),
        (
            (V4, V6),
            (NONE, {"seen": "2001:db8:1:2::99"}),
            (Verdict.OK, Verdict.NOT_CONFINED),
        ),
    ],
)
def test_the_same_address_is_no_confinement(
    inside: tuple[dict[str, str], ...],
    outside: tuple[dict[str, str], ...],
    verdicts: tuple[Verdict, ...],
) -> None:
    """Of IPv6 the same network; where nothing was seen from inside, nothing is known."""
    sides = [dict(zip(("4", "6"), each, strict=True)) for each in (inside, outside)]

    assert verdicts == tuple(check.verdict for check in judge_exits(*sides))


@contextmanager
def web(status: int, body: bytes) -> Iterator[int]:
    """A web server on the loopback address; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "http://elsewhere.invalid/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def resolve(host: str, version: int) -> str:
    if version != 4:
        raise OSError(f"{host} has none")
    return "127.0.0.1"


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, b"203.0.113.7\n", {"seen": "203.0.113.7"}),
        (302, b"203.0.113.7\n", {"wrong": "HTTP status 302"}),
        (200, b"hello", {"wrong": "the answer shows no IP address"}),
        (200, b" " * (1 << 17) + b"203.0.113.7", {"wrong": "the answer shows no IP address"}),
    ],
)
def test_a_page_is_asked_for(status: int, body: bytes, found: dict[str, str]) -> None:
    """Of the address that the name has there; a redirection is not followed, nor is all read."""
    with web(status, body) as port:
        page = Page(secure=False, host="ip.example.net", port=port, target="/")

        assert {"4": found, "6": {"wrong": "ip.example.net has none"}} == ask_both(page, resolve)
