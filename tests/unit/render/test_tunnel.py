"""What a tunnel adds to the templates, and the record that its runtime reads."""

import json
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgconfine.config import wgquick
from wgconfine.model.settings import (
    Backend,
    ConfCredential,
    ConfFile,
    Endpoint,
    Inline,
    Peer,
    Refinement,
    Settings,
    TunnelName,
    UnitName,
)
from wgconfine.render.hardening import CAPABILITIES
from wgconfine.render.record import host_link, record_file
from wgconfine.render.templates import templates
from wgconfine.render.tunnel import (
    boot_link,
    instance_dropins,
    name_dropins,
    source_watches,
    switch_dropin,
    watches,
)
from wgconfine.runtime.record import Record

BOUNDING = "CapabilityBoundingSet"
PYTHON = PurePosixPath("/usr/bin/python3")
KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
CONF = ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf"))
INLINE = Inline(
    address=(ip_interface("10.9.0.2/32"), ip_interface("fd09::2/128")),
    peers=(
        Peer(
            public_key=KEY,
            endpoint=Endpoint(host="2001:db8::1", port=51820),
            allowed_ips=(ip_network("0.0.0.0/0"), ip_network("::/0")),
            preshared_key_file=PurePosixPath("/etc/wgconfine/psk"),
            persistent_keepalive=25,
        ),
    ),
    private_key_file=PurePosixPath("/etc/wgconfine/wg.key"),
)
CREDENTIAL = Inline(address=INLINE.address, peers=INLINE.peers, private_key_credential="wg")


def settings(
    wireguard: ConfFile | ConfCredential | Inline = CONF, *, name: str = "vpn"
) -> Settings:
    return Settings(
        name=TunnelName(name),
        path=PurePosixPath(f"/etc/wgconfine/{name}.toml"),
        digest="0",
        wireguard=wireguard,
        services=(UnitName("x.service"),),
        dns=(ip_address("10.9.0.1"),),
        mtu=1380,
        listen_port=51821,
        fwmark=7,
    )


def record(tunnel: Settings, backend: Backend = Backend.KERNEL) -> Record:
    return Record(tunnel.name, json.loads(record_file(tunnel, backend).text))


def dropins(tunnel: Settings, backend: Backend) -> dict[str, str]:
    """Those of every tunnel aside, which have tests of their own."""
    files = instance_dropins(tunnel, backend, python=PYTHON)
    found = {file.path.parent.name: file.text.split("\n", 1)[1] for file in files}
    of_every_tunnel = (switch_dropin(tunnel), *name_dropins(tunnel))
    return {
        unit: text
        for unit, text in found.items()
        if unit not in {file.path.parent.name for file in of_every_tunnel}
    }


def test_the_runtime_reads_back_what_was_rendered() -> None:
    """Every key that it knows, with the same value."""
    found = record(settings(INLINE), Backend.USERSPACE)

    assert (
        True,
        "/etc/wgconfine/wg.key",
        None,
        {KEY: "/etc/wgconfine/psk"},
        ["10.9.0.1"],
        (1380, 51821, 7),
        ["x.service"],
    ) == (
        found.userspace,
        found.private_key_file,
        found.private_key_credential,
        found.preshared_key_files,
        found.dns,
        (found.mtu, found.listen_port, found.fwmark),
        found.services,
    )


def test_the_inline_form_becomes_a_conf_that_the_runtime_parses() -> None:
    """Without its private key, which is a file or a credential."""
    text = record(settings(INLINE)).config or ""
    conf = wgquick.parse(text, "vpn.json", need_private_key=False)

    assert (
        ["10.9.0.2/32", "fd09::2/128"],
        [(KEY, ["0.0.0.0/0", "::/0"], ("2001:db8::1", 51820), 25)],
    ) == (
        conf.addresses,
        [
            (peer.public_key, peer.allowed_ips, peer.endpoint, peer.persistent_keepalive)
            for peer in conf.peers
        ],
    )


def test_a_conf_is_named_and_not_copied() -> None:
    """It holds a secret, and is read when the tunnel starts."""
    found = record(settings())

    assert ("/etc/wireguard/vpn.conf", None) == (found.config_file, found.config)


def test_silence_about_dns_is_not_the_same_as_none() -> None:
    """None: the .conf decides; an empty list: no DNS at all."""
    silent, none = (
        Settings(name=TunnelName("vpn"), path=CONF.path, digest="", wireguard=CONF, dns=dns)
        for dns in (None, ())
    )

    assert (None, []) == (record(silent).dns, record(none).dns)


@given(st.from_regex(r"[a-z0-9][a-z0-9-]{0,30}", fullmatch=True))
def test_the_links_name_fits(name: str) -> None:
    """IFNAMSIZ is 16 bytes with the NUL, and it says the same every time."""
    assert len(host_link(TunnelName(name))) <= 15
    assert host_link(TunnelName(name)) == host_link(TunnelName(name))


def test_links_of_two_tunnels_have_two_names() -> None:
    """Names that are the same for 15 bytes, too."""
    assert host_link(TunnelName("a" * 30)) != host_link(TunnelName("a" * 31))


