"""Ask one web server in three places by turns, and print the median of each measure as JSON.

The same nginx, with the same settings: in the open; in a namespace behind a veth, by DNAT, as it is
done elsewhere; confined, by `publish`. The client is on the machine itself, so that no network card
is measured, and asks for the machine's own address in the LAN. Client, proxy and server share the
one processor of the machine.
"""

import json
import random
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

HOST = "198.51.100.2"
PORTS = {"unconfined": 8080, "veth with DNAT": 8081, "wgconfine publish": 8082}
# As `wgconfine apply` names it.
PROXY = f"wgconfine-publish@reach.{HOST}:8082.service"

SIZE = 64 << 20
BIG, SMALL = Path("/srv/bench/big"), Path("/srv/bench/small")
NGINX = """\
user www-data;
worker_processes 1;
events {}
http {
    access_log off;
    sendfile on;
    keepalive_requests 100000;
    server { listen 8080; root /srv/bench; }
}
"""
SERVICE = """\
[Service]
ExecStart=/usr/sbin/nginx -c /etc/nginx/bench.conf -g 'daemon off; pid /run/nginx-%N.pid;'
"""
VETH = f"""
ip netns add veth
ip -n veth link set lo up
ip link add outside type veth peer name inside netns veth
ip address add 10.99.0.1/30 dev outside
ip link set outside up
ip -n veth address add 10.99.0.2/30 dev inside
ip -n veth link set inside up
ip -n veth route add default via 10.99.0.1
sysctl -q net.ipv4.ip_forward=1
nft -f - <<'END'
table ip bench {{
    chain arriving {{
        type nat hook prerouting priority -100;
        ip daddr {HOST} tcp dport 8081 dnat to 10.99.0.2:8080
    }}
    chain own {{
        type nat hook output priority -100;
        ip daddr {HOST} tcp dport 8081 dnat to 10.99.0.2:8080
    }}
}}
END
"""


def write_services() -> None:
    """Put the units in place. `served.service` is to be confined before it starts."""
    BIG.parent.mkdir(parents=True)
    BIG.write_bytes(bytes(range(256)) * (SIZE // 256))
    SMALL.write_text("a page\n")
    Path("/etc/nginx/bench.conf").write_text(NGINX)
    units = {"open": "", "behind": "NetworkNamespacePath=/run/netns/veth\n", "served": ""}
    for name, line in units.items():
        Path(f"/etc/systemd/system/{name}.service").write_text(SERVICE + line)
    subprocess.run(["bash", "-euc", VETH], check=True)
    subprocess.run(["systemctl", "daemon-reload"], check=True)


def connect(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), 60)


def ask(connection: socket.socket, path: Path, *, stay: bool = False) -> int:
    """Send a request and read the answer to its end; gives the length of its body."""
    lines = (
        f"GET /{path.name} HTTP/1.1",
        "Host: bench",
        f"Connection: {'keep-alive' if stay else 'close'}",
    )
    connection.sendall("\r\n".join((*lines, "", "")).encode())
    buffer = bytearray(1 << 18)
    head = b""
    while b"\r\n\r\n" not in head:
        head += read(connection, buffer)
    head, _, body = head.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.splitlines()
        if line.lower().startswith(b"content-length:")
    )
    got = len(body)
    while got < length:
        got += len(read(connection, buffer))
    return got


def read(connection: socket.socket, buffer: bytearray) -> memoryview:
    count = connection.recv_into(buffer)
    if count == 0:
        sys.exit("the connection ended too soon")
    return memoryview(buffer)[:count]


def of_new_connection(port: int) -> float:
    begin = time.perf_counter()
    with connect(port) as connection:
        ask(connection, SMALL)
    return time.perf_counter() - begin


def of_open_connection(port: int) -> float:
    with connect(port) as connection:
        ask(connection, SMALL, stay=True)
        begin = time.perf_counter()
        for _ in range(20):
            ask(connection, SMALL, stay=True)
        return (time.perf_counter() - begin) / 20


def of_download(port: int) -> float:
    begin = time.perf_counter()
    with connect(port) as connection:
        if ask(connection, BIG) != SIZE:
            sys.exit("the download is not whole")
    return time.perf_counter() - begin


def of_first_connection(port: int) -> float:
    """With the proxy not running: systemd starts it for this connection."""
    subprocess.run(["systemctl", "stop", PROXY], check=True)
    return of_new_connection(port)


MEASURES = {
    "new connection and request": (of_new_connection, 200),
    "request on an open connection": (of_open_connection, 20),
    f"download of {SIZE >> 20} MiB": (of_download, 7),
}


def main() -> None:
    for port in PORTS.values():  # the first warms caches, loads modules and starts the proxy
        of_download(port)
    found: dict[str, dict[str, float]] = {}
    for measure, (take, rounds) in MEASURES.items():
        taken: dict[str, list[float]] = {name: [] for name in PORTS}
        for _ in range(rounds):
            # In another order each time: what one leaves to be cleaned up is not always the next's.
            for name in random.sample(list(PORTS), len(PORTS)):
                taken[name].append(take(PORTS[name]))
        found[measure] = {name: statistics.median(each) for name, each in taken.items()}
    first = [of_first_connection(PORTS["wgconfine publish"]) for _ in range(5)]
    found["first connection, which starts the proxy"] = {
        "wgconfine publish": statistics.median(first)
    }
    print(json.dumps(found))


if sys.argv[1:] == ["prepare"]:
    write_services()
else:
    main()
