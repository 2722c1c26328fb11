"""`wgconfine init` on a running machine: by words, by questions, and cut off at each of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import World, boot_container
from tests.matrix import first
from tests.scenario import HOST, PROBE, TUNNEL, refused, seen_by_web, wgconfine, write_service
from tests.terminal import Terminal

pytestmark = pytest.mark.container

CONF = "/root/se1.conf"
WEB = """\
[Unit]
Description=A page for [bold]everybody[/bold]
[Service]
User=daemon
ExecStart=/usr/bin/python3 -m http.server 8080 --directory /usr/share/doc
"""
HOOK = "PostUp = iptables -I OUTPUT ! -o %i -j REJECT"
PLACES = "/etc/wgconfine /etc/systemd/system /usr/local/lib/systemd /etc/NetworkManager"


@pytest.fixture(scope="module", params=first("trixie"))
def machine(request: pytest.FixtureRequest, wheelhouse: Path) -> Iterator[World]:
    """A machine with a provider's file in root's home, and two services in the open."""
    with boot_container(request.param, wheelhouse=wheelhouse) as world:
        conf = world.internet.provider_conf().replace("Address", f"{HOOK}\nAddress")
        world.machine.write(CONF, conf.replace("\n", "\r\n"))
        world.machine.write("/root/no-dns.conf", world.internet.provider_conf(dns=None, client=3))
        write_service(world, "web.service", WEB)
        write_service(world, "probe.service", PROBE)
        yield world


@pytest.fixture
def world(machine: World) -> Iterator[World]:
    """The same with both services running, and every tunnel taken away again afterwards."""
    machine.machine.systemctl("start", "web.service", "probe.service")
    # Asked for what may be published is who listens.
    machine.machine.wait_for(lambda: bool(page(machine)), "web.service listens")
    yield machine
    for path in machine.machine.sh("ls /etc/wgconfine/*.toml 2>/dev/null || true").split():
        wgconfine(machine, "remove", Path(path).stem, "--release", "--purge", "--yes")
    assert "" == machine.machine.sh("ls -A /etc/wgconfine", check=False)


def page(world: World) -> str:
    """Give the head of what the machine gets at its port, published or in the open."""
    return world.machine.run("curl", "-sI", "http://127.0.0.1:8080/", check=False).stdout


def files(world: World) -> str:
    """Give every file in the places where any of ours may lie, with its content's sum."""
    return world.machine.sh(f"find {PLACES} -type f -exec sha256sum {{}} + | sort", check=False)


def test_one_command_confines_proves_and_says_how_to_undo_it(world: World) -> None:
    """What ran in the open is seen inside alone from then on; the undo leaves no trace."""
    machine = world.machine
    before = files(world)
    machine.wait_for(lambda: bool(seen_by_web(world, "probe.service")), "it runs in the open")
    done = wgconfine(
        world, "init", CONF, "--name", "vpn", "--service", "web", "--service", "pro?e",
        "--publish", "8080",
    )  # fmt: skip
    with world.capture_uplink() as uplink:
        machine.wait_for(
            lambda: set(TUNNEL.values()) <= seen_by_web(world, "probe.service"), "it runs inside"
        )
        machine.wait_for(lambda: "HTTP/1.0 200 OK" in page(world), "it is published")
    assert () == uplink.traffic.foreign()
    assert "vpn: confined. " in done.stdout
    assert "probe.service: confined" == refused(world, "probe.service")
    assert "600 root" == machine.sh("stat -c '%a %U' /etc/wgconfine/vpn.conf")
    assert f") {HOOK}" in machine.read("/etc/wgconfine/vpn.conf")
    assert "line 3: PostUp is left out" in done.stderr
    assert 0 == wgconfine(world, "plan").returncode

    undo = next(line for line in done.stdout.splitlines() if "undo" in line)
    machine.sh(undo.partition("  undo")[0].strip() + " --yes")
    assert before == files(world)
    machine.wait_for(
        lambda: set(HOST.values()) <= seen_by_web(world, "probe.service"), "it is in the open again"
    )


def test_the_questions(world: World) -> None:
    """Only numbers, a wrong word here and there, and a yes; then it is as with one command."""
    terminal = Terminal(world, "wgconfine init")
    terminal.answer("Which .conf? A number, or a path:", "99")
    terminal.wait("There is no file '99'.")
    terminal.answer("Which .conf? A number, or a path:", "no-dns.conf")
    terminal.answer("What shall the tunnel be called? [no-dns]", "\x1b]0;x\x07\x9b31m rubbish")
    terminal.wait("is not the name of a tunnel. Use small letters, digits and '-'")
    terminal.answer("What shall the tunnel be called? [no-dns]", "")
    terminal.answer("Its address, or none:", "resolver.example.net")
    terminal.wait("'resolver.example.net' is not an IP address.")
    terminal.answer("Its address, or none:", "10.66.0.1")
    terminal.answer("with spaces between; empty for none yet:", "1 wep")
    terminal.wait("There is no service 'wep.service'. Did you mean 'web.service'")
    terminal.answer("with spaces between; empty for none yet:", "probe 2")
    terminal.wait("8080  by web.service")
    terminal.answer("Ports, with spaces between; empty for none:", "0")
    terminal.answer("Ports, with spaces between; empty for none:", "8080")
    terminal.answer("Do it? [y/N]", "y")
    code, said = terminal.ended()

    assert 0 == code, said
    assert "What will be done:" in said
    assert "Verifying no-dns; it takes some seconds." in said
    assert "no-dns: confined. " in said
    assert "web.service: confined" == refused(world, "web.service")
    assert "probe.service: confined" == refused(world, "probe.service")
    settings = world.machine.read("/etc/wgconfine/no-dns.toml")
    assert 'dns = ["10.66.0.1"]' in settings
    assert '"8080"' in settings


