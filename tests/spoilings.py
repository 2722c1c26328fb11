"""What somebody may do to a confined machine, and the check of `verify` that names it.

A table for tests/container/test_verify.py. Each script runs as root on a machine with the tunnel
`vpn` and the confined services `probe.service` (running) and `idle.service` (stopped), with
SETTINGS_OF_PORTS, and with `$link` as what wg(8) calls the tunnel's link.
"""

from dataclasses import dataclass

DROPIN = "/etc/systemd/system/probe.service.d"
CLOSING = "/usr/local/lib/systemd/system/probe.service.d/zz-wgconfine-closed.conf"
INSIDE = "nsenter --net=/run/wgconfine/netns/vpn"
RELOAD = "systemctl daemon-reload"
GROUP = "/sys/fs/cgroup$(systemctl show --value --property=ControlGroup probe.service)"
MAIN_PID = "$(systemctl show --value --property=MainPID probe.service)"

SETTINGS_OF_PORTS = """\
publish = [
  "8080",
  "unix:/run/web.sock:8080",
  { listen = "198.51.100.2:8081", to = 8080, from = ["198.51.100.0/24"] },
]
reach = ["127.0.0.1:5432:127.0.0.1:22"]
"""
PLAIN = "wgconfine-publish@vpn.8080"
LAN = "wgconfine-publish@vpn.198.51.100.2:8081"
UNIX = "wgconfine-publish@vpn.unix:-run-web.sock"
REACH = "wgconfine-reach@vpn.127.0.0.1:5432"
SYSTEM = "/etc/systemd/system"
PROXIES = r"/sys/fs/cgroup/system.slice/system-wgconfine\x2dpublish.slice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoiling:
    """One way to spoil the machine.

    `check` is the name of the check that must say so, `verdict` how, and `code` the exit code.
    `also` are others that may fail by the same deed. `undo` takes it back; where it is empty the
    commands that `verify` prints must do that. `essential` ones are tried in every run.
    """

    name: str
    do: str
    check: str
    unit: str = ""
    verdict: str = "not confined"
    code: int = 3
    also: tuple[str, ...] = ()
    undo: str = ""
    essential: bool = False


