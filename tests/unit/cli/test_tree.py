"""apply, remove and release on a tree of files (`--root`), where no systemd is asked."""

import io
import os
import sys

import pytest

from tests.unit.cli.conftest import SETTINGS, Machine, Run, closing, dropin
from wgconfine.cli.main import main
from wgconfine.model.errors import ExitCode
from wgconfine.render.templates import RUNTIME

A, B = "a.service", "b.service"


@pytest.fixture
def applied(machine: Machine, run: Run) -> Machine:
    """The tree once `apply` was there."""
    assert run("apply") == ExitCode.OK
    return machine


def test_apply_confines_every_service(applied: Machine) -> None:
    """Drop-in, closing file, and the tunnel's own record."""
    for unit in (A, B):
        assert applied.has(dropin(unit))
        assert applied.has(closing(unit))
    assert applied.has("/etc/wgconfine/vpn.json")


def test_twice_is_once(applied: Machine, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time not a single file is written."""
    before = applied.files()
    capsys.readouterr()

    assert run("apply") == ExitCode.OK
    assert before == applied.files()
    assert capsys.readouterr().out == "Nothing to do: the machine is as the settings say.\n"


def test_plan_and_dry_run_change_nothing(
    machine: Machine, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """They say the same, and that there is something to do."""
    before = machine.files()
    codes = []
    said = []
    for words in (["plan"], ["apply", "--dry-run"]):
        codes.append(run(*words))
        said.append(capsys.readouterr().out)

    assert codes == [ExitCode.CHANGES, ExitCode.CHANGES]
    assert said[0] == said[1]
    assert before == machine.files()


def test_plan_without_a_change_is_0(applied: Machine, run: Run) -> None:
    """For scripts that look whether there is any."""
    assert applied.has(dropin(A))
    assert run("plan") == ExitCode.OK


@pytest.mark.parametrize("place", [dropin(A), closing(A), "/etc/systemd/system/wgconfine@.service"])
def test_a_foreign_file_in_the_way_is_named_and_left_alone(
    machine: Machine, run: Run, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """Invariant 10: what has not our mark is not ours."""
    machine.write(place, "# somebody else's\n")

    assert run("apply") != ExitCode.OK
    assert machine.read(place) == "# somebody else's\n"
    assert place in capsys.readouterr().err


def test_a_link_in_the_tree_is_not_followed_out_of_it(machine: Machine, run: Run) -> None:
    """Invariant 10: an image's /etc/systemd could point anywhere on this machine."""
    victim = machine.root / "victim"
    victim.mkdir()
    machine.path("/etc/systemd").symlink_to(victim)

    assert run("apply") == ExitCode.FAILED
    assert list(victim.iterdir()) == []


@pytest.mark.parametrize("text", ["[", 'mtu = "big"\n', "", "enable = 3\n", "services = []\n"])
def test_any_wrong_settings_file_changes_nothing(applied: Machine, run: Run, text: str) -> None:
    """Invariant 12: not even for the tunnels that are right."""
    applied.write("/etc/wgconfine/vpn.toml", SETTINGS.replace('  "b.service",\n', ""))
    applied.write("/etc/wgconfine/broken.toml", text)
    before = applied.files()

    codes = [
        run("apply"),
        run("plan"),
        run("release", "--yes", A),
        run("remove", "--yes", "vpn"),
    ]
    assert codes == [ExitCode.SETTINGS] * 4
    assert before == applied.files()


def test_a_unit_that_cannot_be_confined_changes_nothing(machine: Machine, run: Run) -> None:
    """And is named with its file and line: 78."""
    machine.write("/usr/lib/systemd/system/b.service", "[Service]\nExecStart=x\nType=dbus\n")
    before = machine.files()

    assert run("apply") == ExitCode.SETTINGS
    assert before == machine.files()


def still_closed(machine: Machine, unit: str) -> bool:
    return machine.has(closing(unit)) and not machine.has(dropin(unit))


def test_a_service_taken_out_of_the_settings_stays_closed(applied: Machine, run: Run) -> None:
    """Invariant 12, first case; the next `apply` does not forget it either."""
    applied.write("/etc/wgconfine/vpn.toml", SETTINGS.replace('  "b.service",\n', ""))

    for _ in range(2):
        assert run("apply") == ExitCode.OK
        assert still_closed(applied, B)
    assert applied.has(dropin(A))


def test_a_disabled_tunnel_leaves_its_services_closed(applied: Machine, run: Run) -> None:
    """Invariant 12, second case."""
    applied.write("/etc/wgconfine/vpn.toml", f"enable = false\n{SETTINGS}")

    assert run("apply") == ExitCode.OK
    assert [True, True] == [still_closed(applied, unit) for unit in (A, B)]
    assert not applied.has("/etc/wgconfine/vpn.json")


def test_missing_settings_leave_their_services_closed(applied: Machine, run: Run) -> None:
    """Invariant 12, third case."""
    applied.path("/etc/wgconfine/vpn.toml").unlink()

    assert run("apply") == ExitCode.OK
    assert [True, True] == [still_closed(applied, unit) for unit in (A, B)]
    assert not applied.has("/etc/systemd/system/wgconfine@.service")


def test_remove_leaves_its_services_closed(applied: Machine, run: Run) -> None:
    """Invariant 12, fourth case; the settings stay, switched off, with their comments."""
    assert run("remove", "vpn") == ExitCode.OK
    assert [True, True] == [still_closed(applied, unit) for unit in (A, B)]
    assert applied.read("/etc/wgconfine/vpn.toml") == f"enable = false\n{SETTINGS}"


def test_a_closed_service_can_be_confined_again(applied: Machine, run: Run) -> None:
    """By the settings alone."""
    run("remove", "vpn")
    applied.write("/etc/wgconfine/vpn.toml", SETTINGS)

    assert run("apply") == ExitCode.OK
    assert applied.has(dropin(A))


def test_release_takes_both_files_and_the_line_away(applied: Machine, run: Run) -> None:
    """The other service stays confined, and what its owner wrote stays written."""
    assert run("release", "--yes", A) == ExitCode.OK
    assert not applied.has(dropin(A))
    assert not applied.has(closing(A))
    assert applied.has(dropin(B))
    text = applied.read("/etc/wgconfine/vpn.toml")
    assert A not in text
    assert "# My provider.\n" in text
    assert "  # the second one is slow\n" in text


def test_after_a_release_there_is_nothing_to_do(applied: Machine, run: Run) -> None:
    """The next `apply` does not close the service again."""
    run("release", "--yes", A)

    assert run("plan") == ExitCode.OK
    assert not applied.has(closing(A))


def test_release_edits_the_fragment_where_the_service_stands(machine: Machine, run: Run) -> None:
    """NAME.d/*.toml belongs to a package or to Ansible."""
    machine.write("/etc/wgconfine/vpn.toml", 'config = "/etc/wireguard/vpn.conf"\n')
    machine.write("/etc/wgconfine/vpn.d/a.toml", '# A\'s own.\nservices = ["a.service"]\n')
    run("apply")

    assert run("release", "--yes", A) == ExitCode.OK
    assert machine.read("/etc/wgconfine/vpn.d/a.toml") == "# A's own.\nservices = []\n"


def test_release_takes_along_what_the_service_alone_was_given(machine: Machine, run: Run) -> None:
    """Its table would be wrong without it, and every command refused."""
    own = f'[service."{A}"]\nhardening = "strict"\n'
    machine.write("/etc/wgconfine/vpn.toml", 'config = "/etc/wireguard/vpn.conf"\n' + own)
    machine.write("/etc/wgconfine/vpn.d/a.toml", f'services = ["{A}", "{B}"]\n')
    run("apply")

    assert run("release", "--yes", A) == ExitCode.OK
    assert machine.read("/etc/wgconfine/vpn.toml") == 'config = "/etc/wireguard/vpn.conf"\n'
    assert machine.read("/etc/wgconfine/vpn.d/a.toml") == f'services = ["{B}"]\n'
    assert not machine.has(closing(A))


def test_a_closed_service_can_be_released(applied: Machine, run: Run) -> None:
    """It stands in no settings any more."""
    run("remove", "vpn")

    assert run("release", "--yes", A) == ExitCode.OK
    assert not applied.has(closing(A))
    assert still_closed(applied, B)


def test_releasing_a_strangers_service_is_refused(
    applied: Machine, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing error must not look like success."""
    before = applied.files()

    assert run("release", "--yes", "c.service", A) == ExitCode.FAILED
    assert "c.service: there is no such service" in capsys.readouterr().err
    assert before == applied.files()


def test_releasing_twice_is_once(
    applied: Machine, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """What runs in the open already needs no word, and nothing is written."""
    assert run("release", "--yes", A) == ExitCode.OK
    before = applied.files()
    capsys.readouterr()

    assert run("release", A) == ExitCode.OK
    assert f"Nothing to do: {A} is not confined.\n" == capsys.readouterr().out
    assert before == applied.files()


def test_what_a_killed_run_left_beside_its_files_goes(applied: Machine, run: Run) -> None:
    """Also where there is nothing else to do; systemd reads none of them meanwhile."""
    left = [
        "/etc/wgconfine/.vpn.json.new",
        "/etc/wgconfine/.vpn.toml.new",
        "/etc/systemd/system/.wgconfine@.service.new",
        f"/etc/systemd/system/{A}.d/.zz-wgconfine.conf.new",
        f"/usr/local/lib/systemd/system/{A}.d/.zz-wgconfine-closed.conf.new",
    ]
    before = applied.files()
    for path in left:
        applied.write(path, "half")

    assert run("apply") == ExitCode.OK
    assert before == applied.files()


@pytest.mark.parametrize(
    "path",
    [
        "/etc/systemd/system/wgconfine@.service",
        "/etc/systemd/system/wgconfine-vpn.slice",
        "/etc/systemd/system/multi-user.target.wants/wgconfine@vpn.service",
        "/etc/wgconfine/vpn.json",
    ],
)
def test_everything_in_the_way_is_named_at_once(
    machine: Machine, run: Run, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is written, and it stays what it is."""
    machine.path(path).mkdir(parents=True)
    machine.write("/etc/systemd/system/wgconfine-want@.target", "[Unit]\n")
    before = machine.files()

    assert run("apply") == ExitCode.FAILED
    said = capsys.readouterr().err
    assert f"{path}: a directory is in the way." in said
    assert "/wgconfine-want@.target: a file without our mark is in the way." in said
    assert before == machine.files()


@pytest.mark.parametrize(
    "name", ["a.socket", "../x.service", "x@.service", "", "a\x1b.service", "zz*"]
)
def test_releasing_what_is_no_service_is_a_usage_error(
    applied: Machine, run: Run, name: str
) -> None:
    """Said in words, and not as an internal error."""
    before = applied.files()

    assert run("release", "--yes", name) == ExitCode.USAGE
    assert before == applied.files()


@pytest.mark.parametrize("words", [("release", A), ("remove", "vpn", "--release")])
def test_nothing_is_released_without_a_terminal_and_without_a_word(
    applied: Machine, run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """A script has to say --yes: 2."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    before = applied.files()

    assert run(*words) == ExitCode.USAGE
    assert before == applied.files()


class Terminal(io.StringIO):
    """Standard input with a person before it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("answer", ["", "n\n", "\n", "yess\n"])
def test_a_person_can_say_no(
    applied: Machine, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Or press Ctrl-D, or anything but yes: nothing was changed, and that is true."""
    before = applied.files()
    for words in (("release", A), ("remove", "vpn", "--release")):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        assert run(*words) == ExitCode.USAGE
    assert before == applied.files()


def test_a_person_can_say_yes(
    applied: Machine, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The question is on standard error, beside no result."""
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    capsys.readouterr()

    assert run("release", A) == ExitCode.OK
    said = capsys.readouterr()
    assert f"released {A}\n" == said.out
    assert f"{A}: confined to vpn, and does not run." in said.err
    assert "resolver of this machine, outside of any tunnel.\nRelease? [y/N] " in said.err
    assert not applied.has(closing(A))


def test_remove_with_release_releases_all_of_it(applied: Machine, run: Run) -> None:
    """Nothing of ours is left but the settings."""
    assert run("remove", "vpn", "--release", "--yes") == ExitCode.OK
    assert [False, False] == [applied.has(closing(unit)) for unit in (A, B)]
    assert ["etc/wgconfine/vpn.toml"] == [path for path in applied.files() if "wgconfine" in path]


def test_purge_deletes_settings_and_keys_beside_them(machine: Machine, run: Run) -> None:
    """A key elsewhere is its owner's."""
    machine.write(
        "/etc/wgconfine/vpn.toml",
        'address = ["10.9.0.2/32"]\ndns = ["10.9.0.1"]\n'
        'private-key-file = "/etc/wgconfine/wg.key"\n'
        'services = ["a.service"]\n[[peer]]\n'
        'public-key = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="\n'
        'preshared-key-file = "/srv/psk"\n',
    )
    machine.write("/etc/wgconfine/wg.key", "key")
    machine.write("/srv/psk", "key")
    run("apply")

    assert run("remove", "vpn", "--purge") == ExitCode.OK
    assert [False, False, True, True] == [
        machine.has(path)
        for path in ("/etc/wgconfine/vpn.toml", "/etc/wgconfine/wg.key", "/srv/psk", closing(A))
    ]


def test_purge_says_what_it_deletes(
    applied: Machine, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each file, and the directory of fragments that is then empty."""
    applied.write("/etc/wgconfine/vpn.d/a.toml", "services = []\n")
    capsys.readouterr()

    assert run("remove", "vpn", "--purge") == ExitCode.OK
    assert capsys.readouterr().out == (
        "removed vpn\n"
        f"Its services stay closed. They run in the open after: wgconfine release {A} {B}\n"
        "deleted /etc/wgconfine/vpn.d/a.toml\n"
        "deleted /etc/wgconfine/vpn.d\n"
        "deleted /etc/wgconfine/vpn.toml\n"
    )
    assert not applied.has("/etc/wgconfine/vpn.d")


def test_purge_leaves_a_directory_with_something_else_in_it(machine: Machine, run: Run) -> None:
    """Only fragments are the tunnel's."""
    machine.write("/etc/wgconfine/vpn.d/README", "Mine.\n")

    assert run("remove", "vpn", "--purge") == ExitCode.OK
    assert machine.read("/etc/wgconfine/vpn.d/README") == "Mine.\n"


@pytest.mark.usefixtures("applied")
def test_remove_with_release_says_what_it_released(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard output: it is the result."""
    capsys.readouterr()

    assert run("remove", "vpn", "--release", "--yes") == ExitCode.OK
    assert capsys.readouterr().out == f"released {A}\nreleased {B}\n"


def test_remove_with_release_finds_the_services_of_a_tunnel_without_settings(
    applied: Machine, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that its record lists, but for one that another tunnel has now."""
    applied.path("/etc/wgconfine/vpn.toml").unlink()
    applied.write(
        "/etc/wgconfine/two.toml",
        'config = "/etc/wireguard/two.conf"\nservices = ["b.service"]\n',
    )
    capsys.readouterr()

    assert run("remove", "vpn", "--release", "--yes") == ExitCode.OK
    assert capsys.readouterr().out == f"released {A}\n"
    assert [False, False] == [applied.has(file(A)) for file in (dropin, closing)]
    assert [True, True] == [applied.has(file(B)) for file in (dropin, closing)]


def test_a_damaged_record_releases_nothing(
    applied: Machine, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """It could name anything; what is to be released can be said by name."""
    applied.path("/etc/wgconfine/vpn.toml").unlink()
    record = applied.read("/etc/wgconfine/vpn.json")
    applied.write("/etc/wgconfine/vpn.json", record.replace('"services"', '"servicez"'))

    assert run("remove", "vpn", "--release", "--yes") == ExitCode.FAILED
    assert "vpn.json: is damaged" in capsys.readouterr().err
    assert applied.has(closing(A))
    assert run("remove", "vpn") == ExitCode.OK
    assert [True, True] == [still_closed(applied, unit) for unit in (A, B)]


def interpreter(machine: Machine) -> str:
    unit = machine.read("/etc/systemd/system/wgconfine-netns@.service")
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    return line.removeprefix("ExecStart=").removesuffix(f"{RUNTIME} netns-up %i")


@pytest.mark.parametrize(
    "words",
    [
        ["plan"],
        ["apply"],
        ["release", "--yes", A],
        ["remove", "two"],
    ],
    ids=" ".join,
)
def test_the_interpreter_of_a_tree_is_chosen_once(machine: Machine, words: list[str]) -> None:
    """What an earlier --python said holds until another one does."""
    machine.write("/etc/wgconfine/two.toml", 'config = "/etc/wireguard/two.conf"\n')
    root = ["--root", os.fspath(machine.root)]
    main(["apply", *root, "--python", "/opt/100%/bin/python3"])

    assert main([words[0], *root, *words[1:]]) == ExitCode.OK
    assert interpreter(machine) == "/opt/100%%/bin/python3"
    assert main(["apply", *root, "--python", "/usr/bin/python3"]) == ExitCode.OK
    assert interpreter(machine) == "/usr/bin/python3"


@pytest.mark.parametrize(
    "words", [["plan"], ["apply"], ["release", "--yes", A], ["remove", "--yes", "vpn"]]
)
def test_this_machines_interpreter_is_not_chosen(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its units run the one that runs the command: 2, before anything is looked at."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    for root in ([], ["--root", "/"], ["--root", "//"], ["--root", "/etc/.."]):
        assert main([*words, *root, "--python", "/usr/bin/python3"]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("--python is for trees (--root, render): ")


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/opt/my dir/python3", "'/opt/my dir/python3' has characters that can't stand in a"),
        ("bin/python3", "bin/python3 is not an absolute path"),
    ],
)
@pytest.mark.parametrize("command", ["apply", "plan", "render"])
def test_an_interpreter_that_no_unit_can_name_is_refused(
    machine: Machine, command: str, path: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In words, before anything is written."""
    before = machine.files()
    output = ["--output", os.fspath(machine.root / "out")] if command == "render" else []
    words = [command, "--root", os.fspath(machine.root), "--python", path, *output]

    assert main(words) == ExitCode.FAILED
    assert f"the interpreter for units: {what}" in capsys.readouterr().err
    assert before == machine.files()


def test_rendering_again_opens_no_service(
    machine: Machine, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Invariant 12: an image's service that left the settings stays closed."""
    output = tmp_path_factory.mktemp("output")
    run("render", "--output", os.fspath(output))
    machine.write("/etc/wgconfine/vpn.toml", SETTINGS.replace('  "b.service",\n', ""))

    assert run("render", "--output", os.fspath(output)) == ExitCode.OK
    rendered = Machine(output)
    assert still_closed(rendered, B)
    assert rendered.has(dropin(A))


def test_removing_what_is_not_there_fails(
    applied: Machine, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the name, and without touching anything."""
    before = applied.files()

    assert run("remove", "vpm") == ExitCode.FAILED
    assert capsys.readouterr().err.startswith("vpm: there is no tunnel of that name")
    assert before == applied.files()


@pytest.mark.parametrize(
    "words", [("release", "--yes", A), ("remove", "--yes", "vpn", "--release")]
)
def test_a_problem_elsewhere_is_found_before_the_settings_change(
    applied: Machine, run: Run, words: tuple[str, ...]
) -> None:
    """Half a release would leave settings and machine apart."""
    applied.write(
        "/etc/wgconfine/two.toml",
        'config = "/etc/wireguard/two.conf"\nservices = ["missing.service"]\n',
    )
    before = applied.files()

    assert run(*words) == ExitCode.SETTINGS
    assert before == applied.files()


def test_a_service_moves_to_another_tunnel_without_being_released(
    applied: Machine, run: Run
) -> None:
    """Its closing file is there all the time."""
    applied.write("/etc/wgconfine/vpn.toml", SETTINGS.replace('  "b.service",\n', ""))
    applied.write(
        "/etc/wgconfine/two.toml",
        'config = "/etc/wireguard/two.conf"\nservices = ["b.service"]\n',
    )
    inode = applied.path(closing(B)).stat().st_ino

    assert run("apply") == ExitCode.OK
    assert "NetworkNamespacePath=/run/netns/two\n" in applied.read(dropin(B))
    assert inode == applied.path(closing(B)).stat().st_ino
