"""What is read of published and reached ports before it is judged."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.config.ports import read_publish_text, read_reach
from wgconfine.model.settings import Backend, ConfFile, Settings, TunnelName, UnitName
from wgconfine.render.publish import port_files
from wgconfine.render.templates import templates
from wgconfine.runtime import ipfilter
from wgconfine.runtime.namespace import identity
from wgconfine.system.sockdiag import InetSocket
from wgconfine.system.systemctl import RealSystemctl
from wgconfine.verify import ports as module
from wgconfine.verify.portjudge import Filter
from wgconfine.verify.ports import (
    filter_of,
    is_alive,
    listened_at,
    network_of,
    rendered_lines,
    slices_around,
    slices_that_allow,
    socket_file,
)
from wgconfine.verify.subject import Subject, units_of_ports

PYTHON = PurePosixPath("/usr/bin/python3")
PLAIN = read_publish_text("8080")
SETTINGS = Settings(
    name=TunnelName("vpn"),
    path=PurePosixPath("/etc/wgconfine/vpn.toml"),
    digest="",
    wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
    publish=(PLAIN,),
    reach=(read_reach("127.0.0.1:5432:192.0.2.7:5433"),),
)


class FakeSystemctl(RealSystemctl):
    """Slices, one of which allows somebody."""

    def show(self, units: Sequence[str], properties: Sequence[str]) -> dict[str, dict[str, str]]:
        allowed = {"a.slice": "192.0.2.0/24"}
        return {unit: {key: allowed.get(unit, "") for key in properties} for unit in units}


def subject() -> Subject:
    files = [
        *templates(python=PYTHON, publish=True, reach=True),
        *port_files(SETTINGS, python=PYTHON),
    ]
    return Subject(
        settings=SETTINGS,
        applied=SETTINGS,
        backend=Backend.KERNEL,
        facts={},
        states={},
        desired={},
        installed={file.path: file for file in files},
        systemctl=FakeSystemctl(),
    )


def test_units_of_ports() -> None:
    """The socket of each, and its proxy."""
    assert (
        "wgconfine-publish@vpn.8080.socket",
        "wgconfine-publish@vpn.8080.service",
        "wgconfine-reach@vpn.127.0.0.1:5432.socket",
        "wgconfine-reach@vpn.127.0.0.1:5432.service",
    ) == units_of_ports(SETTINGS)


def test_addresses_as_systemd_shows_them() -> None:
    """One a line, each with its kind."""
    shown = "127.0.0.1:8080 (Stream)\n[::1]:8080 (Stream)\n/run/a (b).sock (Stream)"
    assert ["127.0.0.1:8080", "[::1]:8080", "/run/a (b).sock"] == list(listened_at(shown))
    assert [] == list(listened_at(""))


def test_a_proxy_is_compared_with_its_template_and_its_drop_in() -> None:
    """And with what it may not have at all: other sources of its environment."""
    lines = rendered_lines(UnitName("wgconfine-reach@vpn.127.0.0.1:5432.service"), subject())
    values = {(line.key, line.value) for line in lines}
    assert {("DynamicUser", "yes"), ("Environment", "TARGET=192.0.2.7:5433")} < values
    assert ("EnvironmentFile", "") in values
    of_socket = rendered_lines(UnitName("wgconfine-publish@vpn.8080.socket"), subject())
    assert ("ListenStream", "127.0.0.1:8080") in {(line.key, line.value) for line in of_socket}


def test_the_slices_above_that_add_to_a_filter() -> None:
    """Up to the root, by the dashes of their names."""
    assert ["a.slice"] == slices_that_allow(subject(), r"a-b-c\x2dd.slice")
    assert [] == slices_that_allow(subject(), "b.slice")
    assert ["a-b.slice", "a.slice", "-.slice"] == slices_around("a-b.slice")
    assert ["-.slice"] == slices_around("-.slice")


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control group with a filter that lets one stranger in."""
    monkeypatch.setattr(ipfilter, "UNIFIED", (os.fspath(tmp_path),))
    monkeypatch.setattr(ipfilter, "strangers", lambda _, clients: [f"not {clients}"])
    (tmp_path / "a.socket").mkdir()
    return tmp_path / "a.socket"


def listener(local: str, cgroup: int) -> InetSocket:
    return InetSocket(protocol="tcp", local=local, remote="", inode=7, cgroup=cgroup)


def test_a_filter_is_asked_of_the_group_of_its_sockets(group: Path) -> None:
    """One that was made elsewhere is not under it; what other entries listen at is not asked."""
    host = [
        listener("127.0.0.1:8080", group.stat().st_ino),
        listener("[::1]:8080", 1),
        listener("127.0.0.1:22", 1),
    ]
    strangers = ("not ['127.0.0.0/8', '::1/128']",)
    assert Filter(strangers=strangers, around=("[::1]:8080",)) == filter_of(
        PLAIN, "/a.socket", host
    )
    unknown = [listener("[::1]:8080", 0)]  # a kernel that does not tell
    assert Filter(strangers=strangers) == filter_of(PLAIN, "/a.socket", unknown)


def test_without_a_control_group_there_is_no_filter(group: Path) -> None:
    """As with version 1; and where the kernel lets nobody ask, that is said."""
    assert Filter(strangers=None) == filter_of(PLAIN, "/b.socket", [])
    assert Filter(strangers=None) == filter_of(PLAIN, "", [])
    assert group.is_dir()


def test_a_kernel_that_can_not_be_asked(group: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no proof of anything."""

    def refuse(_: str, __: list[str]) -> list[str]:
        raise PermissionError(1, "bpf: Operation not permitted")

    monkeypatch.setattr(ipfilter, "strangers", refuse)
    assert "not permitted" in filter_of(PLAIN, f"/{group.name}", []).trouble


def test_the_file_of_a_unix_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mode and owners, and whether it is one that is listened at; nothing of another file."""
    monkeypatch.setattr(module, "ROOT", Path("/"))
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.fspath(path))
        path.chmod(0o660)
        status = path.stat()
        found = socket_file(os.fspath(path), [(status.st_dev, status.st_ino & 0xFFFFFFFF)])
        assert found is not None
        assert (0o660, True) == (found.mode, found.listened)
        other = socket_file(os.fspath(path), [])
        assert other is not None
        assert not other.listened
    (tmp_path / "file").touch()
    assert None is socket_file(os.fspath(tmp_path / "file"), [])
    assert None is socket_file(os.fspath(tmp_path / "gone"), [])


def test_a_process_that_has_ended_is_in_no_namespace() -> None:
    """Nor is one that nobody has waited for: it is no unknown."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert (None, False) == (network_of(child), is_alive(child))
    os.waitpid(child, 0)
    assert (None, False) == (network_of(child), is_alive(child))
    assert identity("/proc/self/ns/net") == network_of(os.getpid())
