"""Each unit of ours has the sandbox that is written down, on every release, and works in it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lab import RELEASES, World, boot_container
from tests.scenario import wgconfine, write_service

pytestmark = pytest.mark.container

WRITTEN_DOWN = Path(__file__).parents[1] / "golden/expected/sandbox.toml"

ADDRESSES = {"named": "10.66.0.2", "files": "10.66.0.3", "cred": "10.66.0.4"}
ENDPOINTS = {
    "named": "vpn.example.net:51820",
    "files": "[2001:db8:51::1]:51820",
    "cred": "198.51.100.1:51820",
}

# Root itself can't clear this without the capabilities for it.
MESSY = """\
[Service]
User=games
ExecStartPre=/bin/sh -c 'mkdir -m 1777 /run/lock/x; mkdir -m 700 /run/lock/x/y /run/lock/x/y/z'
ExecStart=/bin/sleep infinity
"""

PORTS = """
        publish = ["8080"]
        reach = ["127.0.0.1:7000:198.51.100.1:7001"]
"""

WATCHED = """
        ready = "handshake"
        reload-on-change = true
"""

OPENED = """
        [service."messy.service"]
        allow-paths = ["/run/log"]
        allow-bus = ["org.example.Name"]
"""

PLACES = (
    "/ /boot /dev /dev/shm /etc /etc/wgconfine /home /opt /root /run /run/lock /run/netns "
    "/run/systemd /run/wgconfine /run/wgconfine/lock /run/wgconfine/netns /run/wgconfine/run "
    "/run/wgconfine/root /run/wireguard /srv /sys/fs/cgroup /tmp /usr /var /var/lib /var/tmp"
)
LOOK = f"for d in {PLACES}; do if [ -w $d ]; then echo writable $d; fi; done"


def units() -> dict[str, Any]:
    """Templates with what is not taken, as the golden file says."""
    import tomllib

    return tomllib.loads(WRITTEN_DOWN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=sorted(RELEASES))
def world(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with three userspace tunnels and a service that leaves a mess."""
    packages = ("xdg-dbus-proxy",)
    with boot_container(request.param, wheelhouse=wheelhouse, extra_packages=packages) as world:
        write_service(world, "messy.service", MESSY)
        for client, name in enumerate(ADDRESSES, start=2):
            write_inline(world, name, client)
        wgconfine(world, "apply")
        yield world


def write_inline(world: World, name: str, client: int) -> None:
    """Write a tunnel without a .conf, its key in a file or a credential."""
    conf = dict(
        line.split(" = ", 1)
        for line in world.internet.provider_conf(client=client).splitlines()
        if " = " in line
    )
    place = f"/etc/wgconfine/{name}.key"
    key = f'private-key-file = "{place}"'
    if name == "cred":
        key, place = 'private-key-credential = "lab.key"', "/etc/credstore/lab.key"
    world.machine.write(place, conf["PrivateKey"] + "\n", 0o600)
    services = '"messy.service"' if name == "files" else ""
    world.machine.write(
        f"/etc/wgconfine/{name}.toml",
        f"""
        address = ["{'", "'.join(conf["Address"].split(", "))}"]
        dns = ["10.66.0.1"]
        services = [{services}]
        {key}
        {PORTS if name == "files" else ""}
        {WATCHED if name == "cred" else ""}
        [[peer]]
        public-key = "{conf["PublicKey"]}"
        endpoint = "{ENDPOINTS[name]}"
        {OPENED if name == "files" else ""}
        """,
    )


def carries(world: World, name: str) -> bool:
    """Tell whether somebody in the namespace is seen with the tunnel's address."""
    curl = ("nsenter", f"--net=/run/netns/{name}", "curl", "-s", "-m", "3", "http://203.0.113.80/")
    return world.machine.run(*curl, check=False).stdout.strip() == ADDRESSES[name]


def wait_until_carried(world: World, *names: str) -> None:
    for name in names:
        world.machine.wait_for(lambda name=name: carries(world, name), f"{name} carries")  # type: ignore[misc]


