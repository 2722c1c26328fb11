"""`python -m lab shell [RELEASE]`: a shell in a container with an internet of its own."""

import argparse
import subprocess
import sys
from pathlib import Path

from lab.container import Container
from lab.debian import RELEASES
from lab.layers import build_wheelhouse
from lab.world import boot_container


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    commands = parser.add_subparsers(required=True)
    shell = commands.add_parser("shell")
    shell.add_argument("release", nargs="?", default="trixie", choices=RELEASES)
    shell.add_argument(
        "--install", type=Path, metavar="REPOSITORY", help="install wgconfine from there"
    )
    arguments = parser.parse_args()

    wheelhouse = build_wheelhouse(arguments.install) if arguments.install else None
    with boot_container(arguments.release, wheelhouse=wheelhouse) as world:
        world.machine.write("/root/provider.conf", world.internet.provider_conf(), mode=0o600)
        print(
            "lab: /root/provider.conf is a WireGuard configuration of this world", file=sys.stderr
        )
        assert isinstance(world.machine, Container)
        return subprocess.call(world.machine.shell())


sys.exit(main())