STRUCTURE = (
    Spoiling(
        name="the namespace's name is another's",
        essential=True,
        do="ip netns add other; mount --bind /run/netns/other /run/netns/vpn",
        check="namespace-name",
    ),
    Spoiling(
        name="the namespace's name is gone",
        do="umount -l /run/netns/vpn; rm /run/netns/vpn",
        check="namespace-name",
        verdict="does not work",
        code=6,  # no probe can start, so that what gets out is not known
    ),
    Spoiling(
        name="a second link",
        essential=True,
        do="ip -n vpn link add more0 type veth peer name more1 netns vpn",
        check="links",
        undo="ip -n vpn link del more0",
    ),
    Spoiling(
        name="another link renamed to wg0",
        essential=True,
        do="ip -n vpn link set wg0 down; ip -n vpn link set wg0 name old0;"
        "ip link add more0 type veth peer name more1; ip link set more0 netns vpn name wg0",
        check="link",
        also=("links", "addresses", "routes"),
        undo="ip -n vpn link del wg0; ip -n vpn link set old0 name wg0;"
        "systemctl reload wgconfine@vpn",
    ),
    Spoiling(
        name="another tun device renamed to wg0",
        do="ip -n vpn link set wg0 down; ip -n vpn link set wg0 name old0;"
        "ip tuntap add mode tun name more0; ip link set more0 netns vpn name wg0",
        check="link",
        also=("links", "addresses", "routes"),
        undo="ip -n vpn link del wg0; ip -n vpn link set old0 name wg0;"
        "systemctl reload wgconfine@vpn",
    ),
    Spoiling(
        name="a link that is down",
        do="ip -n vpn link set wg0 down",
        check="link",
        verdict="does not work",
        code=1,
        also=("routes", "addresses"),
        undo="systemctl reload wgconfine@vpn",
    ),
    Spoiling(
        name="another address",
        do="ip -n vpn address add 192.0.2.9/32 dev wg0",
        check="addresses",
        undo="ip -n vpn address del 192.0.2.9/32 dev wg0",
    ),
    Spoiling(
        name="the default route elsewhere",
        essential=True,
        do="ip -n vpn route replace default dev lo",
        check="routes",
        undo="ip -n vpn route replace default dev wg0",
    ),
    Spoiling(
        name="a route in another table",
        do="ip -n vpn -6 route add default dev lo table 99",
        check="routes",
        undo="ip -n vpn -6 route del default dev lo table 99",
    ),
    Spoiling(
        name="a rule added",
        essential=True,
        do="ip -n vpn rule add from 10.66.0.2 lookup 99",
        check="rules",
        undo="ip -n vpn rule del from 10.66.0.2 lookup 99",
    ),
    Spoiling(
        name="nft flushed inside",
        essential=True,
        do=f"{INSIDE} nft flush ruleset",
        check="firewall",
    ),
    Spoiling(
        name="a rule of the firewall changed",
        do=f"{INSIDE} nft insert rule inet wgconfine output accept",
        check="firewall",
    ),
    Spoiling(
        name="a table of others that diverts",
        do=f"{INSIDE} nft 'table ip x {{ chain y {{ type nat hook output priority -150;"
        " udp dport 53 dnat to 192.0.2.53; }; }'",
        check="foreign-tables",
        undo=f"{INSIDE} nft delete table ip x",
    ),
    Spoiling(
        name="a table of others that drops",
        do=f"{INSIDE} nft 'table ip x {{ chain y {{ type filter hook output priority -200;"
        " udp dport 99 drop; }; }'",
        check="foreign-tables",
        verdict="open",
        code=0,
        undo=f"{INSIDE} nft delete table ip x",
    ),
    Spoiling(
        name="a sysctl",
        do=f"{INSIDE} sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'",
        check="sysctls",
    ),
    Spoiling(
        name="a foreign peer",
        essential=True,
        do=f"{INSIDE} wg set $link peer $(wg genkey | wg pubkey) allowed-ips 192.0.2.0/24",
        check="peers",
    ),
    Spoiling(
        name="a peer that is gone",
        do=f"{INSIDE} wg set $link peer $({INSIDE} wg show $link peers) remove",
        check="peers",
        verdict="does not work",
        code=1,
    ),
    Spoiling(
        name="other allowed addresses",
        do=f"{INSIDE} wg set $link peer $({INSIDE} wg show $link peers) allowed-ips 10.66.0.0/16",
        check="allowed-ips",
    ),
    Spoiling(
        name="the endpoint changed",
        essential=True,
        # What the server still sends would move it back at once.
        do="nft 'table inet deaf { chain in { type filter hook input priority 0;"
        " udp sport 51820 drop; }; }';"
        f"{INSIDE} wg set $link peer $({INSIDE} wg show $link peers) endpoint 198.51.100.9:53",
        check="endpoints",
        undo="nft delete table inet deaf; systemctl reload wgconfine@vpn",
    ),
    Spoiling(
        name="the tunnel's resolver file",
        do="echo nameserver 192.0.2.53 >/run/wgconfine/tunnel/vpn/resolv.conf",
        check="resolv-conf",
    ),
    Spoiling(
        name="the .conf changed since",
        do="sed -i '/^Endpoint/i PersistentKeepalive = 25' /etc/wireguard/vpn.conf",
        check="config",
        verdict="does not work",
        code=1,
        undo="sed -i /^PersistentKeepalive/d /etc/wireguard/vpn.conf",
    ),
    Spoiling(
        name="a unit that joined by hand",
        do="printf '[Unit]\nJoinsNamespaceOf=wgconfine-netns@vpn.service\n[Service]\n"
        "PrivateNetwork=yes\nExecStart=/bin/sleep infinity\n' >/etc/systemd/system/hand.service;"
        f"{RELOAD}; systemctl start hand.service",
        check="inside",
        unit="hand.service",
        verdict="open",
        code=0,
        undo=f"systemctl stop hand; rm /etc/systemd/system/hand.service; {RELOAD}",
    ),
)