PROXIES = {
    "wgconfine-publish@.service": "wgconfine-publish@files.8080.service",
    "wgconfine-reach@.service": "wgconfine-reach@files.127.0.0.1:7000.service",
}
"""What runs by each template of a proxy: with a socket, or it would not be a whole unit."""


def instance(template: str, name: str) -> str:
    return PROXIES.get(template) or template.replace("@.", f"@{name}.")


class Analysis(NamedTuple):
    """What systemd-analyze says of a unit: the settings that it lacks, and its exposure."""

    lacks: list[str]
    exposure: float


@pytest.fixture(scope="module")
def analyses(world: World) -> dict[str, Analysis]:
    """All templates at once: each call reads all units of the machine."""
    templates = sorted(units())
    names = " ".join(instance(each, "cred") for each in templates)
    analyze = f"systemd-analyze security --offline=true --no-pager {names}"
    tables = world.machine.sh(f"{analyze} --json=short").splitlines()
    lacks = [[x["name"] for x in json.loads(each) if x["set"] is False] for each in tables]
    text = world.machine.sh(analyze)
    exposures = re.findall(r"Overall exposure level for \S+: (\S+)", text)
    assert len(templates) == len(lacks) == len(exposures)
    return {
        template: Analysis(sorted(lacking), float(exposure))
        for template, lacking, exposure in zip(templates, lacks, exposures, strict=True)
    }


@pytest.mark.parametrize("template", sorted(units()))
def test_what_is_not_taken_is_written_down(analyses: dict[str, Analysis], template: str) -> None:
    """systemd-analyze finds exactly the settings missing that the golden file gives reasons for."""
    expected = units()[template]

    assert Analysis(sorted(expected["not-taken"]), expected["exposure"]) == analyses[template]
    assert (expected["exposure"] > 2.0) == ("why-above-2" in expected)


def test_systemd_understands_every_line(world: World) -> None:
    """No release complains of a setting that it does not know, and none takes one back.

    A name with a colon is `FILE:ALIAS` to it: those units come along with what wants them.
    """
    units_by_name = {instance(template, "cred") for template in units()}
    names = " ".join(name for name in units_by_name if ":" not in name)
    wanting = "wgconfine-netns@files.service"

    assert "" == world.machine.sh(f"systemd-analyze verify {names} {wanting} 2>&1")
    assert "" == world.machine.sh(
        "journalctl -b -o cat | grep etc/systemd/system/wgconfine || true"
    )


def test_every_form_of_tunnel_comes_up(world: World) -> None:
    """Endpoints by host name and IPv6, keys from files and a credential."""
    wait_until_carried(world, *ADDRESSES)


def test_a_reload_reaches_the_link(world: World) -> None:
    """Also that of a credential, which is loaded anew."""
    machine = world.machine
    for name in ("files", "cred"):
        machine.sh(f"sed -i '1i mtu = 1300' /etc/wgconfine/{name}.toml")
    wgconfine(world, "apply")

    for name in ("files", "cred"):
        assert "mtu 1300" in machine.sh(f"ip -n {name} link show wg0")
        assert "success" == machine.show(f"wgconfine-reload@{name}.service", "Result")


def test_after_a_crash_of_wireguard_go_the_tunnel_is_configured_again(world: World) -> None:
    """systemd wants the reload once more; nothing that is confined restarts."""
    machine = world.machine
    machine.systemctl("start", "messy.service")
    before = machine.show("messy.service", "MainPID")
    for name in ("files", "cred"):
        unit = f"wgconfine-wireguard@{name}.service"
        pid = machine.show(unit, "MainPID")
        machine.run("kill", "-KILL", pid)
        machine.wait_for(lambda: machine.show(unit, "MainPID") not in {"0", pid}, "it is back")  # noqa: B023 — is called at once

    wait_until_carried(world, "files", "cred")
    assert before == machine.show("messy.service", "MainPID")