ANSWERS = (
    ("Which .conf? A number, or a path:", "/root/no-dns.conf"),
    ("What shall the tunnel be called?", "vpn"),
    ("Its address, or none:", "10.66.0.1"),
    ("empty for none yet:", "web"),
    ("Publish which?", "8080"),
    ("Do it? [y/N]", ""),
)


@pytest.mark.parametrize("way", ["Ctrl-C", "Ctrl-D"])
@pytest.mark.parametrize("number", range(len(ANSWERS)))
def test_no_question_has_changed_anything(world: World, way: str, number: int) -> None:
    """Cut off there, files and services are as before, and it is said."""
    before = files(world)
    pids = [world.machine.show(unit, "MainPID") for unit in ("web.service", "probe.service")]
    terminal = Terminal(world, "wgconfine init")
    for question, answer in ANSWERS[:number]:
        terminal.answer(question, answer)
    leave = terminal.interrupt if way == "Ctrl-C" else terminal.end_of_input
    leave(ANSWERS[number][0])
    code, said = terminal.ended()

    assert (1 if way == "Ctrl-C" else 2) == code
    assert "Nothing was changed." in said
    assert before == files(world)
    assert pids == [
        world.machine.show(each, "MainPID") for each in ("web.service", "probe.service")
    ]


@pytest.mark.parametrize(
    "words",
    ["[#] daemon-reload", "files of wgconfine's own", "[#] start wgconfine@"],
)
def test_cut_off_while_it_is_done_nothing_runs_in_the_open(world: World, words: str) -> None:
    """What was stopped stays so, how to go on and back is said, and going on finishes it."""
    machine = world.machine
    terminal = Terminal(world, f"wgconfine init {CONF} --name vpn --service probe")
    terminal.answer("Do it? [y/N]", "yes")
    terminal.interrupt(words)
    with world.capture_uplink() as uplink:
        code, said = terminal.ended()
        machine.run("sleep", "1")
    assert 1 == code
    assert "[!] Not all of it is done. The settings are in /etc/wgconfine/vpn.toml." in said
    assert "wgconfine remove vpn --release --purge  undo it" in said
    assert () == uplink.traffic.foreign()

    wgconfine(world, "apply")
    machine.wait_for(
        lambda: refused(world, "probe.service") == "probe.service: confined", "it runs inside"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("", 2, "Which .conf? Say it: wgconfine init CONF --name NAME. There are: /root"),
        (CONF, 2, "What shall the tunnel be called? Say it: --name NAME."),
        (
            "/root/no-dns.conf --name vpn",
            2,
            (
                "/root/no-dns.conf names no DNS, and the host's resolver is never used. Say which: "
                "--dns ADDRESS with the provider's, or --dns none"
            ),
        ),
        ("/root/none.conf --name vpn", 1, "/root/none.conf: No such file or directory"),
        ("/root --name vpn", 1, "/root: Is a directory"),
        (f"{CONF} --name VPN", 2, "--name: 'VPN' is not the name of a tunnel. Use small letters"),
        (f"{CONF} --name vpn --service wep", 2, "There is no service 'wep.service'. Did you mean"),
        (f"{CONF} --name vpn --service dbus", 78, "dbus.service"),
        (f"{CONF} --name vpn --publish 0", 2, "--publish: '0'"),
        (f"{CONF} --name vpn --dns 1.2.3", 2, "--dns: '1.2.3' is not an IP address."),
        (f"{CONF} --name vpn --dns 8.8.8.8", 0, "8.8.8.8"),
        (f"{CONF} --name vpn --in-place", 78, "holds a secret and others than root may read it"),
        ("/root/awg.conf --name vpn", 78, "/root/awg.conf:2: Jc belongs to AmneziaWG"),
        ("/root/bad.conf --name vpn", 78, "/root/bad.conf:4: "),
    ],
)
def test_without_a_terminal_each_error_says_what_to_do(
    world: World, arguments: str, code: int, words: str
) -> None:
    """Nothing is asked, nothing is changed, and no key is on the screen."""
    machine, before = world.machine, files(world)
    conf = world.internet.provider_conf()
    machine.write("/root/awg.conf", conf.replace("[Interface]\n", "[Interface]\nJc = 4\n"))
    machine.write("/root/bad.conf", "\n\n[Interface]\nAddress = 10.0.0.300\n")
    done = machine.run("wgconfine", "init", *arguments.split(), check=False, timeout=120)

    assert code == done.returncode, done.stderr
    assert words in done.stdout + done.stderr
    key = conf.partition("PrivateKey = ")[2].partition("\n")[0]
    assert key not in done.stdout + done.stderr
    if code:
        assert before == files(world)