UNITS = (
    Spoiling(
        name="the drop-in removed",
        essential=True,
        do=f"rm {DROPIN}/zz-wgconfine.conf",
        check="drop-in",
        unit="probe.service",
    ),
    Spoiling(
        name="the drop-in removed, and systemd told",
        do=f"rm {DROPIN}/zz-wgconfine.conf; {RELOAD}",
        check="drop-in",
        unit="probe.service",
    ),
    Spoiling(
        name="reverted",
        essential=True,
        do="systemctl revert probe.service",
        check="drop-in",
        unit="probe.service",
    ),
    Spoiling(
        name="the drop-in edited",
        do=f"sed -i s/AF_VSOCK// {DROPIN}/zz-wgconfine.conf; {RELOAD}",
        check="drop-in",
        unit="probe.service",
        also=("RestrictAddressFamilies", "started-with"),
    ),
    Spoiling(
        name="overridden by a later drop-in",
        essential=True,
        do=f"printf '[Service]\nNetworkNamespacePath=\n' >{DROPIN}/zzz.conf; {RELOAD}",
        check="later-drop-in",
        unit="probe.service",
        also=("NetworkNamespacePath",),
        undo=f"rm {DROPIN}/zzz.conf; {RELOAD}",
    ),
    Spoiling(
        name="the setting itself is overridden",
        do=f"printf '[Service]\nExecCondition=\n' >{DROPIN}/zzz.conf; {RELOAD}",
        check="ExecCondition",
        unit="probe.service",
        also=("later-drop-in",),
        undo=f"rm {DROPIN}/zzz.conf; {RELOAD}",
    ),
    Spoiling(
        name="a guard that asks another",
        do=f"printf '[Service]\nExecCondition=\nExecCondition=+/bin/true\n' >{DROPIN}/zzz.conf;"
        f"{RELOAD}",
        check="ExecCondition",
        unit="probe.service",
        also=("later-drop-in", "drop-in"),
        undo=f"rm {DROPIN}/zzz.conf; {RELOAD}",
    ),
    Spoiling(
        name="overridden for every service",
        essential=True,
        do="mkdir -p /etc/systemd/system/service.d;"
        "printf '[Service]\nRestrictAddressFamilies=\n' >/etc/systemd/system/service.d/zzz.conf;"
        f"{RELOAD}",
        check="RestrictAddressFamilies",
        unit="probe.service",
        code=7,  # the probe then gets an answer by vsock
        also=("later-drop-in", "own-units", "exec-drop-ins"),
        undo=f"rm -r /etc/systemd/system/service.d; {RELOAD}",
    ),
    Spoiling(
        name="an override.conf has no effect",
        essential=True,
        do="printf '[Service]\nNetworkNamespacePath=\nRestrictAddressFamilies=\nBindPaths=\n"
        f"' >{DROPIN}/override.conf; {RELOAD}",
        check="drop-in",
        unit="probe.service",
        verdict="ok",
        code=0,
        undo=f"rm {DROPIN}/override.conf; {RELOAD}",
    ),
    Spoiling(
        name="a unit that has changed",
        do=f"printf '[Service]\nExecStop=/bin/true\n' >{DROPIN}/more.conf; {RELOAD}",
        check="drop-in",
        unit="probe.service",
        verdict="does not work",
        code=1,
        undo=f"rm {DROPIN}/more.conf; {RELOAD}",
    ),
    Spoiling(
        name="the closing file removed",
        essential=True,
        do=f"rm {CLOSING}; {RELOAD}",
        check="closing-file",
        unit="probe.service",
    ),
    Spoiling(
        name="a process older than its drop-in",
        do=f"sleep 2.5; touch {DROPIN}/zz-wgconfine.conf; {RELOAD}",
        check="started-with",
        unit="probe.service",
    ),
    Spoiling(
        name="a socket of the host that starts it",
        essential=True,
        do="printf '[Socket]\nListenStream=127.0.0.1:99\n' >/etc/systemd/system/probe.socket;"
        f"{RELOAD}",
        check="host-socket",
        unit="probe.service",
        undo=f"rm /etc/systemd/system/probe.socket; {RELOAD}",
    ),
    Spoiling(
        name="another unit that would share its namespace",
        do="printf '[Unit]\nJoinsNamespaceOf=probe.service\n[Service]\nPrivateNetwork=yes\n"
        f"ExecStart=/bin/true\n' >/etc/systemd/system/hand.service; {RELOAD}",
        check="joins-namespace",
        unit="probe.service",
        undo=f"rm /etc/systemd/system/hand.service; {RELOAD}",
    ),
    Spoiling(
        name="a unit of ours edited",
        do="sed -i 's/^RestrictNamespaces=yes$/RestrictNamespaces=no/'"
        f" /etc/systemd/system/wgconfine-netns@.service; {RELOAD}",
        check="own-files",
    ),
    Spoiling(
        name="a unit of ours removed",
        do=f"rm /etc/systemd/system/wgconfine-endpoint@.service; {RELOAD}",
        check="own-files",
    ),
    Spoiling(
        name="a unit of ours overridden",
        do="cd /etc/systemd/system; mkdir -p wgconfine@vpn.service.d;"
        f"printf '[Service]\nExecStopPost=\n' >wgconfine@vpn.service.d/x.conf; {RELOAD}",
        check="own-units",
    ),
    Spoiling(
        name="the settings changed since",
        do="echo 'mtu = 1380' >>/etc/wgconfine/vpn.toml",
        check="settings",
        verdict="does not work",
        code=1,
        also=("own-files",),
        undo="sed -i /mtu/d /etc/wgconfine/vpn.toml",
    ),
    Spoiling(
        name="settings that are wrong",
        do="echo 'mtu = 1' >>/etc/wgconfine/vpn.toml",
        check="settings",
        verdict="unknown",
        code=6,
        undo="sed -i /mtu/d /etc/wgconfine/vpn.toml",
    ),
    Spoiling(
        name="a closed service that runs",
        essential=True,
        do=f"mkdir -p /usr/local/lib/systemd/system/open.service.d; cp {CLOSING}"
        " /usr/local/lib/systemd/system/open.service.d/",
        check="closed",
        unit="open.service",
        undo="rm -r /usr/local/lib/systemd/system/open.service.d",
    ),
)

