"""Tunnels that go through another one: what is left to them when that one changes."""

from __future__ import annotations

import os

from wgconfine.runtime import link, paths
from wgconfine.runtime.failure import Failure, step, warn
from wgconfine.runtime.lock import Lock
from wgconfine.runtime.namespace import Visit
from wgconfine.runtime.process import Running, run
from wgconfine.runtime.record import installed, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wgconfine.runtime.record import Record


def follow(name: str) -> None:
    """Give every tunnel through this one the MTU that it leaves; its own lock must be free.

    It may have come up after them, or learned the way to its own endpoint since.
    """
    for record in through(name):
        try:
            changed = fit(record, name)
        except (Failure, OSError) as failure:  # what the one lacks must not stop the other
            warn(f"tunnel {record.name}: {failure}")
            continue
        if changed:
            follow(record.name)


def through(name: str) -> Iterator[Record]:
    """Give the installed tunnels whose `via` this is."""
    for other in installed():
        try:
            record = load(other)
        except Failure:
            continue  # its own units say so
        if record.via == name and other != name:
            yield record


def fit(record: Record, via: str) -> bool:
    """Set the MTU of a tunnel that is up, unless it is declared; tells whether it was another."""
    with Lock(record.name):
        if not os.path.exists(f"{paths.tunnel_state(record.name)}/{paths.DECLARED}"):
            return False
        conf = link.declared(record.name)
        with Visit(via):
            _, output, _ = Running("ip", "link", "show", "dev", paths.LINK).wait()
        path_mtu = link.mtu_of_routes(output)
        if conf.mtu is not None or path_mtu is None:
            return False
        mtu = link.mtu_of(conf, path_mtu, via=True)
        with Visit(record.name):
            if link.mtu_of_routes(run("ip", "link", "show", "dev", paths.LINK)) == mtu:
                return False
            step(f"ip link set dev {paths.LINK} mtu {mtu}")
            run("ip", "link", "set", "dev", paths.LINK, "mtu", str(mtu))
    return True