def test_a_conf_that_is_safe_stays_in_its_place(world: World) -> None:
    """`--in-place` copies nothing, and the undo leaves it where it is."""
    machine = world.machine
    machine.write("/etc/wireguard/here.conf", world.internet.provider_conf(), mode=0o600)
    wgconfine(world, "init", "/etc/wireguard/here.conf", "--name", "vpn", "--in-place")
    assert "vpn.json\nvpn.toml" == machine.sh("ls /etc/wgconfine")
    assert "vpn: up" in wgconfine(world, "status").stdout
    wgconfine(world, "remove", "vpn", "--purge")
    assert "Address" in machine.read("/etc/wireguard/here.conf")
    machine.run("rm", "/etc/wireguard/here.conf")


def test_a_link_of_wg_quick_with_the_same_key_is_named(world: World) -> None:
    """Nothing is done to it: the warning has the command."""
    machine = world.machine
    machine.sh("install -m 600 /root/se1.conf /etc/wireguard/se1.conf")
    unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
    write_service(world, "wg-quick@se1.service", unit)
    machine.systemctl("start", "wg-quick@se1.service")
    done = wgconfine(world, "init", CONF, "--name", "vpn", check=False)
    machine.sh("systemctl stop wg-quick@se1; rm /etc/systemd/system/wg-quick@* /etc/wireguard/*")

    assert (
        "wg-quick@se1.service has a link up with the same key, and two with one key cut each other "
        "off. Take it down: systemctl disable --now wg-quick@se1.service"
    ) in done.stderr


def test_a_tunnel_that_is_there_is_left_alone(world: World) -> None:
    """Its name is taken, and its services are its own; the same words again are no change."""
    wgconfine(world, "init", CONF, "--name", "vpn", "--service", "probe")
    before = files(world)
    same_again = wgconfine(world, "init", CONF, "--name", "vpn", "--service", "probe")
    assert "nothing: it is done" in same_again.stderr
    assert "vpn: confined. " in same_again.stdout
    again = wgconfine(world, "init", CONF, "--name", "vpn", check=False)
    other = ("init", "/root/no-dns.conf", "--name", "two", "--dns", "none", "--service", "probe")
    taken = wgconfine(world, *other, check=False)
    same = wgconfine(world, "init", CONF, "--name", "two", check=False)
    world.machine.write("/etc/wgconfine/mine.conf", "mine")
    mine = wgconfine(world, "init", CONF, "--name", "mine", check=False)
    world.machine.run("rm", "/etc/wgconfine/mine.conf")
    terminal = Terminal(world, f"wgconfine init {CONF}")
    terminal.answer("What shall the tunnel be called?", "vpn")
    terminal.wait("there is a tunnel 'vpn' already.")
    terminal.interrupt("What shall the tunnel be called?")
    terminal.ended()

    assert 2 == mine.returncode
    assert "there is a file /etc/wgconfine/mine.conf already. Choose another name" in mine.stderr
    assert [2, 2, 78] == [each.returncode for each in (again, taken, same)]
    assert "More services go into it by: wgconfine confine vpn UNIT" in again.stderr
    assert (
        "probe.service is in the tunnel vpn already. Leave it out here, and then move it: "
        "wgconfine confine NAME probe.service"
    ) in taken.stderr
    assert "the private key is also that of" in same.stderr
    assert before == files(world)


def test_foreign_text_does_nothing_to_the_terminal(world: World) -> None:
    """Names of files, descriptions of units and comments come out as text (invariant 14)."""
    machine = world.machine
    evil = "a\x1b]0;x\x07\u202eb\x9b31m"
    machine.write(f"/root/{evil}.conf", f"# {evil}\n{world.internet.provider_conf()}")
    write_service(world, "evil.service", WEB.replace("A page", evil).replace("8080", "8090"))
    machine.systemctl("start", "evil.service")
    terminal = Terminal(world, "wgconfine init")
    terminal.answer("Which .conf?", f"/root/{evil}.conf"[:7] + "zz")
    terminal.answer("Which .conf?", "1")
    terminal.answer("What shall the tunnel be called?", "vpn")
    terminal.wait("evil.service")
    terminal.interrupt("empty for none yet:")
    _, said = terminal.ended()
    machine.sh("systemctl stop evil.service; rm /etc/systemd/system/evil.service /root/a*.conf")
    machine.systemctl("daemon-reload")

    shown = said.partition("wgconfine init; end")[2]
    assert "\\x1b]0;x\\x07\\u202eb\\x9b31m" in shown
    assert [] == [each for each in shown if not each.isprintable() and each not in "\r\n"]
