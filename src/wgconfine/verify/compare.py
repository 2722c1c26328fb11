"""`verify --compare URL`: which address a stranger sees, from inside and from the host.

Only where somebody asks for it: it tells the stranger that both are here.
"""

import http.client
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from wgconfine.config.escape import quote
from wgconfine.model.errors import OperationFailed, Refused
from wgconfine.model.settings import IPAddress
from wgconfine.model.verify import Area, Check, Verdict
from wgconfine.verify.inside import ask_inside, ask_outside
from wgconfine.verify.query import AAAA, A, NotAnAnswer
from wgconfine.verify.subject import Subject
from wgconfine.verify.works import ask_resolver, read_resolvers

__all__ = ["Page", "compare_exit", "judge_exits", "parse_url", "seen_address"]

PATIENCE = 10.0  # seconds for a connection, and for each piece of an answer
TOTAL = 60.0
LIMIT = 1 << 16  # bytes; a page that shows an address is short
WORDS = re.compile(r"[0-9A-Fa-f:.]{3,45}")
VERSIONS = (4, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is to be asked for. `host` is a name or an address, without brackets."""

    secure: bool
    host: str
    port: int
    target: str


def compare_exit(subject: Subject, page: Page) -> list[Check]:
    """Ask for a page from inside and from the host, by IPv4 and IPv6, and compare what it shows.

    Inside, the name is looked up by the tunnel's resolvers.
    """
    try:
        resolvers = [str(each) for each in read_resolvers(subject.name)]
        inside = ask_inside(subject.name, lambda: ask_both(page, inside_names(resolvers)), TOTAL)
        outside = ask_outside(lambda: ask_both(page, host_names), TOTAL, "the host")
    except (OSError, OperationFailed) as error:
        return [check(f"exit-v{each}", Verdict.UNKNOWN, str(error)) for each in VERSIONS]
    return judge_exits(inside, outside)


def parse_url(url: str) -> Page:
    """Read an http or https URL. Raises Refused."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused(
            f"--compare: {quote(url)} is no URL: {error}. Write https://HOST/PATH."
        ) from error
    secure = parts.scheme == "https"
    plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain:
        hint = "Write https://HOST/PATH" + ("" if url.isascii() else ", in ASCII")
        raise Refused(f"--compare: {quote(url)} is no http or https URL. {hint}.")
    if parts.username is not None or parts.password is not None:
        raise Refused("--compare: a URL with a password is not asked. Leave it out.")
    query = f"?{parts.query}" if parts.query else ""
    return Page(
        secure=secure,
        host=parts.hostname,
        port=port or (443 if secure else 80),
        target=(parts.path or "/") + query,
    )


Names = Callable[[str, int], str]
"""Gives an address of a host for an IP version. Raises OSError."""


def inside_names(resolvers: list[str]) -> Names:
    def resolve(host: str, version: int) -> str:
        kind = A if version == 4 else AAAA  # noqa: PLR2004 — IP
        wrong = "the tunnel has no resolver"
        for resolver in resolvers:
            try:
                (_, addresses), _ = ask_resolver(resolver, host, kind)
            except (OSError, NotAnAnswer) as error:
                wrong = f"{resolver}: {error}"
                continue
            if addresses:
                return str(addresses[0])
            wrong = f"{resolver} knows no IPv{version} address of it"
        raise OSError(wrong)

    return resolve


def host_names(host: str, version: int) -> str:
    family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004 — IP
    return str(socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)[0][4][0])


def ask_both(page: Page, resolve: Names) -> dict[str, Any]:
    """Give, for each IP version, the address that the page shows, or what was wrong."""
    return {str(version): ask(page, version, resolve) for version in VERSIONS}


def ask(page: Page, version: int, resolve: Names) -> dict[str, str]:
    try:
        address = literal(page.host, version) or resolve(page.host, version)
        status, body = fetch(page, address)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return {"wrong": str(error) or type(error).__name__}
    if status != http.client.OK:  # a redirection would lead to another stranger
        return {"wrong": f"HTTP status {status}"}
    seen = seen_address(body)
    return {"wrong": "the answer shows no IP address"} if seen is None else {"seen": str(seen)}


def literal(host: str, version: int) -> str | None:
    """Give the host if it is an address itself. Raises OSError if it is of the other version."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if address.version != version:
        raise OSError(f"{host} is no IPv{version} address")
    return host


def fetch(page: Page, address: str) -> tuple[int, bytes]:
    """Ask one address for the page; at most 64 KiB are read. Raises OSError or HTTPException."""
    with socket.create_connection((address, page.port), timeout=PATIENCE) as connected:
        wrapped = connected
        if page.secure:
            context = ssl.create_default_context()
            wrapped = context.wrap_socket(connected, server_hostname=page.host)
        with wrapped:
            connection = http.client.HTTPConnection(page.host, page.port)
            connection.sock = wrapped
            headers = {"User-Agent": "wgconfine", "Accept": "text/plain", "Connection": "close"}
            connection.request("GET", page.target, headers=headers)
            response = connection.getresponse()
            return response.status, response.read(LIMIT)


def seen_address(body: bytes) -> IPv4Address | IPv6Address | None:
    """Give the first IP address in an answer. Of a stranger's text no more is ever shown."""
    for word in WORDS.findall(body.decode("ascii", "replace")):
        try:
            return ip_address(word)
        except ValueError:
            continue
    return None


def check(name: str, verdict: Verdict, evidence: str, mend: str = "") -> Check:
    return Check(area=Area.WORKS, name=name, verdict=verdict, evidence=evidence, mend=mend)


def judge_exits(
    inside: dict[str, dict[str, str]], outside: dict[str, dict[str, str]]
) -> list[Check]:
    """Judge what was seen by each IP version. Pure.

    A site, or a tunnel, of one version alone is usual; with none of them nothing was compared.
    """
    none = not any("seen" in each for each in inside.values())
    silence = Verdict.UNKNOWN if none else Verdict.UNAVAILABLE
    return [judge_exit(each, inside[str(each)], outside[str(each)], silence) for each in VERSIONS]


def judge_exit(
    version: int, inside: dict[str, str], outside: dict[str, str], silence: Verdict
) -> Check:
    name, host = f"exit-v{version}", outside.get("seen") or f"nothing ({outside.get('wrong')})"
    if "seen" not in inside:
        words = f"inside: nothing ({inside.get('wrong')}); the host: {host}"
        return check(name, silence, words)
    if same(inside["seen"], outside.get("seen")):
        words = f"{inside['seen']} is seen both from inside and from the host"
        return check(name, Verdict.NOT_CONFINED, words)
    return check(name, Verdict.OK, f"inside: {inside['seen']}; the host: {host}")


def same(inside: str, outside: str | None) -> bool:
    """Compare as addresses: one network of IPv6, /64, is one household."""
    if outside is None:
        return False
    one, other = ip_address(inside), ip_address(outside)
    return network(one) == network(other)


def network(address: IPAddress) -> bytes:
    return address.packed if address.version == 4 else address.packed[:8]  # noqa: PLR2004 — IP
