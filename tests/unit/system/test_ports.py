"""What this machine says of ports: the sockets of this very process, its addresses, its paths."""

import os
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path, PurePosixPath

from wgconfine.model.ports import UnixSocket
from wgconfine.model.tree import File
from wgconfine.plan.ports import Listener
from wgconfine.render.places import UNITS
from wgconfine.system.ports import (
    is_group,
    is_user,
    listeners,
    needs_its_link,
    own_addresses,
    own_listens,
    taken_paths,
)


class FakeSystemctl:
    """Says of each unit that it is active, or failed; takes no orders."""

    def __init__(self, *failed: str) -> None:
        self.failed = failed

    def show(self, units: Sequence[str], properties: Sequence[str]) -> dict[str, dict[str, str]]:
        return {
            unit: dict.fromkeys(properties, "")
            | {"ActiveState": "failed" if unit in self.failed else "active"}
            for unit in units
        }

    def daemon_reload(self) -> None:
        raise NotImplementedError

    def start(self, units: Sequence[str]) -> None:
        raise NotImplementedError(units)

    kill_all = start_no_block = stop = restart = reload = reset_failed = start
    update_catalog = daemon_reload


def held(server: socket.socket, *, ours: frozenset[str] = frozenset()) -> list[Listener]:
    port = server.getsockname()[1]
    return [each for each in listeners(ours) if each.address.port == port]


def test_who_listens_is_named() -> None:
    """By its process and its number; not what listens for us."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        [found] = held(server)
        where = f"127.0.0.1:{server.getsockname()[1]}"

        assert where == str(found.address)
        assert found.process.endswith(f", process {os.getpid()}")
        assert not found.both
        assert [] == held(server, ours=frozenset({where}))


def test_one_that_listens_for_both_families_is_known() -> None:
    """And one for IPv6 alone."""
    for dualstack in (True, False):
        with socket.create_server(
            ("::", 0), family=socket.AF_INET6, dualstack_ipv6=dualstack
        ) as server:
            assert [dualstack] == [each.both for each in held(server)]


def test_a_connected_socket_is_no_listener() -> None:
    """Its port is taken by the one that listens, and by nobody else."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()),
    ):
        assert 1 == len(held(server))


def test_addresses_to_publish_to_are_neither_loopback_nor_of_one_link() -> None:
    """Loopback is there anyway; one of 169.254.0.0/16 has a route as any other."""
    odd = [each for each in own_addresses() if each.is_loopback or needs_its_link(each)]

    assert [] == odd
    assert needs_its_link(ip_address("fe80::1"))
    assert not needs_its_link(ip_address("169.254.1.1"))
    assert not needs_its_link(ip_address("fd00::1"))


def test_what_is_at_a_path_is_told_by_its_kind(tmp_path: Path) -> None:
    """A socket, a file, a link that leads nowhere; what is ours is not in the way."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        paths = [PurePosixPath(tmp_path / name) for name in ("sock", "file", "link", "free")]
        unix = [UnixSocket(path=path) for path in paths]

        assert list(zip(paths, ["a socket", "a file", "a symbolic link"], strict=False)) == list(
            taken_paths(unix, frozenset())
        )
        assert paths[1:3] == [path for path, _ in taken_paths(unix, frozenset({str(paths[0])}))]


def test_users_and_groups_are_looked_up() -> None:
    """In the machine's own databases."""
    assert is_user("root")
    assert is_group("root")
    assert not is_user("no-such-user")
    assert not is_group("no-such-group")


def test_our_sockets_are_those_that_run_and_listen_on_the_host() -> None:
    """Not one that failed, whose port somebody else may have; nor one of `reach`, inside."""
    texts = {
        "wgconfine-publish@vpn.80.socket": "ListenStream=127.0.0.1:80\nListenStream=[::1]:80\n",
        "wgconfine-publish@vpn.81.socket": "ListenStream=127.0.0.1:81\n",
        "wgconfine-reach@vpn.127.0.0.1:82.socket": (
            "NetworkNamespacePath=/run/netns/vpn\nListenStream=127.0.0.1:82\n"
        ),
        "wgconfine-tick.timer": "ListenStream=127.0.0.1:83\n",
    }
    tree = {UNITS / name: File(path=UNITS / name, text=f"\n{text}") for name, text in texts.items()}
    systemctl = FakeSystemctl("wgconfine-publish@vpn.81.socket")

    assert {"127.0.0.1:80", "[::1]:80"} == own_listens(systemctl, {**tree})
