"""Effective properties, as systemd 252 to 262 print them, against the drop-in."""

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from wgconfine.model.settings import (
    ConfFile,
    Hardening,
    Refinement,
    Settings,
    TunnelName,
    UnitName,
)
from wgconfine.model.units import UnitText
from wgconfine.model.verify import Verdict
from wgconfine.plan.unitfile import parse_unit
from wgconfine.render.hardening import Rights
from wgconfine.render.service import dropin_file
from wgconfine.verify.effective import JUDGES, PROPERTIES, UNSHOWN, judge_effective

UNIT = UnitName("a-b@c.service")
GUARD = (
    "{ path=/bin/sh ; argv[]=/bin/sh -p -c LC_ALL=C; [ /proc/self/ns/net -ef"
    " /proc/1/root/run/wgconfine/netns/vpn ] && ! [ /proc/self/ns/net -ef /proc/1/ns/net ] ||"
    " { (echo 'wgconfine: this is not the namespace of tunnel vpn: refused') >&2;"
    " kill -USR1 $$$$; } ; flags=privileged ; start_time=[Wed 2026-11-25 22:56:47 UTC] ;"
    " stop_time=[n/a] ; pid=188 ; code=exited ; status=0 }"
)
OTHER = GUARD.replace("/bin/sh", "/bin/true")
SHOWN = {
    "BindsTo": "wgconfine@vpn.service wgconfine-netns@vpn.service other.service",
    "After": "sysinit.target wgconfine@vpn.service wgconfine-netns@vpn.service",
    "Wants": "wgconfine-want@a-b@c.target tmp.mount",
    "PropagatesStopTo": "wgconfine-want@a-b@c.target",
    "PrivateNetwork": "no",
    "NetworkNamespacePath": "/run/netns/vpn",
    "UnsetEnvironment": "X LD_PRELOAD LD_AUDIT LD_LIBRARY_PATH LD_DEBUG LD_DEBUG_OUTPUT LD_PROFILE"
    " LD_PROFILE_OUTPUT LD_TRACE_LOADED_OBJECTS LD_TRACE_PRELINKING LD_ASSUME_KERNEL GLIBC_TUNABLES"
    " GCONV_PATH LOCPATH BASH_ENV ENV OPTIND MALLOC_TOP_PAD_ LANGUAGE",
    "PAMName": "",
    "BindPaths": "/run/wgconfine/run/a-b@c:/run:rbind /srv:/srv:rbind",
    "BindReadOnlyPaths": "/run/systemd/notify:/run/systemd/notify:rbind"
    " /run/systemd/journal:/run/systemd/journal:rbind"
    " -/run/systemd/userdb/io.systemd.DynamicUser:/run/systemd/userdb/io.systemd.DynamicUser:rbind"
    " -/run/current-system:/run/current-system:rbind -/run/booted-system:/run/booted-system:rbind"
    " -/run/wrappers:/run/wrappers:rbind -/run/binfmt:/run/binfmt:rbind"
    " -/run/opengl-driver:/run/opengl-driver:rbind"
    " -/run/opengl-driver-32:/run/opengl-driver-32:rbind"
    " /run/wgconfine/tunnel/vpn/nsswitch.conf:/etc/nsswitch.conf:rbind"
    " /run/wgconfine/tunnel/vpn/resolv.conf:/etc/resolv.conf:rbind",
    "TemporaryFileSystem": "/run/systemd/system:ro /run/dbus:ro /run/nscd:ro"
    " /run/systemd/resolve:ro /run/avahi-daemon:ro",
    "RestrictAddressFamilies": "~AF_ALG AF_BLUETOOTH AF_CAN AF_KEY AF_NFC AF_PACKET AF_QIPCRTR"
    " AF_ISDN AF_IUCV AF_RDS AF_SMC AF_TIPC AF_VSOCK AF_XDP",
    "SystemCallArchitectures": "native",
    "CapabilityBoundingSet": "cap_chown cap_setuid",
    "SystemCallFilter": "~io_uring_enter:1 io_uring_register:1 io_uring_setup:1 pidfd_getfd:1"
    " request_key:1 swapon",
    "ProtectKernelTunables": "yes",
    "Slice": "wgconfine-vpn.slice",
    "SuccessExitStatus": "143",
    "PIDFile": "",
    "DelegateNamespaces": "18446744073709551615",
    "ExecConditionEx": f"{GUARD}\n{OTHER}",
    "ExecStopEx": f"{GUARD}\n{OTHER}",
}
OWN = {"ExecStop": ("/bin/true",), "ExecCondition": ("/bin/true",)}


