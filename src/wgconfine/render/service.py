"""What confines a service: the drop-in that puts it inside, the closing file that outlives it."""

from collections.abc import Mapping

from wgconfine.model.settings import Hardening, Ready, Settings, TunnelName, UnitName
from wgconfine.model.settings import Rights as Said
from wgconfine.model.tree import MARK, File
from wgconfine.render.hardening import BASELINE, Rights, hardening_keys, hardening_lines
from wgconfine.render.places import CLOSING, CLOSING_UNITS, UNITS, closing_path, dropin_path
from wgconfine.render.quote import escape_path_unit, value

__all__ = [
    "GUARD",
    "closing_file",
    "confining_text",
    "dropin_file",
    "dropin_settings",
    "slice_file",
    "slice_name",
]

# It dies by SIGUSR1, because SuccessExitStatus=255 of a unit would let exit status 255 pass. `$$$$`
# is `$$` for the shell. The record is read through PID 1's root: this unit has a /run of its own.
# `-p`: with root's rights a shell takes no functions out of the environment (bash(1)). It speaks in
# a subshell: where nobody reads, that dies by SIGPIPE, which SuccessExitStatus= may let pass, too.
# In the locale C: see SPEECH_VARIABLES.
GUARD = (
    '+/bin/sh -p -c "LC_ALL=C; [ /proc/self/ns/net -ef /proc/1/root/run/wgconfine/netns/{name} ]'
    " && ! [ /proc/self/ns/net -ef /proc/1/ns/net ]"
    " || {{ (echo 'wgconfine: this is not the namespace of tunnel {name}: refused') >&2;"
    ' kill -USR1 $$$$; }}"'
)

TEXT = """\
# {mark} from {settings}. Do not edit: `wgconfine apply` writes it anew.
{about}\
[Unit]
BindsTo=wgconfine@{name}.service wgconfine-netns@{name}.service
After=wgconfine@{name}.service wgconfine-netns@{name}.service
{wanted}\
AssertPathExists=/run/netns/{name}
AssertPathExists=/run/wgconfine/netns/{name}
AssertPathExists=/run/wgconfine/tunnel/{name}/resolv.conf
AssertPathExists=/run/wgconfine/tunnel/{name}/nsswitch.conf
AssertPathExists=/run/wgconfine/run/%N
{needs}\

[Service]
PrivateNetwork=no
NetworkNamespacePath=/run/netns/{name}
# The guard: before every other command of the unit, and none of them runs unless it passes. It has
# root's rights, and nobody who may write an EnvironmentFile= of the unit shall use them.
UnsetEnvironment={unset}
# PAM's modules would run before this unit joins any namespace: in the host's.
PAMName=
{commands}\
{kept}\
# A /run of its own, without the host's resolver, buses and name service daemons.
BindPaths=/run/wgconfine/run/%N:/run
TemporaryFileSystem=/run/systemd/system:ro
TemporaryFileSystem=/run/nscd:ro /run/systemd/resolve:ro /run/avahi-daemon:ro
BindReadOnlyPaths=/run/systemd/notify /run/systemd/journal
{bus}\
{users}\
# What NixOS has of programs and drivers below /run; without it they are not found.
BindReadOnlyPaths=-/run/current-system -/run/booted-system -/run/wrappers -/run/binfmt
BindReadOnlyPaths=-/run/opengl-driver -/run/opengl-driver-32
BindReadOnlyPaths=/run/wgconfine/tunnel/{name}/nsswitch.conf:/etc/nsswitch.conf
BindReadOnlyPaths=/run/wgconfine/tunnel/{name}/resolv.conf:/etc/resolv.conf
# Families that take no notice of network namespaces, or reach below them.
RestrictAddressFamilies={families}
# That list knows the native system calls alone; lists merge, hence the reset.
SystemCallArchitectures=
SystemCallArchitectures=native
Slice={slice}
{hardening}\
"""

