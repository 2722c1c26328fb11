"""Over a reboot nothing runs in the open of what was confined and nobody released."""

import time

from lab import World
from tests.scenario import refused, wgconfine, write_service, write_tunnel

SENDER = """\
[Service]
DynamicUser=yes
Restart=always
RestartSec=1s
ExecStart=/usr/bin/python3 -c "import socket, time\\nwhile True:\
\\n for host in ('203.0.113.80', '2001:db8:113::80'):\
\\n  s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM)\
\\n  try: s.sendto(b'{word}', (host, 9))\\n  except OSError: pass\\n time.sleep(.2)"
[Install]
WantedBy=multi-user.target
"""
"""A service that sends datagrams with a word of its own as soon as it runs, enabled at boot."""

WAYS = ("remove", "disable", "unlist", "delete", "broken", "revert", "uninstall")


def assert_release_is_a_word(world: World) -> None:
    """End a confinement in each way but by the word for it, reboot, and see who sends.

    A service for each way, enabled at boot, and one more that was never confined: it is the control
    that shows the capture and the sender to work.
    """
    machine = world.machine
    for way in WAYS:
        write_service(world, f"{way}.service", SENDER.format(word=f"leak-of-{way}"))
        write_tunnel(world, [f"{way}.service"], name=way, client=10 + WAYS.index(way))
    write_service(world, "control.service", SENDER.format(word="control"))
    wgconfine(world, "apply")
    machine.systemctl("enable", "--now", *(f"{way}.service" for way in WAYS))
    for way in WAYS:
        assert f"{way}.service: confined" == refused(world, f"{way}.service")
    end_each_confinement(world)
    machine.systemctl("enable", "control.service")

    with world.capture_uplink(beacons="world") as uplink:
        machine.reboot()
        machine.wait_for(lambda: machine.is_active("control.service"), "the control runs", 60)
        time.sleep(15)
        machine.systemctl("disable", "--now", "control.service")

    words = [(packet.quoted or packet).payload for packet in uplink.traffic.foreign()]
    assert b"control" in words
    assert {b"control"} == set(words)
    for way in WAYS:
        assert not runs_in_the_open(world, f"{way}.service"), way


def end_each_confinement(world: World) -> None:
    """Each service's confinement ends in its own way; the last takes wgconfine itself away."""
    machine = world.machine
    wgconfine(world, "remove", "remove")
    machine.sh("""
        sed -i '1i enable = false' /etc/wgconfine/disable.toml
        sed -i /unlist.service/d /etc/wgconfine/unlist.toml
        rm /etc/wgconfine/delete.toml
    """)
    wgconfine(world, "apply")
    machine.systemctl("revert", "revert.service")
    machine.write("/etc/wgconfine/broken.toml", "services = [\n")
    assert 78 == wgconfine(world, "apply", check=False).returncode
    machine.run("rm", "-rf", "/opt/wgconfine")


def runs_in_the_open(world: World, unit: str) -> bool:
    """Tell whether any process of a unit is in the host's namespace."""
    pid = world.machine.show(unit, "MainPID")
    if pid == "0":
        return False
    own = world.machine.sh(f"readlink /proc/{pid}/ns/net || true")
    return own == world.machine.sh("readlink /proc/1/ns/net")
