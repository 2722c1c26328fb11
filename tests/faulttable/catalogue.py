"""Every fault: what is done to a machine whose confined service sends without pause."""

from lab.internet import ELSEWHERE, MACHINE, WORLD
from tests.faulttable.bench import ENDPOINT, TUNNEL, UNIT, Bench
from tests.faulttable.fault import Fault, Kind

__all__ = ["FAULTS"]

NETNS = "wgconfine-netns@vpn.service"
GO = "wgconfine-wireguard@vpn.service"
OTHER = ("198.51.100.77", "2001:db8:51::77")
PACKAGE = "/opt/wgconfine"
DEV_IN_RUN = 257
"""The oldest systemd of those tried that makes the /dev of a unit below /run, and not in /tmp."""
SITE = f"{PACKAGE}/lib/python3*/site-packages/wgconfine"


def silence(bench: Bench, *, into: tuple[str, ...], out: tuple[str, ...] = ()) -> None:
    """The world drops what comes and goes by these rules."""
    chains = [
        f"chain {hook} {{\ntype filter hook {hook} priority 0\n"
        + "".join(f"{rule} drop\n" for rule in rules)
        + "}\n"
        for hook, rules in (("input", into), ("output", out))
    ]
    text = f"table inet silence {{\n{''.join(chains)}}}\n"
    bench.world.internet.run("nft", "-f", "-", text=text)


def let_speak(bench: Bench) -> None:
    bench.world.internet.run("sh", "-c", "nft delete table inet silence 2>/dev/null || true")


# The network around the machine.


def no_dns_at_boot(bench: Bench) -> None:
    silence(bench, into=("iifname uplink meta l4proto { tcp, udp } th dport 53",))
    bench.world.machine.reboot()
    bench.new_boot()
    bench.rest(max(0.0, 60 - bench.now()))
    bench.stays_closed(1, runs=True)
    let_speak(bench)
    bench.recovers()


def uplink_down(bench: Bench) -> None:
    bench.sh("ip link set eth0 down")
    bench.stays_closed(8, runs=True)
    bench.systemctl("restart", "lab-network.service")
    bench.recovers()


def other_address(bench: Bench) -> None:
    readdress(bench, old=MACHINE, new=OTHER)
    bench.recovers()


def address_back(bench: Bench) -> None:
    readdress(bench, old=OTHER, new=MACHINE)


def readdress(bench: Bench, *, old: tuple[str, str], new: tuple[str, str]) -> None:
    # One after the other: with the first address of a network go all others of it.
    bench.sh(f"""
        ip address del {old[0]}/24 dev eth0
        ip address add {new[0]}/24 dev eth0
        ip route replace default via {WORLD[0]}
        ip address del {old[1]}/64 dev eth0
        ip address add {new[1]}/64 dev eth0 nodad
        ip -6 route replace default via {WORLD[1]}
    """)


def moved_endpoint(bench: Bench) -> None:
    bench.by_hand()
    bench.tick()
    bench.world.internet.point(ENDPOINT, ELSEWHERE)
    silence(
        bench,
        into=(f"ip daddr {WORLD[0]} udp dport 51820", f"ip6 daddr {WORLD[1]} udp dport 51820"),
        out=(f"ip saddr {WORLD[0]} udp sport 51820", f"ip6 saddr {WORLD[1]} udp sport 51820"),
    )
    # While the handshake grows old, the tick has seen that nothing is answered.
    for _ in range(3):
        bench.rest(2.5)
        bench.tick()
    bench.age_handshake()
    bench.recovers()
    bench.count_ticks()


def endpoint_back(bench: Bench) -> None:
    let_speak(bench)
    bench.world.internet.point(ENDPOINT, ())
    bench.systemctl("reload", TUNNEL)
    bench.systemctl("start", "wgconfine-tick.timer")


def other_server_key(bench: Bench) -> None:
    bench.world.internet.renew_server_key()
    bench.rest(3)
    bench.write_conf()
    bench.systemctl("reload", TUNNEL)
    bench.recovers()


def asleep(bench: Bench) -> None:
    bench.vm.sleep(200)
    bench.recovers()


def clock_back(bench: Bench) -> None:
    """A server takes no handshake that is older than the last one: the clock has to be right."""
    bench.sh("date --set '1 day ago'")
    bench.rest(5)
    bench.systemctl("restart", TUNNEL)
    bench.stays_closed(15, runs=True)
    bench.sh("date --set '1 day'")
    bench.recovers()


# The tunnel.


def kill_wireguard(bench: Bench) -> None:
    bench.recovers()
    bench.systemctl("kill", "--signal=KILL", GO)


