"""Which endpoint of the tunnel's has its turn: of `endpoints`, and of the addresses of a name.

Both are lists that are kept in order: the first has its turn, and goes to the end when its turn is
over. What is kept outlives reloads and new links, and goes with a stop of the tunnel.
"""

from __future__ import annotations

import os

from wgconfine.config.literal import parse_endpoint
from wgconfine.runtime import paths
from wgconfine.runtime.failure import Failure, step
from wgconfine.runtime.state import read_state, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wgconfine.config.wgquick import Conf
    from wgconfine.runtime.record import Record

    Named = tuple[str, str, int]
    """Public key, host name and port of a peer."""

OWN = "-"
"""In the place of a public key: that of the peer itself."""


class Answer:
    """The addresses of a host name in the order of their turns; `passed` counts turns that ended.

    With the last of them the turn of the name itself ends.
    """

    __slots__ = ("addresses", "passed")

    def __init__(self, addresses: list[str], passed: int = 0) -> None:
        self.addresses, self.passed = addresses, passed

    def pass_on(self) -> bool:
        """End the turn of the first address; False where all have had theirs."""
        self.addresses = [*self.addresses[1:], *self.addresses[:1]]
        self.passed += 1
        if self.passed < len(self.addresses):
            return True
        self.passed = 0
        return False


def listed(record: Record) -> list[str]:
    """Give `endpoints` as lines of what is kept: HOST:PORT and the public key."""
    return [f"{each['endpoint']} {each['public-key'] or OWN}" for each in record.endpoints]


def in_order(record: Record) -> list[str]:
    """Give the endpoints in the order of their turns, as far as that is kept; new ones at the end.

    Where nothing is kept, which is a start of the tunnel, they are as listed, or in random order.
    """
    wanted = listed(record)
    kept = read_state(f"{paths.tunnel_state(record.name)}/{paths.TURNS}").splitlines()
    stay = [each for each in kept if each in wanted]
    new = [each for each in wanted if each not in stay]
    if record.endpoint_order == "random" and not stay:
        new = shuffled(new)
    return [*stay, *new]


def shuffled(lines: list[str]) -> list[str]:
    """Give them in random order, without a module that takes long to import."""
    return [line for _, line in sorted((os.urandom(8), line) for line in lines)]


def settle(record: Record) -> None:
    """Keep the order: from now on everybody who reads the configuration sees the same first one."""
    write_turns(record.name, in_order(record))


def write_turns(name: str, turns: list[str]) -> None:
    path = f"{paths.tunnel_state(name)}/{paths.TURNS}"
    text = "".join(f"{each}\n" for each in turns)
    if read_state(path) != text:
        write_state(path, text)


def take(record: Record, conf: Conf) -> None:
    """Put the endpoint whose turn it is into the one peer of a configuration. Raises Failure."""
    turns = in_order(record)
    if not turns:
        return
    if len(conf.peers) != 1:
        raise Failure(
            f"{record.name}: endpoints are of one peer, and there are {len(conf.peers)}. "
            "Give each peer its own Endpoint instead."
        )
    where, key = turns[0].split(" ")
    endpoint = parse_endpoint(where)
    if isinstance(endpoint, str):
        raise Failure(f"{record.name}: {where} {endpoint}. Run wgconfine apply.")
    conf.peers[0].endpoint = endpoint
    if key != OWN:
        conf.peers[0].public_key = key


def read_answers(name: str) -> dict[str, Answer]:
    """Give what look-ups have found, by host name."""
    text = read_state(f"{paths.tunnel_state(name)}/{paths.ANSWERS}")
    lines = [words for words in map(str.split, text.splitlines()) if len(words) > 2]  # noqa: PLR2004 — host, count, addresses
    return {
        host: Answer(addresses, int(passed))
        for host, passed, *addresses in lines
        if passed.isdecimal()
    }


def known_addresses(name: str) -> dict[str, str]:
    """Give the address of each endpoint's name whose turn it is, as far as the names are known.

    A new link, and one that returns to a name, need not wait for a resolver then.
    """
    return {host: each.addresses[0] for host, each in read_answers(name).items()}


def write_answers(name: str, answers: dict[str, Answer]) -> None:
    lines = (
        f"{host} {answer.passed} {' '.join(answer.addresses)}\n" for host, answer in answers.items()
    )
    write_state(f"{paths.tunnel_state(name)}/{paths.ANSWERS}", "".join(lines))


def arrange(kept: list[str], found: list[str]) -> list[str]:
    """Put what a look-up found in order: whose turn it is keeps it while the name still has it.

    Resolvers give several addresses in another order each time, which is no reason to move.
    """
    stay = [each for each in kept if each in found]
    new = [each for each in found if each not in kept]
    return [*stay[:1], *new, *stay[1:]] if kept[:1] == stay[:1] else [*new, *stay]


def read_endpoints(name: str) -> list[Named]:
    """Give the endpoints to look up; read anew each time, for a reload may change them."""
    lines = map(str.split, read_state(f"{paths.tunnel_state(name)}/endpoints").splitlines())
    return [(key, host, int(port)) for key, host, port, *_ in lines]  # an earlier version had more


def count(record: Record) -> int:
    """Give how many endpoints there are to be tried, one after the other."""
    answers = read_answers(record.name)
    named = {host for _, host, _ in read_endpoints(record.name)}
    several = [len(answers[host].addresses) for host in named if host in answers]
    return max(1, len(record.endpoints)) + max([0, *(each - 1 for each in several)])


def pass_on(record: Record, silent: set[str]) -> None:
    """End the turn of what does not answer: of an address, and of the endpoint with its last one.

    `silent` are the public keys of the peers that it is about. For a writer that holds the lock.
    """
    answers, turns = read_answers(record.name), in_order(record)
    hosts = {host for key, host, _ in read_endpoints(record.name) if key in silent}
    moved = [host for host in sorted(hosts) if host in answers and answers[host].pass_on()]
    for host in moved:
        step(f"{host}: {answers[host].addresses[0]} has its turn")
    if not moved and len(turns) > 1:
        turns = [*turns[1:], turns[0]]
        step(f"{turns[0].split(' ')[0]} has its turn")
        write_turns(record.name, turns)
    if hosts:
        write_answers(record.name, answers)
