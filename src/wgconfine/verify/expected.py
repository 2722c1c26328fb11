"""What a tunnel was configured with, and whether its settings and .conf still say so."""

from dataclasses import dataclass, field
from pathlib import Path

from wgconfine.config import wgquick
from wgconfine.config.conf import Conf
from wgconfine.model.settings import TunnelName
from wgconfine.runtime import firewall, link, paths
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.record import Record, load, read_declared

__all__ = ["Expected", "read_expected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """NAME.json, and the configuration that is in force; `record` is None where it is damaged.

    `conf` has no key; it is None before the tunnel is up. `policy` is what its firewall was made
    from, and lets nothing through before. `source` tells how the configuration of
    now compares with it: "same", "changed", "absent" (a .conf may be there at a start alone) or
    "wrong"; `why` says more. `in_force` says whether the tunnel was configured by this NAME.json.
    """

    record: Record | None
    conf: Conf | None = None
    policy: firewall.Policy = field(default_factory=firewall.Policy)
    source: str = "same"
    why: str = ""
    in_force: bool = True


def read_expected(name: TunnelName) -> Expected:
    """Read what the runtime left and what it would read now. Keeps no secret."""
    try:
        record = load(name)
    except Failure as failure:
        return Expected(record=None, why=str(failure))
    state = Path(paths.tunnel_state(name))
    try:
        text = (state / paths.DECLARED).read_text(encoding="utf-8")
        conf = wgquick.parse(text, str(state / paths.DECLARED), need_private_key=False)
        digest = (state / paths.IN_FORCE).read_text(encoding="utf-8")
    except (OSError, ValueError, wgquick.ConfError) as error:
        return Expected(record=record, why=str(error))
    conf.listen_port, conf.fwmark = record.listen_port, record.fwmark
    source, why = compare_source(record, text)
    return Expected(
        record=record,
        conf=conf,
        policy=read_policy(state, conf),
        source=source,
        why=why,
        in_force=digest == record.digest,
    )


def read_policy(state: Path, conf: Conf) -> firewall.Policy:
    """Put together what the firewall was made from; an earlier version left no list of ports."""
    path = state / paths.PORTS
    ports = path.read_text(encoding="utf-8") if path.exists() else ""
    declared = firewall.parse_declaration(ports)
    return firewall.Policy(resolvers=conf.dns, addresses=conf.addresses, **declared)


def compare_source(record: Record, text: str) -> tuple[str, str]:
    """Tell whether what the runtime would read now is what it read."""
    if record.config_credential is not None:
        return "absent", "it is a credential, which systemd hands over at a reload alone"
    try:
        now = read_declared(record)
    except Failure as failure:
        missing = isinstance(failure.__cause__, FileNotFoundError)
        return "absent" if missing else "wrong", str(failure)
    return "same" if link.declaration(now) == text else "changed", ""
