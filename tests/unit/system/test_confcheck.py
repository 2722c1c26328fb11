"""The .conf and the key files of the settings, where they are there already."""

import os
from pathlib import Path, PurePosixPath

import pytest

from wgconfine.config.settings import parse_settings
from wgconfine.model.settings import Settings
from wgconfine.runtime import process
from wgconfine.system import confcheck
from wgconfine.system.confcheck import Findings, check_sources

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
OTHER = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
CONF = f"""\
[Interface]
PrivateKey = {KEY}
Address = 10.66.0.2
DNS = 10.64.0.1
[Peer]
PublicKey = {KEY}
AllowedIPs = 0.0.0.0/0
"""


def settings(text: str, name: str = "vpn") -> Settings:
    return parse_settings(name, [(PurePosixPath(f"/etc/wgconfine/{name}.toml"), text)])


def found(*texts: str) -> Findings:
    names = ["vpn", "two", "three", "four"][: len(texts)]
    return check_sources(map(settings, texts, names))


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def inline(private: Path, shared: Path) -> str:
    return (
        f'address = ["10.0.0.2"]\ndns = []\nprivate-key-file = "{private}"\n'
        f'[[peer]]\npublic-key = "{KEY}"\npreshared-key-file = "{shared}"\n'
    )


def test_a_conf_that_is_right(rooted: Path) -> None:
    """Nothing to say."""
    path = written(rooted / "vpn.conf", CONF)

    assert Findings() == found(f'config = "{path}"')


def test_a_conf_that_is_not_there_yet(rooted: Path) -> None:
    """sops or agenix may bring it: it is judged when the tunnel starts."""
    assert Findings() == found(f'config = "{rooted}/vpn.conf"')


def test_every_problem_and_warning_of_a_conf(rooted: Path) -> None:
    """With its line, and what holds only together with the settings."""
    text = CONF.replace("DNS = 10.64.0.1", "ListenPort = 1\nPostUp = x\nMTU = y")
    path = written(rooted / "vpn.conf", text)

    wrong = found(f'config = "{path}"')
    assert [f"{path}:5", f"{path}:6"] == sorted(each.where for each in wrong.problems)

    written(path, CONF.replace("DNS = 10.64.0.1", "ListenPort = 1"))
    odd = found(f'config = "{path}"')
    assert ["/etc/wgconfine/vpn.toml: dns"] == [each.where for each in odd.problems]
    assert [f"{path}:4"] == [each.where for each in odd.warnings]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602])
def test_secrets_that_others_can_read_or_write(rooted: Path, mode: int) -> None:
    """Each file of the settings, and nothing of its content in the words (invariant 8)."""
    conf = written(rooted / "vpn.conf", CONF, mode)
    private, shared = (written(rooted / name, KEY, mode) for name in ("private", "shared"))

    problems = found(f'config = "{conf}"').problems + found(inline(private, shared)).problems

    assert [os.fspath(path) for path in (conf, private, shared)] == [
        each.where for each in problems
    ]
    assert KEY not in str(problems)


def test_key_files(rooted: Path) -> None:
    """One that holds no key is a problem; its content is not shown."""
    private = written(rooted / "private", KEY + "\n")
    shared = written(rooted / "shared", f"{KEY}{KEY}")

    (problem,) = found(inline(private, shared)).problems

    assert f"{shared}: holds no WireGuard key" in str(problem)
    assert KEY not in str(problem)


@pytest.mark.parametrize(
    "place",
    ["/dev/shm", "/home/me", "/root", "/run/user/1", "/tmp", "/var/tmp"],  # noqa: S108 — refused
)
def test_places_that_the_unit_does_not_see(place: str) -> None:
    """The unit has its own: there or not, it is said now, with the key's own place."""
    path = Path(place) / "secret"

    why = f"the tunnel's unit has no access to {path}. Put it into /etc/wireguard."
    assert [f"/etc/wgconfine/vpn.toml: config: {why}"] == [
        str(each) for each in found(f'config = "{path}"').problems
    ]
    assert [
        "/etc/wgconfine/vpn.toml: private-key-file",
        "/etc/wgconfine/vpn.toml: peer[0].preshared-key-file",
    ] == [each.where for each in found(inline(path, path)).problems]


def credential(name: str) -> str:
    """Settings whose key is a credential."""
    return (
        f'address = ["10.0.0.2"]\ndns = []\nprivate-key-credential = "{name}"\n'
        f'[[peer]]\npublic-key = "{OTHER}"\n'
    )