def settings() -> Settings:
    return Settings(
        name=TunnelName("vpn"),
        path=PurePosixPath("/etc/wgconfine/vpn.toml"),
        digest="",
        wireguard=ConfFile(path=PurePosixPath("/etc/wireguard/vpn.conf")),
        services=(UNIT,),
    )


def failures(
    shown: dict[str, str], own: dict[str, tuple[str, ...]] | None = None
) -> list[tuple[str, Verdict]]:
    rights = Rights(kernel=True)
    file = dropin_file(settings(), UNIT, digest="", own=own or OWN, rights=rights, systemd=262)
    lines = parse_unit(UnitText(path=file.path, text=file.text))
    checks = judge_effective(UNIT, lines, {**SHOWN, **shown})
    return [(each.name, each.verdict) for each in checks if each.verdict is not Verdict.OK]


def test_what_systemd_shows_of_a_confined_unit_is_as_rendered() -> None:
    """Specifiers put in, lists in systemd's own order, what the unit itself has beside ours."""
    assert [] == failures({})


@pytest.mark.parametrize("key", sorted(set(SHOWN) - {"PAMName", "PIDFile", "DelegateNamespaces"}))
def test_each_setting_that_is_reset_is_named(key: str) -> None:
    """As an empty line in a later drop-in leaves it."""
    value = {
        "PrivateNetwork": "yes",
        "SuccessExitStatus": "143 USR1",
        "CapabilityBoundingSet": "cap_chown cap_sys_admin",
        "RestrictAddressFamilies": "~",  # the empty text is the list that allows nothing
    }.get(key, "")
    assert [(key.removesuffix("Ex"), Verdict.NOT_CONFINED)] == failures({key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("NetworkNamespacePath", "/run/netns/mine"),
        ("BindPaths", "/run/wgconfine/run/other:/run:rbind"),
        ("RestrictAddressFamilies", "~AF_ALG"),
        ("RestrictAddressFamilies", "AF_INET AF_VSOCK"),
        ("SystemCallArchitectures", "native x86"),
        ("PAMName", "login"),
        ("DelegateNamespaces", "1073741824"),
        ("ExecConditionEx", f"{OTHER}\n{GUARD}"),
        ("ExecConditionEx", GUARD.replace("flags=privileged", "flags=ignore-failure")),
        ("ExecConditionEx", GUARD.replace("netns/vpn ]", "netns/other ]")),
    ],
)
def test_each_setting_that_is_another_is_named(key: str, value: str) -> None:
    """A guard that is not the first, has no rights, or asks for another namespace, too."""
    assert [(key.removesuffix("Ex"), Verdict.NOT_CONFINED)] == failures({key: value})


def test_a_name_with_a_backslash_is_shown_in_quotes() -> None:
    """And the backslash twice."""
    text = "[Unit]\nWants=wgconfine-want@%N.target\n"
    lines = parse_unit(UnitText(path=PurePosixPath("/x"), text=text))
    shown = {"Wants": r'"wgconfine-want@a\\x2db.target" "x\\x2dy.target"'}
    (found,) = judge_effective(UnitName(r"a\x2db.service"), lines, shown)
    assert Verdict.OK is found.verdict


def test_a_list_of_allowed_families_is_as_good_without_ours() -> None:
    """Lists merge: what remains of the unit's own list is what counts."""
    assert [] == failures({"RestrictAddressFamilies": "AF_INET AF_UNIX"})


def test_a_unit_without_any_family() -> None:
    """`none` is an empty list of what is allowed."""
    shown = {"RestrictAddressFamilies": "", "ExecStopEx": "", "ExecConditionEx": GUARD}
    assert [] == failures(shown, {"RestrictAddressFamilies": ("none",)})


def test_every_setting_of_the_drop_in_is_judged() -> None:
    """A new one gets its comparison, or a reason why there is none."""
    own = dict.fromkeys(("ExecReload", "ExecReloadPost", "ExecStop", "ExecStopPost"), ("x",))
    own["PIDFile"] = ("x.pid",)
    rights = Rights(hardening=Hardening.STRICT, hidden=("/var/spool/cron",))
    said = Refinement(unit=UNIT, allow_paths=(PurePosixPath("/run/x"),), allow_bus=("a.b",))
    asked = replace(settings(), refinements=(said,))
    file = dropin_file(asked, UNIT, digest="", own=own, rights=rights, systemd=262)
    keys = {line.key for line in parse_unit(UnitText(path=file.path, text=file.text))}
    assert set() == keys - JUDGES.keys() - UNSHOWN
    assert len(JUDGES) == len(PROPERTIES)