def test_a_kernel_tunnel_by_conf_needs_no_drop_in() -> None:
    """The templates have it all."""
    assert dropins(settings(), Backend.KERNEL) == {}


def test_a_userspace_tunnel_wants_its_process() -> None:
    """By the instance's own drop-in, so that a kernel tunnel beside it has none."""
    found = dropins(settings(), Backend.USERSPACE)

    link = host_link(TunnelName("vpn"))
    assert found == {
        "wgconfine-wireguard@vpn.service.d": f"[Service]\nEnvironment=LINK={link}\n",
        "wgconfine@vpn.service.d": (
            "[Unit]\nWants=wgconfine-wireguard@%i.service\nAfter=wgconfine-wireguard@%i.service\n"
        ),
    }


def test_a_credential_is_given_to_the_reload_unit_alone() -> None:
    """The tunnel can then be stopped when the credential's source is gone."""
    found = dropins(settings(CREDENTIAL), Backend.KERNEL)

    assert found["wgconfine-reload@vpn.service.d"] == "[Service]\nLoadCredential=wg\n"
    assert "LoadCredential" not in found["wgconfine@vpn.service.d"]


def test_credentials_that_are_encrypted() -> None:
    """No line of systemd's takes both forms: so all of them are, or none."""
    peer = replace(INLINE.peers[0], preshared_key_file=None, preshared_key_credential="psk")
    inline = replace(CREDENTIAL, peers=(peer,))
    found = dropins(replace(settings(inline), encrypted_credentials=True), Backend.KERNEL)

    lines = "LoadCredentialEncrypted=wg\nLoadCredentialEncrypted=psk\n"
    assert found["wgconfine-reload@vpn.service.d"] == f"[Service]\n{lines}"


def test_a_conf_can_be_a_credential() -> None:
    """The record has its name, and the first configuration is a reload as with a key."""
    tunnel = settings(ConfCredential(name="vpn.conf"))
    found = dropins(tunnel, Backend.KERNEL)

    assert found["wgconfine-reload@vpn.service.d"] == "[Service]\nLoadCredential=vpn.conf\n"
    assert "wgconfine-reload@%i.service" in found["wgconfine@vpn.service.d"]
    assert ("vpn.conf", None, None) == (
        record(tunnel).config_credential,
        record(tunnel).config_file,
        record(tunnel).config,
    )


@pytest.mark.parametrize(
    ("wireguard", "watched"),
    [
        (CONF, ["/etc/wireguard/vpn.conf", "/etc/wireguard"]),
        (
            ConfFile(path=PurePosixPath("/run/secrets/vpn.conf")),
            ["/run/secrets/vpn.conf", "/run/secrets", "/run"],
        ),
        (INLINE, ["/etc/wgconfine/wg.key", "/etc/wgconfine/psk", "/etc/wgconfine"]),
        (ConfCredential(name="c"), ["/etc/credstore/c", "/run/credstore/c"]),
    ],
)
def test_what_is_watched(wireguard: ConfFile | ConfCredential | Inline, watched: list[str]) -> None:
    """Each file, and the directories where a link on its way may be replaced: a unit for each."""
    tunnel = replace(settings(wireguard), reload_on_change=True)
    files = source_watches(tunnel)
    units = [f"wgconfine-watch@vpn.{each}.path" for each in range(len(watched))]
    lines = [line for file in files for line in file.text.splitlines()]

    assert units == [file.path.name for file in files] == record(tunnel).watch_units
    assert watched == [line[12:] for line in lines if line.startswith("PathChanged=")]
    reload = dropins(tunnel, Backend.KERNEL)["wgconfine-reload@vpn.service.d"]
    assert reload.startswith(f"[Unit]\nWants={' '.join(units)}\n")
    assert [] == source_watches(settings(wireguard))


def test_the_second_switch_goes_with_its_slice() -> None:
    """Its name escaped, and before the services: they have no word of it in their own files."""
    file = switch_dropin(settings(name="my-vpn"))

    group = "wgconfine-my\\x2dvpn.slice"
    assert "/etc/systemd/system/wgconfine-switch@my-vpn.service.d/wgconfine.conf" == str(file.path)
    assert f"[Unit]\nBindsTo={group}\nAfter={group}\nBefore=x.service\n" in file.text


def test_a_name_that_is_unmounted_has_a_unit_that_names_again() -> None:
    """The unit that systemd makes of the mount, with the name escaped as systemd does."""
    files = {file.path.parent.name: file.text for file in name_dropins(settings(name="my-vpn"))}

    assert {
        "run-netns-my\\x2dvpn.mount.d",
        "run-wgconfine-netns-my\\x2dvpn.mount.d",
    } == files.keys()
    for text in files.values():
        assert "[Unit]\nOnSuccess=wgconfine-name@my-vpn.service\n" in text


