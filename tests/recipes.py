"""The fenced blocks of docs/containers.md, which tests write down word for word."""

import re
from pathlib import Path

from lab import World

PAGE = Path(__file__).parents[1] / "docs/containers.md"
BLOCK = re.compile(r"^```ini\n# (?P<path>/\S+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
RECIPES = {found["path"]: found["text"] for found in BLOCK.finditer(PAGE.read_text())}
"""The text of each unit, by the path in its first line."""

QUADLET = "/etc/containers/systemd/web.container"
UNIT = "/etc/systemd/system/web.service"
AS_USER = "/etc/systemd/system/web-user.service"
NSPAWN = "/etc/systemd/system/web-machine.service"

IMAGE = "/srv/image"
ANSWER = "the container's page"

# What runs in the container: the C library of the release, so that look-ups are as in any image.
RUN = """\
#!/bin/busybox sh
trap 'exit 0' TERM
/bin/busybox httpd -p 8080 -h /page
while :; do
  for family in 4 6; do curl -$family -s -m 3 http://web.example.net/; done
  getent ahosts probe-$RANDOM.example.net >/dev/null
  /bin/busybox sleep 0.2
done
"""

BUILD = f"""
mkdir -p {IMAGE}/root/bin {IMAGE}/root/page {IMAGE}/root/etc {IMAGE}/root/usr {IMAGE}/root/tmp
cd {IMAGE}/root
cp /bin/busybox bin/
for program in curl getent; do
    cp /usr/bin/$program bin/
    ldd /usr/bin/$program | grep -o '/[^ ]*' | xargs cp --parents -L -u -t .
done
cp --parents -L /lib/*/libnss_files.so.2 /lib/*/libnss_dns.so.2 .
printf 'hosts: files dns\\n' >etc/nsswitch.conf
printf '%s' "{ANSWER}" >page/index.html
touch etc/resolv.conf
chmod 755 bin/run
printf 'FROM scratch\\nCOPY root /\\nCMD ["/bin/run"]\\n' >{IMAGE}/Containerfile
podman build --tag localhost/web {IMAGE}
podman save --output {IMAGE}/web.tar localhost/web
mkdir -p /var/lib/machines
cp -a {IMAGE}/root /var/lib/machines/web
"""

# Of the lab alone: its root is an overlay, and Podman lays none over another; it has no controllers
# and may raise no limit; mounts lie over its /proc, and where they do a user can't have another.
# With Podman's own sysctls runc happens to refuse the host's namespace, and the guard has no test.
CONFIGURE = """
mkdir -p /etc/containers
cat >/etc/containers/storage.conf <<END
[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
END
limits=$(for limit in nofile nproc; do
    hard=$(prlimit --pid 1 --raw --noheadings --output HARD --$limit | tr -d ' ')
    printf '"%s=%s:%s",' $limit $hard $hard
done)
cat >/etc/containers/containers.conf <<END
[containers]
pids_limit = 0
pidns = "host"
default_ulimits = [$limits]
$(command -v crun >/dev/null || echo 'default_sysctls = []')
END
"""


def packages(release: str) -> tuple[str, ...]:
    """Give what the recipes need: with 1.8 of bookworm, crun wants to raise a limit."""
    return ("podman", "runc" if release == "bookworm" else "crun", "systemd-container", "uidmap")


def prepare(world: World) -> None:
    """Build the image `localhost/web` of what the machine has; nothing is fetched."""
    world.machine.sh(CONFIGURE)
    world.machine.write(f"{IMAGE}/root/bin/run", RUN)
    world.machine.sh(BUILD, timeout=300)