def test_a_stop_right_after_a_crash_does_not_wait(world: World) -> None:
    """The reload that waits for the new link ends with its tunnel."""
    machine, reload = world.machine, "wgconfine-reload@cred.service"
    waited_in_vain = "wireguard-go made no link"
    before = machine.journal(reload).count(waited_in_vain)
    machine.systemctl("kill", "--signal=KILL", "wgconfine-wireguard@cred.service")
    machine.systemctl("stop", "wgconfine@cred.service")
    assert before == machine.journal(reload).count(waited_in_vain)
    machine.systemctl("start", "wgconfine@cred.service")

    wait_until_carried(world, "cred")


def test_a_restart_clears_what_users_of_services_left(world: World) -> None:
    """Sticky and locked directories of another user in the private /run."""
    machine = world.machine
    machine.systemctl("start", "messy.service")
    machine.systemctl("restart", "wgconfine@files.service", "wgconfine@cred.service")
    machine.wait_for(lambda: machine.is_active("messy.service"), "the service is back")

    wait_until_carried(world, "files", "cred")
    assert "messy" == machine.sh("ls -A /run/wgconfine/run")


TEMPORARY = {"/tmp", "/var/tmp"}  # noqa: S108 — each unit has its own
STATE = {"/run/wgconfine", *(f"/run/wgconfine/{each}" for each in ("lock", "root", "run"))}
WRITABLE = {
    "wgconfine@": STATE | TEMPORARY,
    "wgconfine-reload@": STATE | TEMPORARY,
    "wgconfine-endpoint@": {"/run/wgconfine/lock"} | TEMPORARY,
    "wgconfine-switch@": TEMPORARY,
    "wgconfine-verify@": STATE,
}


@pytest.mark.parametrize("unit", sorted(WRITABLE))
def test_a_unit_can_write_to_its_own_places_alone(world: World, unit: str) -> None:
    """/run too is read-only, which systemd leaves open where it mounts API file systems."""
    machine = world.machine
    dropin = f"/run/systemd/system/{unit}named.service.d/look.conf"
    machine.write(dropin, f"[Service]\nExecStartPre=/bin/sh -c '{LOOK}'\n".replace("$", "$$"))
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", f"{unit}named.service")
    machine.run("rm", dropin)
    machine.systemctl("daemon-reload")
    journal = machine.run("journalctl", "-b", "-o", "cat", "-u", f"{unit}named")

    assert WRITABLE[unit] == writable(journal.stdout)


def writable(text: str) -> set[str]:
    """Give the places that LOOK found it can write to."""
    lines = (line.split() for line in text.splitlines())
    return {words[1] for words in lines if words[:1] == ["writable"]}


def test_wireguard_go_sees_no_file_of_the_machine(world: World) -> None:
    """Neither keys nor systemd's socket; it has one capability and writes to its own places."""
    machine = world.machine
    pid = machine.show("wgconfine-wireguard@cred.service", "MainPID")
    seen = machine.sh(
        f"ls -A /proc/{pid}/root/etc /proc/{pid}/root/run/systemd /proc/{pid}/root/opt || true"
    )
    inside = ("nsenter", f"--target={pid}", "--mount", "--root", "/bin/sh", "-c", LOOK)
    capabilities = machine.sh(f"grep CapBnd /proc/{pid}/status | cut -f 2")

    assert not {"private", "wgconfine", "wireguard", "credstore", "shadow"} & set(seen.split())
    assert {"/run/wireguard"} | TEMPORARY == writable(machine.run(*inside).stdout)
    assert 1 << 12 == int(capabilities, 16)


def test_a_stopped_namespace_is_gone_and_names_who_stays(world: World) -> None:
    """Its unit sees foreign processes of other users inside, and leaves no file behind."""
    machine = world.machine
    # Type=exec: then it is inside, and is called by its own name.
    foreign = ("--unit=foreign", "-p", "User=games", "-p", "NetworkNamespacePath=/run/netns/files")
    machine.run("systemd-run", *foreign, "-p", "Type=exec", "sleep", "infinity")
    machine.systemctl("stop", "wgconfine-netns@files.service", "wgconfine-netns@cred.service")
    machine.systemctl("stop", "foreign.service")

    assert "(sleep) stays in the namespace" in machine.journal("wgconfine-netns@files.service")
    assert "named" == machine.sh("ls /run/netns")
    assert "named" == machine.sh("ls /run/wgconfine/netns")