def delete_link(bench: Bench) -> None:
    bench.recovers()
    bench.inside("ip link del wg0")


def unmount_name(bench: Bench) -> None:
    bench.recovers()
    bench.sh("umount --lazy /run/netns/vpn")


def named_again(bench: Bench) -> bool:
    return bench.holds("[ /run/netns/vpn -ef /run/wgconfine/netns/vpn ]")


def flush_inside(bench: Bench) -> None:
    bench.recovers()
    bench.inside("nft flush ruleset")


def ruled_inside(bench: Bench) -> bool:
    list_table = "nft list table inet wgconfine"
    return bench.holds(f"nsenter --net=/run/wgconfine/netns/vpn {list_table}")


def flush_host(bench: Bench) -> None:
    bench.recovers()
    bench.sh("nft flush ruleset")


def ruled_outside(bench: Bench) -> bool:
    return bench.holds("nft list table inet wgconfine-vpn")


def stop_namespace(bench: Bench) -> None:
    bench.systemctl("stop", NETNS)
    start_what_was_stopped(bench)


def stop_tunnel(bench: Bench) -> None:
    bench.systemctl("stop", TUNNEL)
    start_what_was_stopped(bench)


def start_what_was_stopped(bench: Bench) -> None:
    bench.stays_closed(4)
    bench.tick()
    bench.stays_closed(6)
    bench.recovers()
    bench.systemctl("start", TUNNEL, UNIT)


def restart_namespace(bench: Bench) -> None:
    bench.recovers()
    bench.systemctl("restart", NETNS)


def restart_tunnel(bench: Bench) -> None:
    bench.recovers()
    bench.systemctl("restart", TUNNEL)


def wrong_conf(bench: Bench) -> None:
    bench.systemctl("stop", TUNNEL)
    bench.write_conf(("PublicKey = ", "PublicKey = wrong"))
    bench.systemctl("start", TUNNEL, check=False)
    bench.stays_closed(6)
    bench.write_conf()
    start_what_fails(bench)


def wrong_conf_at_restart(bench: Bench) -> None:
    bench.write_conf(("PrivateKey = ", "PrivateKey = wrong"))
    bench.systemctl("restart", TUNNEL, check=False)
    bench.stays_closed(6)
    bench.write_conf()
    start_what_fails(bench)


def start_what_fails(bench: Bench) -> None:
    """It is tried every 5 s anyway: a plain start may be told that the try under way has failed."""
    bench.recovers()
    bench.systemctl("restart", TUNNEL)
    bench.systemctl("start", UNIT)


# The service.


def kill_service(bench: Bench) -> None:
    bench.recovers()
    bench.systemctl("kill", "--signal=KILL", UNIT)


def out_of_memory(bench: Bench) -> None:
    before = bench.process()
    bench.systemctl("kill", "--signal=USR2", "--kill-whom=main", UNIT)

    def started_again() -> bool:
        return bench.process()[0] not in {before[0], "0"}

    bench.world.machine.wait_for(started_again, "it is killed, and started again", 60)
    killed = f"journalctl --boot --unit {UNIT} | grep -i 'oom.kill'"
    assert bench.holds(killed), "the kernel has not killed it for memory"
    bench.recovers()


# systemd and the machine.


def reload_systemd(bench: Bench) -> None:
    bench.recovers()
    bench.systemctl("daemon-reload")


def reexecute_systemd(bench: Bench) -> None:
    bench.recovers()
    bench.systemctl("daemon-reexec")


def soft_reboot(bench: Bench) -> None:
    bench.world.machine.soft_reboot()
    bench.recovers_from_start()


def reboot(bench: Bench) -> None:
    bench.world.machine.reboot()
    bench.new_boot()
    bench.recovers_from_start()


def full_disk(bench: Bench) -> None:
    # Reserved blocks too; what cannot be had in one piece is written.
    bench.sh("""
        for size in 1G 256M 64M 16M 4M 1M 256K 64K 16K 4K; do
            while fallocate --length $size --offset $(stat -c %s /var/fill 2>/dev/null || echo 0) \
                /var/fill 2>/dev/null; do :; done
        done
        ! dd if=/dev/zero of=/var/fill2 bs=4k count=64 2>/dev/null
    """)
    if bench.place.systemd < DEV_IN_RUN:
        bench.systemctl("reload", TUNNEL, check=False)
        bench.systemctl("restart", TUNNEL, check=False)
        bench.stays_closed(8)
        empty_disk(bench)
        bench.recovers()
        return
    bench.systemctl("reload", TUNNEL)
    bench.recovers()
    bench.systemctl("restart", TUNNEL)


def empty_disk(bench: Bench) -> None:
    bench.sh("rm -f /var/fill /var/fill2")