PROCESSES = (
    Spoiling(
        name="a process moved in from the host",
        essential=True,
        do=f"sleep 300 >/dev/null 2>&1 & echo $! >{GROUP}/cgroup.procs",
        check="namespace",
        unit="probe.service",
        also=("resolv-conf", "nsswitch-conf", "run", "masks"),
    ),
    Spoiling(
        name="a process that went back by setns",
        do=f"{INSIDE} nsenter --net=/proc/1/ns/net sleep 300 >/dev/null 2>&1 &"
        f"sleep 0.5; echo $! >{GROUP}/cgroup.procs",
        check="namespace",
        unit="probe.service",
        also=("resolv-conf", "nsswitch-conf", "run", "masks"),
    ),
    Spoiling(
        name="the bind of resolv.conf unmounted",
        essential=True,
        do=f"nsenter -t {MAIN_PID} -m umount -l /etc/resolv.conf",
        check="resolv-conf",
        unit="probe.service",
    ),
    Spoiling(
        name="the bind of nsswitch.conf unmounted",
        essential=True,
        do=f"nsenter -t {MAIN_PID} -m umount -l /etc/nsswitch.conf",
        check="nsswitch-conf",
        unit="probe.service",
    ),
    Spoiling(
        name="its /run unmounted",
        essential=True,
        do=f"nsenter -t {MAIN_PID} -m umount -l /run",
        check="run",
        unit="probe.service",
        also=("masks",),
    ),
)

