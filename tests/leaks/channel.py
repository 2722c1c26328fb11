"""What a channel is: one way by which a confined service may get something out, and its words."""

from dataclasses import dataclass
from enum import StrEnum


class Form(StrEnum):
    """How a service is confined."""

    RECIPE = "recipe"
    BASELINE = "baseline"
    STRICT = "strict"


class Outcome(StrEnum):
    """What became of a channel's token, as the world around the service saw it."""

    LEAK = "leaks"
    """Seen on the host's uplink, outside of any tunnel."""
    ISP = "isp"
    """Asked of the host's own resolver, through the tunnel: the wrong one learns the name."""
    HOST = "host"
    """Seen in the host: a link, a port or a reply that belongs to its namespaces."""
    TUNNEL = "tunnel"
    """Seen inside the tunnel and nowhere else."""
    NOTHING = "closed"
    """Seen nowhere, though the probe ran."""
    REFUSED = "refused"
    """`wgconfine plan` refuses the unit by name."""


OUT = frozenset({Outcome.LEAK, Outcome.ISP, Outcome.HOST})
"""The outcomes that are a leak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One way out, tried by the same probe in a service of each form.

    The token is `$MARK`, eight hexadecimal digits of its own for each service; `$NAME` is a host
    name with it. Scripts of the host run as root under bash and see `$UNIT`, the service's name
    without its suffix, in `prepare` for each form.
    """

    name: str
    title: str
    """What it is, in the table's words."""
    why: str
    """Why the recipe leaks, or does not."""
    closed: str
    """What closes it under wgconfine."""
    probe: str
    """Run as the service once everything is in place: Python if it begins with `import`."""
    facts: tuple[str, ...] = ()
    """Numbers of the measured facts that it shows."""
    unit: str = "User=games\n"
    """Lines of [Service] of the owner's unit: the same in each form."""
    masks: str = ""
    """Lines of [Service] by which peers of wgconfine close it: the recipe's form alone."""
    files: tuple[tuple[str, str], ...] = ()
    """Other units of the owner's, by name and text; `{unit}` and `{number}` are filled in."""
    prepare: str = ""
    """On the host before the service starts."""
    early: str = ""
    """Run as the service as soon as it starts, before `meanwhile`."""
    meanwhile: str = ""
    """On the host while the services of every form run; once."""
    trace: str = ""
    """On the host after the probe: a token in what it says has come out."""
    recipe: frozenset[Outcome] = OUT
    """What the control must show, on every systemd."""
    since: int = 0
    """The systemd that brought it: with an older one the control shows nothing."""
    wave: int = 1
    """Services start, and their probes run, wave by wave: a later one spoils what masks rest on."""
    minute: bool = False
    """Its effect comes at the next full minute."""
    open_first: bool = False
    """The service runs in the open before it is confined."""
    open: frozenset[Form] = frozenset()
    """The forms of ours that leak, too: it is not closed there, and the table says so."""
    essential: bool = False
    """Tried by every run on every systemd, where others are tried on one alone."""

    def control(self, systemd: int) -> frozenset[Outcome]:
        """What the control must show with a version of systemd."""
        return self.recipe if systemd >= self.since else frozenset({Outcome.NOTHING})
