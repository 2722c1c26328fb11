"""Five programs out of Debian's archive, set up so that each asks the web under a name of its own.

qbittorrent-nox, transmission-daemon, nginx and deluged run by the units that Debian ships; aria2
has none, and one is written for it.
"""

import json
import shlex
from functools import partial

from lab import World

ARIA2 = "aria2.service"
DELUGED = "deluged.service"
NGINX = "nginx.service"
QBITTORRENT = "qbittorrent-nox@torrent.service"
TRANSMISSION = "transmission-daemon.service"

HOSTS = {
    ARIA2: "aria2.example.net",
    DELUGED: "deluged.example.net",
    NGINX: "nginx.example.net",
    QBITTORRENT: "qbittorrent.example.net",
    TRANSMISSION: "transmission.example.net",
}
"""Each program's unit, and the host that it alone asks: a tracker, or what nginx is a proxy for."""

SET_UP = """
useradd --create-home --shell /usr/sbin/nologin torrent
mkdir -p /home/torrent/.config/qBittorrent
cat >/home/torrent/.config/qBittorrent/qBittorrent.conf <<'END'
[LegalNotice]
Accepted=true
[Preferences]
WebUI\\LocalHostAuth=false
WebUI\\Port=8085
END
chown -R torrent: /home/torrent
cat >/etc/systemd/system/aria2.service <<'END'
[Service]
DynamicUser=yes
StateDirectory=aria2
WorkingDirectory=/var/lib/aria2
ExecStart=/usr/bin/aria2c --enable-rpc --dht-file-path=/var/lib/aria2/dht
END
cat >/etc/nginx/sites-enabled/default <<'END'
server { listen 8088; location / { proxy_pass http://nginx.example.net; } }
END
systemctl daemon-reload
"""

# deluge-console does the same, but takes most of a minute to start on an emulated processor.
# The protocol: deluge/transfer.py, version 1.
ADD_TO_DELUGE = """
import rencode, socket, ssl, struct, sys, zlib
user, password, _ = open("/var/lib/deluged/config/auth").readline().split(":")
context = ssl._create_unverified_context()
daemon = context.wrap_socket(socket.create_connection(("127.0.0.1", 58846), 20))
calls = (
    (0, "daemon.login", (user, password), {"client_version": "2.0"}),
    (1, "core.add_torrent_magnet", (sys.argv[1], {}), {}),
)
for call in calls:
    body = zlib.compress(rencode.dumps((call,)))
    daemon.sendall(struct.pack("!BI", 1, len(body)) + body)
    _, length = struct.unpack("!BI", daemon.recv(5))
    answer = b""
    while len(answer) < length:
        answer += daemon.recv(length - len(answer))
    kind, _, value = rencode.loads(zlib.decompress(answer))[:3]
    assert kind == 1, value
"""

PATIENCE = 300
"""Seconds; deluged needs most of them where the processor is emulated and busy."""

HASH = "c0ffee" * 6 + "c0de"


def set_up(world: World) -> None:
    """Configure the five as their owner would; none is confined by that, nor started."""
    world.machine.sh(SET_UP)


def magnet(unit: str) -> str:
    return f"magnet:?xt=urn:btih:{HASH}&tr=http://{HOSTS[unit]}/announce"


def transmission(method: str, **arguments: str) -> str:
    """The commands that ask transmission, which first wants to give a session's number away."""
    request = json.dumps({"method": method, "arguments": arguments})
    ask = "curl -s -m 20 -u transmission:transmission http://127.0.0.1:9091/transmission/rpc"
    return (
        f"session=$({ask} -D - -o /dev/null | tr -d '\\r' | grep -i ^x-transmission-session-id:); "
        f'{ask} -H "$session" -d {shlex.quote(request)} | grep -q \'"success"\''
    )


def order(unit: str) -> str:
    """The command, run where the program listens, that makes it ask its host."""
    post = "curl -s -S -f -m 20 -o /dev/null"
    match unit:
        case "transmission-daemon.service":
            return transmission("torrent-add", filename=magnet(unit))
        case "aria2.service":
            call = {"jsonrpc": "2.0", "id": "1", "method": "aria2.addUri"}
            request = json.dumps({**call, "params": [[magnet(unit)]]})
            return f"{post} -d {shlex.quote(request)} http://127.0.0.1:6800/jsonrpc"
        case "deluged.service":
            return f"python3 -c {shlex.quote(ADD_TO_DELUGE)} {shlex.quote(magnet(unit))}"
        case "nginx.service":
            return f"{post} http://127.0.0.1:8088/"
        case _:
            urls = shlex.quote(f"urls={magnet(unit)}")
            return f"{post} --data-urlencode {urls} http://127.0.0.1:8085/api/v2/torrents/add"


def have_each_ask(world: World) -> None:
    """Give each program its order inside the tunnel, and wait until its host was asked by it."""
    for unit in HOSTS:
        taken = partial(takes_order, world, unit)
        world.machine.wait_for(taken, f"{unit} takes an order", PATIENCE)
    for unit in HOSTS:
        world.machine.wait_for(partial(has_asked, world, unit), f"{unit} asks its host", PATIENCE)


def takes_order(world: World, unit: str) -> bool:
    command = ("nsenter", "--net=/run/netns/vpn", "sh", "-c", order(unit))
    return world.machine.run(*command, check=False).returncode == 0


def has_asked(world: World, unit: str) -> bool:
    return bool(clients(world, unit))


def clients(world: World, unit: str) -> set[str]:
    """The addresses from which the web server was asked under a program's name."""
    return {each.client for each in world.internet.web_requests() if each.host == HOSTS[unit]}


def resolvers(world: World, unit: str) -> set[str]:
    """Which resolvers ("tunnel", "isp") were asked for a program's name."""
    return {each.resolver for each in world.internet.dns_queries() if each.name == HOSTS[unit]}