# What brings a service back that ran when its tunnel went.
WANTED = """\
Wants=wgconfine-want@%N.target
PropagatesStopTo=wgconfine-want@%N.target
"""
# Not for root: by the same socket systemd 262 starts units for it, in the host's namespace.
USERS = """\
# Of the user database this alone: others ask whatever the host's users come from, such as LDAP.
BindReadOnlyPaths=-/run/systemd/userdb/io.systemd.DynamicUser
"""
NO_BUS = "TemporaryFileSystem=/run/dbus:ro\n"
# The proxy makes its socket there. X- is for systemd to pass over: with other names the service is
# restarted, and the proxy with it.
BUS = "BindReadOnlyPaths=/run/wgconfine/bus/%N:/run/dbus\nX-AllowBus={names}\n"
BUS_NEEDS = """\
Wants=wgconfine-bus@%N.service
After=wgconfine-bus@%N.service
AssertPathExists=/run/wgconfine/bus/%N
"""
# Not a requirement: after its time limit they start all the same.
READY_NEEDS = """\
Wants=wgconfine-ready@{name}.service
After=wgconfine-ready@{name}.service
"""
PATH_NEEDS = """\
Wants=wgconfine-paths@{name}.service
After=wgconfine-paths@{name}.service
"""

# What systemd runs apart from a start, and joins the namespace anew for. ExecStopPost= most of all:
# it runs after a start that the guard refused, and the first command that fails ends its list.
GUARDED = ("ExecCondition", "ExecReload", "ExecReloadPost", "ExecStop", "ExecStopPost")

KEPT = (*GUARDED, "SuccessExitStatus", "PIDFile", "RestrictAddressFamilies")
"""The unit's own lines that the drop-in resets and repeats, or rewrites."""

SINCE = {"DelegateNamespaces": 258, "ExecReloadPost": 259}
"""The systemd that each of these came with; an older one complains of an unknown key."""

