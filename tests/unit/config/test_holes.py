"""What no line of an owner's opens: paths and names on the bus that lead out of the tunnel."""

import pytest

from wgconfine.config.holes import shut_name, shut_path


@pytest.mark.parametrize(
    "path",
    [
        "/run/NetworkManager",
        "/run/avahi-daemon/socket",
        "/run/containerd/containerd.sock",
        "/run/crio/crio.sock",
        "/run/cups/cups.sock",
        "/run/dbus",
        "/run/dbus/system_bus_socket",
        "/run/docker.sock",
        "/run/incus/unix.socket",
        "/run/libvirt",
        "/run/lxd",
        "/run/netns",
        "/run/nscd/socket",
        "/run/podman/podman.sock",
        "/run/snapd.socket",
        "/run/systemd",
        "/run/systemd/private",
        "/run/systemd/resolve",
        "/run/systemd/userdb/io.systemd.Multiplexer",
        "/run/user/1000/bus",
        "/run/user/1000/docker.sock",
        "/run/user/1000/systemd/private",
        "/run/wgconfine/netns/vpn",
    ],
)
def test_a_path_that_leads_out_stays_shut(path: str) -> None:
    """With a reason: it looks names up, or has something started, outside of the tunnel."""
    assert shut_path(path)


@pytest.mark.parametrize("path", ["/run/user", "/run/user/1000"])
def test_a_path_with_such_a_one_in_it_stays_shut(path: str) -> None:
    """The reason names what is in it."""
    assert shut_path(path).startswith("it has /run/user/*/bus in it, and it is the whole bus")


@pytest.mark.parametrize(
    "path",
    [
        "/run/agenix/key",
        "/run/dbus-x",
        "/run/mysqld/mysqld.sock",
        "/run/postgresql",
        "/run/secrets",
        "/run/systemd/sessions",
        "/run/systemd/sessions/c1",
        "/run/user/1000/pulse",
    ],
)
def test_other_paths_may_be_opened(path: str) -> None:
    """Databases, secrets, and what logind tells."""
    assert "" == shut_path(path)


@pytest.mark.parametrize(
    "name",
    [
        "org.freedesktop.Avahi",
        "org.freedesktop.DBus",
        "org.freedesktop.NetworkManager",
        "org.freedesktop.PackageKit",
        "org.freedesktop.login1",
        "org.freedesktop.machine1",
        "org.freedesktop.network1",
        "org.freedesktop.nm_dispatcher",
        "org.freedesktop.portable1",
        "org.freedesktop.resolve1",
        "org.freedesktop.sssd.infopipe",
        "org.freedesktop.systemd1",
    ],
)
def test_a_name_that_leads_out_stays_shut(name: str) -> None:
    """With everything below it."""
    assert shut_name(name)
    assert shut_name(f"{name}.below")


@pytest.mark.parametrize("name", ["org.example.Db", "org.freedesktop.hostname1", "net.connman1.x"])
def test_other_names_may_be_opened(name: str) -> None:
    """Another name that begins alike is another."""
    assert "" == shut_name(name)