def test_one_private_key_in_two_tunnels(rooted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever each has it from; every place is named, and the key is not shown."""
    monkeypatch.setattr(confcheck, "STORES", [f"{rooted}/none", os.fspath(rooted)])
    conf = written(rooted / "a.conf", CONF)
    spaced = written(rooted / "b.conf", "\n" + CONF.replace(KEY, f"{KEY[:9]} {KEY[9:]}"))
    key, shared = written(rooted / "key", KEY), written(rooted / "shared", OTHER)
    inlined = inline(key, shared)

    problems = found(
        f'config = "{conf}"', f'config = "{spaced}"', inlined, credential(key.name)
    ).problems

    assert [
        "/etc/wgconfine/three.toml: private-key-file",
        f"{conf}:2",
        f"{spaced}:3",
    ] == [each.where for each in problems]
    (what,) = {each.what for each in problems}
    first = "/etc/wgconfine/four.toml: private-key-credential"
    assert f"the private key is also that of {first}" == what
    assert KEY[:20] not in str(problems)


def test_a_tunnel_that_is_off_disturbs_nobody(rooted: Path) -> None:
    """Its files are checked, its key is not compared; a preshared key may be shared."""
    conf = written(rooted / "a.conf", CONF)
    key, other = written(rooted / "key", KEY), written(rooted / "other", OTHER)
    off = "enable = false\n" + inline(key, other)

    assert Findings() == found(f'config = "{conf}"', off, inline(other, key))


def test_a_credential_that_is_there(rooted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a key file like any other; one that is encrypted or comes later is judged later."""
    monkeypatch.setattr(confcheck, "STORES", [f"{rooted}/none", os.fspath(rooted)])
    path = written(rooted / "wg.key", "nonsense")

    assert Findings() == found(credential("another"))
    assert [os.fspath(path)] == [each.where for each in found(credential("wg.key")).problems]


def test_a_conf_that_is_a_credential(rooted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it can be read it is checked as a file is; what is encrypted is judged later."""
    monkeypatch.setattr(confcheck, "STORES", [os.fspath(rooted)])
    path = written(rooted / "vpn.conf", CONF + "PostUp = reboot\n")
    said = 'config-credential = "vpn.conf"\n'

    assert [f"{path}:8"] == [each.where for each in found(said).problems]
    monkeypatch.setattr(confcheck, "ENCRYPTED_STORES", [os.fspath(rooted)])
    assert Findings() == found(said + "encrypted-credentials = true\n")


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_credential_of_the_other_form(
    rooted: Path, monkeypatch: pytest.MonkeyPatch, *, encrypted: bool
) -> None:
    """systemd takes the one or the other, and says nothing that helps."""
    monkeypatch.setattr(confcheck, "STORES", [f"{rooted}/plain"])
    monkeypatch.setattr(confcheck, "ENCRYPTED_STORES", [f"{rooted}/encrypted"])
    (rooted / "plain").mkdir()
    (rooted / "encrypted").mkdir()
    path = written(rooted / ("plain" if encrypted else "encrypted") / "wg.key", "nonsense")
    line = "encrypted-credentials = true\n" if encrypted else ""

    assert [f"{path} is {'not ' if encrypted else ''}encrypted"] == [
        each.what for each in found(line + credential("wg.key")).problems
    ]


def test_what_cannot_be_seen_is_said(rooted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root /etc/wireguard is closed: 6, could not check everything."""

    def denied(path: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    path = written(rooted / "vpn.conf", "nonsense")
    monkeypatch.setattr(os, "lstat", denied)

    assert Findings(unseen=[PurePosixPath(path)]) == found(f'config = "{path}"')


def test_a_bus_needs_its_proxy(rooted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its package is named, at the line that needs it; without such a line nobody asks."""
    monkeypatch.setattr(process, "SEARCH", (os.fspath(rooted),))
    text = f'config = "{rooted}/absent.conf"\nservices = ["x.service"]\n'
    table = '[service."x.service"]\nallow-bus = ["org.example.X"]\n'
    without = found(text + table).problems
    written(rooted / "xdg-dbus-proxy", "", 0o755)

    assert [] == found(text).problems
    assert [] == found(text + table).problems
    assert [
        (
            '/etc/wgconfine/vpn.toml: service."x.service".allow-bus: it needs xdg-dbus-proxy, which'
            " is not there. Install the package xdg-dbus-proxy."
        )
    ] == list(map(str, without))