LOADER_VARIABLES = (
    *("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "LD_DEBUG", "LD_DEBUG_OUTPUT", "LD_PROFILE"),
    *("LD_PROFILE_OUTPUT", "LD_TRACE_LOADED_OBJECTS", "LD_TRACE_PRELINKING", "LD_ASSUME_KERNEL"),
    *("GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH", "BASH_ENV", "ENV", "OPTIND", "MALLOC_TOP_PAD_"),
)
"""What would run somebody's code in the guard, as root, from a service's EnvironmentFile=.

Or what would keep the guard from being run at all: with LD_TRACE_LOADED_OBJECTS, and until glibc
2.35 with LD_TRACE_PRELINKING, ld.so(8) lists libraries and ends with success; a program that is
linked statically would run all the same. By the others it ends in a way that SuccessExitStatus= may
let pass: where LD_ASSUME_KERNEL finds no library (until 2.36) with 127, dash(1) with 2 by an OPTIND
that is no number, and any shell by a signal where malloc(3) is to pad with more than there is.
"""

SPEECH_VARIABLES = ("LANGUAGE",)
"""By what bash(1) would take the formats of its own messages from a file of whoever may write the
environment, before the first command too: of an SHLVL that is too high, say. LANG stays.
"""
UNSET = " ".join((*LOADER_VARIABLES, *SPEECH_VARIABLES))

FAMILIES = (
    "~AF_VSOCK AF_BLUETOOTH AF_PACKET AF_ALG AF_KEY AF_RDS AF_TIPC AF_QIPCRTR AF_CAN AF_NFC AF_SMC"
    " AF_XDP AF_ISDN AF_IUCV"
)

# The guard would pass, and the main process then join from inside of that user namespace, which the
# kernel forbids: systemd 262 goes on in the host's. An older one complains of an unknown key. Not
# `no`, which brings a user namespace with it, as any value does.
DELEGATE_NOTHING = "DelegateNamespaces=\n"

CLOSED = """\
# {mark}. It outlives the confinement on purpose: this service does not run in the open
# until somebody says so. To release it: wgconfine release {unit}
# (without wgconfine: remove this file, then systemctl daemon-reload).
[Service]
SuccessExitStatus=
UnsetEnvironment={unset}
# systemd runs these after a start that was refused, too.
ExecStopPost=
ExecCondition=
ExecCondition=+/bin/sh -p -c "LC_ALL=C; (echo 'wgconfine: %n is not confined and not released. \
Run wgconfine apply, or wgconfine release %n; \
without wgconfine remove {place}/%n.d/{file} and run systemctl daemon-reload') >&2; \
kill -USR1 $$$$"
"""


def slice_name(name: TunnelName) -> str:
    return f"wgconfine-{escape_path_unit(name)}.slice"


def slice_file(settings: Settings) -> File:
    """Give the slice of a tunnel's services; it stays when they stop, so that rules can name it.

    It also names each service, in the order that holds anyway: a unit that nobody names is
    forgotten by systemd when it ends, and with it why it was kept from running. Whoever starts a
    slice that was stopped brings the rule on its new control group along.
    """
    text = (
        f"# {MARK}. Do not edit: `wgconfine apply` writes it anew.\n"
        f"[Unit]\nDescription=Services confined to WireGuard tunnel {settings.name}\n"
        "RefuseManualStop=yes\n"
        f"Wants=wgconfine-switch@{value(settings.name)}.service\n"
    )
    text += "".join(f"Before={value(unit)}\n" for unit in settings.services)
    return File(path=UNITS / slice_name(settings.name), text=text)


def dropin_file(
    settings: Settings,
    unit: UnitName,
    *,
    digest: str,
    own: Mapping[str, tuple[str, ...]],
    rights: Rights = BASELINE,
    systemd: int = 0,
) -> File:
    """Give the drop-in that confines `unit`.

    `digest` tells later whether the unit has changed; `own` are the unit's own lines of each key in
    KEPT, as they count in the end; `rights` are what of the hardening it takes; `systemd` is its
    version, 0 where it is not known.
    """
    text = confining_text(
        settings,
        settings.refinement(unit),
        about=f"# unit-digest: {digest}\n",
        wanted=WANTED,
        own=own,
        rights=rights,
        systemd=systemd,
    )
    return File(path=dropin_path(unit), text=text)


def confining_text(
    settings: Settings,
    said: Said,
    *,
    about: str,
    wanted: str,
    own: Mapping[str, tuple[str, ...]],
    rights: Rights,
    systemd: int,
) -> str:
    """Give the one text that confines: a service, or what is run inside by hand.

    `about` are comments, `wanted` lines of [Unit] that bring it back after its tunnel.
    """
    name = value(settings.name)
    needs = READY_NEEDS.format(name=name) if settings.ready is Ready.HANDSHAKE else ""
    needs += PATH_NEEDS.format(name=name) if said.allow_paths else ""
    return TEXT.format(
        mark=MARK,
        settings=settings.path,
        about=about,
        wanted=wanted,
        needs=needs + (BUS_NEEDS if said.allow_bus else ""),
        bus=BUS.format(names=" ".join(map(value, said.allow_bus))) if said.allow_bus else NO_BUS,
        users="" if rights.becomes_root else USERS,
        name=name,
        commands=guarded(GUARD.format(name=name), own, systemd),
        unset=UNSET,
        kept=kept(own) + (DELEGATE_NOTHING if knows(systemd, "DelegateNamespaces") else ""),
        families="none" if own.get("RestrictAddressFamilies") == ("none",) else FAMILIES,
        hardening=hardening_lines(rights),
        slice=value(slice_name(settings.name)),
    )


def kept(own: Mapping[str, tuple[str, ...]]) -> str:
    """Give what else must be as it was judged: a package upgrade that calls USR1 a success would
    disarm the guard. PID 1 looks for PIDFile= in its own /run, where the unit's is a directory.
    """
    lines = [f"SuccessExitStatus={each}" for each in ("", *own.get("SuccessExitStatus", ()))]
    lines += [f"PIDFile=/run/wgconfine/run/%N/{path}" for path in own.get("PIDFile", ())]
    return "".join(f"{line}\n" for line in lines)


def knows(systemd: int, key: str) -> bool:
    return systemd >= SINCE.get(key, 0)


def guarded(guard: str, commands: Mapping[str, tuple[str, ...]], systemd: int) -> str:
    """Give each list with the guard before its own lines.

    One without any is reset, for an upgrade may bring some, and they are run without a guard then.
    """
    lists = [(key, commands.get(key, ())) for key in GUARDED]
    return "".join(
        f"{key}=\n"
        + "".join(f"{key}={line}\n" for line in (guard, *lines) if lines or key == "ExecCondition")
        for key, lines in lists
        if lines or knows(systemd, key)
    )


def closing_file(unit: UnitName) -> File:
    """Give the file that refuses to start `unit` wherever the drop-in is gone."""
    text = CLOSED.format(
        mark=MARK,
        unit=unit,
        place=CLOSING_UNITS,
        file=CLOSING,
        unset=UNSET,
    )
    return File(path=closing_path(unit), text=text)


def dropin_settings(
    hardening: Hardening = Hardening.BASELINE,
) -> dict[str, frozenset[str]]:
    """Give, by section, the keys that the drop-in sets and that no later file may set."""
    keys: dict[str, set[str]] = {"Service": {*KEPT, *hardening_keys(hardening)}}
    section = ""
    for line in TEXT.replace("{about}", "").replace("{wanted}", WANTED).splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            keys.setdefault(section, set()).add(line.partition("=")[0])
    return {section: frozenset(names) for section, names in keys.items()}