def test_starts_at_boot_as_systemctl_enable_would_have_it() -> None:
    """A link to the template."""
    link = boot_link(settings())

    assert (
        "/etc/systemd/system/multi-user.target.wants/wgconfine@vpn.service",
        "/etc/systemd/system/wgconfine@.service",
    ) == (str(link.path), str(link.target))


def test_no_template_has_a_value_left_open() -> None:
    """Neither {runtime} nor doubled braces."""
    texts = "".join(file.text for file in templates(python=PYTHON))

    assert "{runtime}" not in texts
    assert "{{" not in texts


def test_templates_use_the_unescaped_instance_name_nowhere() -> None:
    """%I turns the dash of a tunnel's name into a slash."""
    assert [] == [file.path for file in templates(python=PYTHON) if "%I" in file.text]


@pytest.mark.parametrize("path", ["/opt/my venv/bin/python", "/opt/$x/python", "/opt/a\nb"])
def test_an_interpreter_that_needs_quoting_is_refused(path: str) -> None:
    """Better now than by systemd at boot."""
    with pytest.raises(Exception, match="can't stand in a systemd unit"):
        templates(python=PurePosixPath(path))


def test_no_secret_gets_into_any_file() -> None:
    """Invariant 8: paths of secrets, and nothing of what they hold."""
    files = [
        record_file(settings(INLINE), Backend.KERNEL),
        *instance_dropins(settings(CREDENTIAL), Backend.USERSPACE, python=PYTHON),
    ]

    assert [] == [file.path for file in files if "PrivateKey" in file.text]


def test_each_directory_on_the_way_to_a_path_is_watched_by_a_unit_of_its_own() -> None:
    """/run by the template; of several paths in one unit systemd loses some events."""
    paths = tuple(map(PurePosixPath, ("/run/a", "/run/b/c", "/run/b/d/e")))
    said = Refinement(unit=UnitName("x.service"), allow_paths=paths)
    settings = Settings(
        name=TunnelName("vpn"), path=PurePosixPath("/x"), digest="", wireguard=CONF,
        refinements=(said,),
    )  # fmt: skip
    files = {each.path.name: each.text for each in watches(settings, python=PYTHON)}

    assert {"wgconfine.conf", "wgconfine-paths@vpn.0.path", "wgconfine-paths@vpn.1.path"} == set(
        files
    )
    assert "PathChanged=/run/b\n" in files["wgconfine-paths@vpn.0.path"]
    assert "PathChanged=/run/b/d\n" in files["wgconfine-paths@vpn.1.path"]


def test_root_of_a_service_lacks_a_capability_that_each_unit_of_ours_has() -> None:
    """Or it could look into that process, which has the host's /run: ptrace(2)."""
    for file in templates(python=PYTHON):
        given = [line.split() for line in file.text.splitlines() if line.startswith(f"{BOUNDING}=")]
        for first, *rest in given:
            assert {first.partition("=")[2], *rest} & {*CAPABILITIES}, file.path


def through(wireguard: ConfFile | Inline = CONF) -> Settings:
    return replace(settings(wireguard), via=TunnelName("home"))


@pytest.mark.parametrize("backend", [Backend.KERNEL, Backend.USERSPACE])
def test_what_goes_through_another_tunnel_is_bound_to_its_namespace(backend: Backend) -> None:
    """Its sockets are in there, and so are the look-ups of its endpoints."""
    found = dropins(through(), backend)

    bound = "BindsTo=wgconfine-netns@home.service\nAfter=wgconfine-netns@home.service\n"
    units = {"wgconfine@vpn", "wgconfine-endpoint@vpn"}
    units |= {"wgconfine-wireguard@vpn"} if backend is Backend.USERSPACE else set()
    assert {f"{unit}.service.d" for unit in units} == set(found)
    assert all(bound in text for text in found.values())
    inside = {
        name for name, text in found.items() if "NetworkNamespacePath=/run/netns/home" in text
    }
    assert inside == set(found) - {"wgconfine@vpn.service.d"}


def test_it_requires_the_other_namespace_and_not_the_other_tunnel() -> None:
    """That one may stop and start, and this one stays."""
    text = "".join(dropins(through(), Backend.USERSPACE).values())
    needed = [line for line in text.splitlines() if "wgconfine@home.service" in line]

    tries = "$$(systemctl show -P NRestarts wgconfine@%i.service)"
    order = "systemctl start --no-block --job-mode=fail wgconfine@home.service"
    command = f'/bin/sh -p -c "[ {tries} != 0 ] || exec {order}"'
    assert ["After=wgconfine@home.service", f"ExecStartPre=-{command}"] == needed


def test_a_credential_changes_nothing_of_that() -> None:
    """Both are in the one drop-in of the tunnel's own unit."""
    text = dropins(through(CREDENTIAL), Backend.KERNEL)["wgconfine@vpn.service.d"]

    assert 1 == text.count("[Service]")
    assert text.index("ExecStartPre=-/bin/sh") < text.index("ExecStart=\n")


def test_the_record_names_the_other_tunnel() -> None:
    """The runtime asks for the link there."""
    assert "home" == record(through()).via