def full_run(bench: Bench) -> None:
    """While it is full nothing that is well is harmed; what is asked for may fail."""
    bench.sh("""
        mount -o remount,size=$(($(df --output=used -B1M /run | tail -1) + 8))M /run
        ! dd if=/dev/zero of=/run/fill bs=4k 2>/dev/null
    """)
    bench.systemctl("reload", TUNNEL, check=False)
    bench.tick()
    bench.rest(3)
    bench.inside("ip link del wg0")
    bench.rest(6)
    bench.sh("rm /run/fill")
    bench.recovers()


def empty_run(bench: Bench) -> None:
    bench.sh("mount -o remount,size=50% /run")


# wgconfine itself.


def upgrade(bench: Bench) -> None:
    """Each file is replaced by a rename, as package managers do; the firewall's rules are newer."""
    bench.sh(f"""
        cd {SITE}
        for file in $(find . -name '*.py'); do
            sed -e 's/^__version__ = .*/__version__ = "99.0"/' \
                -e 's/^FIREWALL = .*/FIREWALL = 99/' $file >$file.new
            mv $file.new $file
        done
    """)
    bench.tick()
    bench.systemctl("reload", TUNNEL)
    bench.rest(2)
    bench.recovers()
    bench.sh("wgconfine --version | grep -F 99.0; wgconfine apply")


def uninstall(bench: Bench) -> None:
    bench.sh(f"mv {PACKAGE} {PACKAGE}.gone")
    bench.rest(2)
    bench.systemctl("kill", "--signal=KILL", UNIT)  # what is there still lets it in, and no farther
    bench.tick()
    bench.rest(5)
    bench.systemctl("restart", TUNNEL, check=False)
    bench.stays_closed(5)
    bench.sh(f"mv {PACKAGE}.gone {PACKAGE}")
    start_what_fails(bench)


