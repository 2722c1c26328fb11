"""The settings of a new tunnel, with comments that teach: answers in, the text of NAME.toml out."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import fspath
from pathlib import PurePosixPath

import tomlkit

from wgconfine.model.settings import TunnelName, UnitName

__all__ = ["PUBLISH_OFFER", "Answers", "starter_settings"]

PUBLISH_OFFER = '# publish = ["8080"]'
"""The line that stands where there is no `publish` yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What somebody wants of a new tunnel; `dns` is None where the `.conf` decides.

    `offered` are the resolvers of the `.conf`, `listen_port` is the port that it names.
    """

    name: TunnelName
    conf: PurePosixPath
    services: tuple[UnitName, ...] = ()
    publish: tuple[str, ...] = ()
    dns: tuple[str, ...] | None = None
    offered: tuple[str, ...] = ()
    listen_port: int | None = None


def starter_settings(answers: Answers) -> str:
    """Give the text: what was answered, and each other line that people ask for as a comment."""
    parts = [_heading(answers), _services(answers), _publish(answers), _dns(answers)]
    parts.append(_rest(answers))
    return "\n".join(parts)


def _heading(answers: Answers) -> str:
    return f"""\
# The tunnel {answers.name}: the file's name is the tunnel's name.
# After a change here "wgconfine plan" says what it would do, and "wgconfine apply" does it.

# What the provider gave you for wg-quick. It is read each time the tunnel starts or reloads.
# For another server put its .conf here instead: systemctl reload wgconfine@{answers.name}
config = {_string(fspath(answers.conf))}
"""


def _services(answers: Answers) -> str:
    return f"""\
# These run inside the tunnel or not at all. One that is only taken out of here stays closed:
# wgconfine release UNIT lets it go. To add one: wgconfine confine {answers.name} UNIT
services = {_array(answers.services)}
"""


def _publish(answers: Answers) -> str:
    line = f"publish = {_array(answers.publish)}" if answers.publish else PUBLISH_OFFER
    return f"""\
# Ports of theirs that this machine can connect to: "8080" is 127.0.0.1:8080 and [::1]:8080.
# For the LAN: {{ listen = "192.168.1.10:8080", to = 8080, from = ["192.168.1.0/24"] }}
{line}
"""


def _dns(answers: Answers) -> str:
    shown = _list(answers.offered or ("10.64.0.1",))
    line = f"# dns = {shown}" if answers.dns is None else f"dns = {_list(answers.dns)}"
    return f"""\
# The resolvers of the services, asked through the tunnel alone, in the place of DNS in the .conf.
{line}
"""


def _rest(answers: Answers) -> str:
    port = answers.listen_port or 51820
    return f"""\
# Ports that the far side of the tunnel may connect to, such as those that a provider forwards.
# inbound = {{ tcp = [51413], udp = [51413] }}

# The local UDP port of WireGuard, where the other end calls this one.
# listen-port = {port}
"""


def _string(text: str) -> str:
    return tomlkit.item(text).as_string()


def _list(items: Sequence[str]) -> str:
    return f"[{', '.join(map(_string, items))}]"


def _array(items: Sequence[str]) -> str:
    """One line for each item, so that each may have a comment and a difference is easy to read."""
    if not items:
        return "[]"
    return "[\n" + "".join(f"  {_string(item)},\n" for item in items) + "]"