SWITCH = (
    Spoiling(
        name="the second switch removed",
        essential=True,
        do="nft delete table inet wgconfine-vpn",
        check="switch",
    ),
    Spoiling(
        name="the second switch has counted",
        essential=True,
        do=f"(echo $BASHPID >{GROUP}/cgroup.procs; echo x >/dev/udp/192.0.2.1/9 || true)",
        check="switch-counter",
        verdict="LEAK",
        code=7,
        undo="nft reset counters table inet wgconfine-vpn; systemctl reload wgconfine-switch@vpn",
    ),
)


def drop_in(unit: str, *lines: str) -> str:
    """Give the command that puts a drop-in of somebody's beside a unit, and has systemd read it."""
    return (
        f"mkdir -p '{SYSTEM}/{unit}.d'; "
        f"printf '%s\\n' {' '.join(map(repr, lines))} >'{SYSTEM}/{unit}.d/x.conf'; {RELOAD}"
    )


def no_drop_in(unit: str) -> str:
    return f"rm '{SYSTEM}/{unit}.d/x.conf'; {RELOAD}"


DETACH = f"""\
/opt/wgconfine/bin/python3 -I - <<'END'
import os
from wgconfine.runtime import ipfilter
group = r"{PROXIES}/{LAN}.socket"
directory = os.open(group, os.O_RDONLY)
for program in ipfilter.attached(group):
    ipfilter.bpf(9, ipfilter.packed("=III", directory, program, 0))  # BPF_PROG_DETACH
END
"""
ANSWERS = f"""\
{INSIDE} /opt/wgconfine/bin/python3 -I -c '
import os, socket, time
end = socket.create_server(("127.0.0.1", 99))
os.system("true")
import ctypes
ctypes.CDLL(None).setns(os.open("/proc/1/ns/net", os.O_RDONLY), 0)
time.sleep(300)' >/dev/null 2>&1 & echo $! >/run/stranger.pid; sleep 1
"""
"""A process that makes a socket inside, and leaves with it."""