FAULTS = (
    Fault(
        name="uplink-down",
        title="uplink down for 8 s, and up",
        does="The machine's link goes down with its addresses and routes, and comes up again.",
        strike=uplink_down,
    ),
    Fault(
        name="other-address",
        title="uplink's address changed",
        does="Another IPv4 and another IPv6 address take the place of the machine's own. The server"
        " learns that from the next packet.",
        strike=other_address,
        restore=address_back,
        essential=True,
    ),
    Fault(
        name="moved-endpoint",
        title="endpoint moved",
        does="The endpoint's name has other addresses, and the old ones are silent. Ticks are"
        " counted from when the last handshake is as old as `handshake-max-age`: that it is so, is"
        " written into what the tick keeps, for waiting would take minutes.",
        strike=moved_endpoint,
        restore=endpoint_back,
        kind=Kind.ENDPOINT,
    ),
    Fault(
        name="other-server-key",
        title="server's key changed, then reload",
        does="The server has another key. Nothing comes through until the new `.conf` is there and"
        " `systemctl reload` has brought it in, from when the time counts.",
        strike=other_server_key,
    ),
    Fault(
        name="killed-wireguard",
        title="wireguard-go SIGKILLed",
        does="Its link goes with it, and the service runs on without a way out.",
        strike=kill_wireguard,
        kernel=False,
        soak=True,
    ),
    Fault(
        name="deleted-link",
        title="link deleted",
        does="`ip link del wg0` inside, with all addresses and routes.",
        strike=delete_link,
        soak=True,
        essential=True,
    ),
    Fault(
        name="unmounted-name",
        title="namespace's name unmounted",
        does="`/run/netns/NAME` is unmounted. What runs goes on; the name must be back, by which"
        " services join.",
        strike=unmount_name,
        mended=named_again,
        soak=True,
    ),
    Fault(
        name="stopped-namespace",
        title="namespace unit stopped, later started",
        does="Tunnel and service stop with it, and stay stopped through a tick; both are started"
        " by hand, from when the time counts.",
        strike=stop_namespace,
        same=False,
    ),
    Fault(
        name="restarted-namespace",
        title="namespace unit restarted",
        does="The service is in another namespace afterwards.",
        strike=restart_namespace,
        same=False,
        soak=True,
    ),
    Fault(
        name="stopped-tunnel",
        title="tunnel stopped, later started",
        does="The service stops with it, and both stay stopped through a tick; both are started by"
        " hand, from when the time counts. (With systemd 257 and 262 the service would come back"
        " with its tunnel, with 252 it stays stopped.)",
        strike=stop_tunnel,
        same=False,
    ),
    Fault(
        name="restarted-tunnel",
        title="tunnel restarted",
        does="`systemctl restart` of the tunnel, and the service comes back by itself.",
        strike=restart_tunnel,
        same=False,
        soak=True,
    ),
    Fault(
        name="wrong-conf",
        title="tunnel started with a wrong .conf, then with a right one",
        does="Stopped, and started with a key that is none: the service does not run. With the"
        " right `.conf` in place both are started by hand, from when the time counts.",
        strike=wrong_conf,
        same=False,
    ),
    Fault(
        name="wrong-conf-at-restart",
        title="tunnel restarted with a wrong .conf, then started with a right one",
        does="The service does not run meanwhile, and does again once the tunnel is started by"
        " hand, from when the time counts.",
        strike=wrong_conf_at_restart,
        same=False,
    ),
    Fault(
        name="killed-service",
        title="service SIGKILLed",
        does="Its own `Restart=` brings it back, in the tunnel's namespace.",
        strike=kill_service,
        same=False,
        soak=True,
    ),
    Fault(
        name="out-of-memory",
        title="service killed for want of memory",
        does="It takes memory up to its `MemoryMax=`, and the kernel kills it. The time counts from"
        " when its own `Restart=` has started it again.",
        strike=out_of_memory,
        same=False,
        kernel=True,
    ),
    Fault(
        name="daemon-reload",
        title="daemon-reload",
        does="`systemctl daemon-reload`.",
        strike=reload_systemd,
        soak=True,
    ),
    Fault(
        name="daemon-reexec",
        title="daemon-reexec",
        does="`systemctl daemon-reexec`.",
        strike=reexecute_systemd,
        soak=True,
    ),
    Fault(
        name="full-disk",
        title="disk full",
        does="Not a block is left, and the tunnel is reloaded and restarted: it writes to `/run`."
        " By systemd 252 neither can be, since that makes the `/dev` of a unit in `/tmp`: nothing"
        " comes through, and the time counts from when there is space again.",
        strike=full_disk,
        restore=empty_disk,
        same=False,
        kernel=True,
    ),
    Fault(
        name="full-run",
        title="/run full, and the link deleted meanwhile",
        does="Not a block is left in `/run` for a reload, a tick and the loss of the link. The time"
        " counts from when there is space again.",
        strike=full_run,
        restore=empty_run,
    ),
    Fault(
        name="flushed-inside",
        title="rules flushed inside",
        does="`nft flush ruleset` in the tunnel's namespace. The table must be there again.",
        strike=flush_inside,
        mended=ruled_inside,
        soak=True,
    ),
    Fault(
        name="flushed-outside",
        title="rules flushed on the host",
        does="`nft flush ruleset` on the host takes the second switch. It must be there again.",
        strike=flush_host,
        mended=ruled_outside,
        soak=True,
    ),
    Fault(
        name="upgraded",
        title="wgconfine upgraded while running",
        does="Its files are replaced one by one by those of another version. A tick and a reload"
        " come before `wgconfine apply`, from when the time counts.",
        strike=upgrade,
    ),
    Fault(
        name="uninstalled",
        title="wgconfine uninstalled while running",
        does="Its files are gone. The service is killed and comes back confined; a restart of the"
        " tunnel fails, and nothing runs. With the files back both are started by hand, from when"
        " the time counts.",
        strike=uninstall,
        same=False,
    ),
    Fault(
        name="clock-back",
        title="clock a day back, and right again",
        does="What runs goes on. Then the tunnel is restarted: a server takes no handshake that is"
        " older than the last, so nothing comes through until the clock is right, from when the"
        " time counts.",
        strike=clock_back,
        kind=Kind.ENDPOINT,
        same=False,
        kernel=True,
    ),
    Fault(
        name="asleep",
        title="machine asleep for 200 s",
        does="The machine stands still, its clocks too; the server, which does not, has given the"
        " session up.",
        strike=asleep,
        kind=Kind.ENDPOINT,
        kernel=True,
    ),
    Fault(
        name="soft-reboot",
        title="soft-reboot",
        does="`systemctl soft-reboot`. The time counts from when systemd starts the tunnel.",
        strike=soft_reboot,
        same=False,
        since=254,
    ),
    Fault(
        name="rebooted",
        title="machine rebooted",
        does="`systemctl reboot`. The time counts from when systemd starts the tunnel.",
        strike=reboot,
        same=False,
    ),
    Fault(
        name="no-dns-at-boot",
        title="DNS absent for 60 s at boot",
        does="The host's resolver is silent for the first minute, and the endpoint is a name. The"
        " machine boots, tunnel and service run, and nothing leaves. The time counts from when the"
        " resolver answers.",
        strike=no_dns_at_boot,
        kind=Kind.ENDPOINT,
        same=False,
    ),
)