PORTS = (
    Spoiling(
        name="a published port that was stopped",
        essential=True,
        do=f"systemctl stop {PLAIN}.socket",
        check="publish",
        unit=f"{PLAIN}.socket",
        verdict="does not work",
        code=1,
    ),
    Spoiling(
        name="a published port that has failed",
        do=f"systemctl stop {PLAIN}.socket; python3 -m http.server -b 127.0.0.1 8080 >/dev/null"
        f" 2>&1 & echo $! >/run/other.pid; sleep 1; systemctl start {PLAIN}.socket || true",
        check="publish",
        unit=f"{PLAIN}.socket",
        verdict="does not work",
        code=1,
        undo=f"kill $(cat /run/other.pid); sleep 0.5; systemctl start {PLAIN}.socket",
    ),
    Spoiling(
        name="a published port that is masked",
        do=f"systemctl stop {PLAIN}.socket; rm {SYSTEM}/{PLAIN}.socket;"
        f"systemctl mask {PLAIN}.socket; {RELOAD}",
        check="publish",
        unit=f"{PLAIN}.socket",
        verdict="does not work",
        code=3,
        also=("own-files",),
        undo=f"systemctl unmask {PLAIN}.socket; wgconfine apply",
    ),
    Spoiling(
        name="who may connect, opened by a drop-in",
        do=drop_in(f"{LAN}.socket", "[Socket]", "IPAddressAllow=", "IPAddressDeny="),
        check="IPAddressDeny",
        unit=f"{LAN}.socket",
        also=("IPAddressAllow", "own-units", "publish-clients"),
        undo=no_drop_in(f"{LAN}.socket"),
    ),
    Spoiling(
        name="who may connect, widened by a slice above",
        do=drop_in("system.slice", "[Slice]", "IPAddressAllow=192.0.2.0/24")
        + f"; systemctl restart {PLAIN}.socket",
        check="publish-clients",
        unit=f"{PLAIN}.socket",
        undo=f"{no_drop_in('system.slice')}; systemctl restart {PLAIN}.socket {LAN}.socket",
    ),
    Spoiling(
        name="the filter taken from the kernel",
        essential=True,
        do=DETACH,
        check="publish-clients",
        unit=f"{LAN}.socket",
    ),
    Spoiling(
        name="the mode of a unix socket",
        essential=True,
        do="chmod 0666 /run/web.sock",
        check="publish-file",
        unit=f"{UNIX}.socket",
    ),
    Spoiling(
        name="the group of a unix socket",
        do="chgrp games /run/web.sock",
        check="publish-file",
        unit=f"{UNIX}.socket",
    ),
    Spoiling(
        name="the mode of a unix socket by a drop-in",
        do=drop_in(f"{UNIX}.socket", "[Socket]", "SocketMode=0666"),
        check="SocketMode",
        unit=f"{UNIX}.socket",
        also=("own-units",),
        undo=no_drop_in(f"{UNIX}.socket"),
    ),
    Spoiling(
        name="the file of a unix socket removed",
        do="rm /run/web.sock",
        check="publish",
        unit=f"{UNIX}.socket",
        verdict="does not work",
        code=1,
    ),
    Spoiling(
        name="somebody else's socket in the place of ours",
        do="rm /run/web.sock; python3 -c 'import socket, time;"
        ' end = socket.socket(socket.AF_UNIX); end.bind("/run/web.sock"); end.listen(1);'
        " time.sleep(300)' >/dev/null 2>&1 & echo $! >/run/other.pid; sleep 1;"
        "chmod 0660 /run/web.sock",
        check="publish",
        unit=f"{UNIX}.socket",
        verdict="does not work",
        code=1,
        undo=f"kill $(cat /run/other.pid); systemctl restart {UNIX}.socket",
    ),
    Spoiling(
        name="a published port that listens elsewhere, too",
        do=drop_in(f"{PLAIN}.socket", "[Socket]", "ListenStream=198.51.100.2:99"),
        check="publish",
        unit=f"{PLAIN}.socket",
        also=("own-units",),
        undo=no_drop_in(f"{PLAIN}.socket"),
    ),
    Spoiling(
        name="a published port that starts another service",
        do=drop_in(f"{PLAIN}.socket", "[Socket]", "Service=open.service"),
        check="publish",
        unit=f"{PLAIN}.socket",
        undo=f"{no_drop_in(f'{PLAIN}.socket')}; systemctl restart {PLAIN}.socket",
    ),
    Spoiling(
        name="a published port that has started another service",
        do=drop_in(f"{PLAIN}.socket", "[Socket]", "Service=open.service")
        + f"; curl -s -m 2 http://127.0.0.1:8080/ || true; {no_drop_in(f'{PLAIN}.socket')}",
        check="publish",
        unit=f"{PLAIN}.socket",
        verdict="does not work",
        code=1,
    ),
    Spoiling(
        name="the unit of a published port edited",
        do=f"sed -i s/IPAddressDeny=any// '{SYSTEM}/{LAN}.socket'; {RELOAD}",
        check="own-files",
        also=("publish-clients",),
    ),
    Spoiling(
        name="a published proxy in the host's namespace",
        do="curl -s -m 9 http://127.0.0.1:8080/ || true; sleep 300 >/dev/null 2>&1 &"
        f" sleep 1; echo $! >'{PROXIES}/{PLAIN}.service/cgroup.procs'",
        check="proxy",
        unit=f"{PLAIN}.service",
    ),
    Spoiling(
        name="a proxy among the services",
        do=drop_in(f"{PLAIN}.service", "[Service]", "Slice=wgconfine-vpn.slice")
        + f"; systemctl stop {PLAIN}.service; curl -s -m 9 http://127.0.0.1:8080/ || true",
        check="proxy",
        unit=f"{PLAIN}.service",
        undo=f"{no_drop_in(f'{PLAIN}.service')}; systemctl stop {PLAIN}.service",
    ),
    Spoiling(
        name="a reached port that was stopped",
        do=f"systemctl stop {REACH}.socket",
        check="reach",
        unit=f"{REACH}.socket",
        verdict="does not work",
        code=1,
    ),
    Spoiling(
        name="a reached port that leads elsewhere",
        essential=True,
        do=drop_in(
            f"{REACH}.service",
            "[Service]",
            "ExecStart=",
            "ExecStart=/usr/lib/systemd/systemd-socket-proxyd 198.51.100.1:80",
        ),
        check="ExecStart",
        unit=f"{REACH}.service",
        also=("own-units",),
        undo=no_drop_in(f"{REACH}.service"),
    ),
    Spoiling(
        name="a reached port that leads elsewhere by its environment",
        do=drop_in(f"{REACH}.service", "[Service]", "Environment=TARGET=198.51.100.1:80"),
        check="Environment",
        unit=f"{REACH}.service",
        also=("own-units",),
        undo=no_drop_in(f"{REACH}.service"),
    ),
    Spoiling(
        name="a reached port that leads elsewhere by a file of its environment",
        do=drop_in(f"{REACH}.service", "[Service]", "EnvironmentFile=-/root/elsewhere"),
        check="EnvironmentFile",
        unit=f"{REACH}.service",
        undo=no_drop_in(f"{REACH}.service"),
    ),
    Spoiling(
        name="a reached port that may reach more",
        do=drop_in(f"{REACH}.service", "[Service]", "IPAddressAllow=198.51.100.0/24"),
        check="IPAddressAllow",
        unit=f"{REACH}.service",
        also=("own-units",),
        undo=no_drop_in(f"{REACH}.service"),
    ),
    Spoiling(
        name="a reached port that listens on the host",
        do=drop_in(f"{REACH}.socket", "[Socket]", "NetworkNamespacePath=", "ExecStartPre=")
        + f"; systemctl restart {REACH}.socket",
        check="NetworkNamespacePath",
        unit=f"{REACH}.socket",
        also=("own-units", "ExecStartPre", "reach"),
        undo=f"{no_drop_in(f'{REACH}.socket')}; systemctl restart {REACH}.socket",
    ),
    Spoiling(
        name="a socket of ours inside that nobody asked for",
        essential=True,
        do=f"cd {SYSTEM}; sed s/5432/99/ {REACH}.socket >wgconfine-reach@vpn.hole.socket;"
        f"cp -r {REACH}.service.d wgconfine-reach@vpn.hole.service.d; {RELOAD};"
        "systemctl start wgconfine-reach@vpn.hole.socket",
        check="undeclared-port",
        unit="wgconfine-reach@vpn.hole.socket",
        undo="systemctl stop wgconfine-reach@vpn.hole.socket;"
        f"rm -r {SYSTEM}/wgconfine-reach@vpn.hole.*; {RELOAD}",
    ),
    Spoiling(
        name="a socket of somebody's inside",
        do=f"cd {SYSTEM}; printf '[Socket]\nListenStream=127.0.0.1:99\n"
        "NetworkNamespacePath=/run/netns/vpn\n' >hand.socket;"
        f"printf '[Service]\nExecStart=/bin/sleep 9\n' >hand.service; {RELOAD};"
        "systemctl start hand.socket",
        check="listeners",
        undo=f"systemctl stop hand.socket; rm {SYSTEM}/hand.s*; {RELOAD}",
    ),
    Spoiling(
        name="a process outside that answers inside",
        essential=True,
        do=ANSWERS,
        check="listeners",
        undo="kill $(cat /run/stranger.pid)",
    ),
)

USERS = (
    Spoiling(
        name="its user added to a group that a daemon obeys",
        essential=True,
        do="groupadd docker; gpasswd --add games docker",
        check="group:docker",
        unit="idle.service",
        undo="gpasswd --delete games docker; groupdel docker",
    ),
)

SPOILINGS = (*STRUCTURE, *UNITS, *PROCESSES, *SWITCH, *PORTS, *USERS)
