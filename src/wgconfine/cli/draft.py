"""A tunnel that `init` is about to make: what was said and asked, as settings and a .conf."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wgconfine.cli.dialogue import complain
from wgconfine.cli.introduction import read_from
from wgconfine.cli.named import fitting, refusal, there
from wgconfine.cli.questions import (
    ask_conf,
    ask_name,
    ask_ports,
    ask_resolvers,
    ask_services,
)
from wgconfine.config.check import check_conf, decode_conf, parse_conf
from wgconfine.config.conf import Conf
from wgconfine.config.confcopy import ConfCopy, copy_conf
from wgconfine.config.escape import escape, quote
from wgconfine.config.places import place_of
from wgconfine.config.ports import read_publish_text
from wgconfine.config.settings import parse_settings
from wgconfine.config.starter import Answers, starter_settings
from wgconfine.config.values import WrongValueError, read_resolver, read_tunnel_name
from wgconfine.model.errors import OperationFailed, ProblemsFound, Refused
from wgconfine.model.settings import Refinement, Settings, TunnelName, UnitName
from wgconfine.model.units import UnitFacts
from wgconfine.plan.desired import check_service
from wgconfine.runtime.failure import Failure
from wgconfine.runtime.trusted import read_trusted
from wgconfine.system.installed import LIVE
from wgconfine.system.offers import (
    conf_files,
    known_services,
    read_foreign,
    running_services,
    tcp_ports,
    twins,
)
from wgconfine.system.sources import PLACE, load_all, problem_of, read_text

__all__ = ["Draft", "Wanted", "draft_of", "read_publish", "read_resolvers", "read_source"]

NO_RESOLVERS = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was said on the command line; None and empty for what was not."""

    conf: str | None = None
    name: str | None = None
    services: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    in_place: bool = False
    yes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A provider's .conf that was read; `copy` is what is kept of it."""

    path: PurePosixPath
    copy: ConfCopy
    conf: Conf


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A tunnel that is not there yet, and the text of its settings.

    `data` is what its .conf, at `conf`, is going to have in it; None where that is there already.
    """

    settings: Settings
    text: str
    conf: PurePosixPath
    data: bytes | None

    def is_there(self) -> bool:
        """Tell whether these very settings are there: an earlier run was cut off, or was it."""
        try:
            return read_text(LIVE, self.settings.path) == self.text
        except ProblemsFound:
            return False

    def written(self) -> dict[PurePosixPath, bytes]:
        """The secret files that come with it."""
        return {} if self.data is None else {self.conf: self.data}


def draft_of(wanted: Wanted, *, may_ask: bool) -> Draft:
    """Put a tunnel together, and ask for what was not said if that may be; writes nothing.

    Raises Refused for what is missing or no name of anything, OperationFailed for a .conf that
    can't be read, and ProblemsFound for one that is wrong.
    """
    tunnels = load_all(LIVE)  # where other settings are wrong nothing can be applied
    taken = {each.name for each in tunnels}
    source = read_source(conf_of(wanted, may_ask=may_ask), in_place=wanted.in_place)
    complain(*read_from(place_of(source.path), source.conf, source.copy.left_out))
    complain(
        *(
            f"warning: {unit} has a link up with the same key, and two with one key cut each other "
            f"off. Take it down: systemctl disable --now {unit}"
            for unit in twins(source.conf.private_key or "")
        )
    )
    name = name_of(wanted, source, taken, may_ask=may_ask)
    dns = resolvers_of(wanted, source, may_ask=may_ask)
    services = services_of(wanted, [each for each in tunnels if each.name != name], may_ask=may_ask)
    answers = Answers(
        name=name,
        conf=source.path if wanted.in_place else PLACE / f"{name}.conf",
        services=services,
        publish=ports_of(wanted, services, may_ask=may_ask),
        dns=dns,
        offered=tuple(source.conf.dns),
        listen_port=source.copy.listen_port,
    )
    draft = composed(source, answers)
    if name in taken and not draft.is_there():
        raise Refused(
            f"There is a tunnel {name} already, with other settings. More services go into it by: "
            f"wgconfine confine {name} UNIT"
        )
    return draft


def conf_of(wanted: Wanted, *, may_ask: bool) -> Path:
    if wanted.conf is not None:
        return Path(wanted.conf)
    found = conf_files()
    if may_ask:
        return ask_conf(found)
    seen = f" There are: {', '.join(escape(str(each)) for each in found)}" if found else ""
    raise Refused(f"Which .conf? Say it: wgconfine init CONF --name NAME.{seen}")


def read_source(path: Path, *, in_place: bool) -> Source:
    """Read a .conf. One that stays where it is must be as safe there as the tunnel wants it."""
    absolute = PurePosixPath(os.path.normpath(path.absolute()))
    where = place_of(absolute)
    try:
        data = read_trusted(str(absolute), secret=True) if in_place else read_foreign(path)
    except Failure as failure:
        raise ProblemsFound([problem_of(failure)]) from None
    except OSError as error:
        hint = "Name the file for WireGuard that your provider gave you."
        raise OperationFailed(where, error.strerror or str(error), hint) from None
    text = decode_conf(absolute, data)
    copy = ConfCopy(text=text, left_out=(), listen_port=None) if in_place else copy_conf(text)
    return Source(path=absolute, copy=copy, conf=parse_conf(absolute, copy.text.encode()))


def name_of(wanted: Wanted, source: Source, taken: Collection[str], *, may_ask: bool) -> TunnelName:
    def read(text: str) -> TunnelName:
        name = read_tunnel_name(text)
        if name in taken and wanted.name is None:
            raise WrongValueError(f"there is a tunnel {quote(name)} already")
        target = PLACE / f"{name}.conf"
        if not wanted.in_place and os.path.lexists(target) and not is_left_over(target, source):
            raise WrongValueError(f"there is a file {target} already", "Choose another name")
        return name

    if wanted.name is not None:
        try:
            return read(wanted.name)
        except WrongValueError as error:
            raise refusal(error, "--name:") from None
    if may_ask:
        return ask_name(source.path.stem, read)
    raise Refused("What shall the tunnel be called? Say it: --name NAME.")


def is_left_over(target: PurePosixPath, source: Source) -> bool:
    """Tell whether it is the very copy that is to be made: an earlier run was cut off there."""
    try:
        return read_trusted(str(target), secret=True) == source.copy.text.encode()
    except Failure:
        return False


def resolvers_of(wanted: Wanted, source: Source, *, may_ask: bool) -> tuple[str, ...] | None:
    """Give the resolvers of the settings; None where the .conf names some itself."""
    if wanted.dns:
        try:
            return read_resolvers(wanted.dns)
        except WrongValueError as error:
            raise refusal(error, "--dns:") from None
    if source.conf.dns:
        return None
    if may_ask:
        return ask_resolvers(read_resolvers)
    raise Refused(
        f"{place_of(source.path)} names no DNS, and the host's resolver is never used. Say which: "
        "--dns ADDRESS with the provider's, or --dns none for services that look no name up."
    )


def read_resolvers(words: Iterable[str]) -> tuple[str, ...]:
    """Read addresses, or the word `none` alone. Raises WrongValueError."""
    given = tuple(words)
    if given == (NO_RESOLVERS,):
        return ()
    return tuple(str(read_resolver(each)) for each in given)


def services_of(
    wanted: Wanted, tunnels: Iterable[Settings], *, may_ask: bool
) -> tuple[UnitName, ...]:
    homes = {unit: each.name for each in tunnels for unit in each.services}

    def read(words: Iterable[str]) -> tuple[UnitName, ...]:
        known = known_services(LIVE)
        facts = there(LIVE, fitting(tuple(words), known), known)
        for unit in facts:
            if unit in homes:
                raise Refused(
                    f"{unit} is in the tunnel {homes[unit]} already. Leave it out here, and then "
                    f"move it: wgconfine confine NAME {unit}"
                )
        refuse_units(facts)
        return tuple(facts)

    if wanted.services or not may_ask:
        return read(wanted.services)
    return ask_services(running_services(homes.keys()), read)


def refuse_units(facts: Mapping[UnitName, UnitFacts]) -> None:
    """Raise ProblemsFound for services that can't be confined."""
    problems = [
        problem
        for unit, each in facts.items()
        for problem in check_service(each, Refinement(unit=unit))
    ]
    if problems:
        raise ProblemsFound(problems)


def ports_of(wanted: Wanted, services: tuple[UnitName, ...], *, may_ask: bool) -> tuple[str, ...]:
    if wanted.publish or not may_ask or not (found := tcp_ports(services)):
        try:
            return read_publish(wanted.publish)
        except WrongValueError as error:
            raise refusal(error, "--publish:") from None
    return ask_ports(found, read_publish)


def read_publish(words: Iterable[str]) -> tuple[str, ...]:
    """Give entries of `publish` as they were written, each once. Raises WrongValueError."""
    given = tuple(dict.fromkeys(words))
    for each in given:
        read_publish_text(each)
    return given


def composed(source: Source, answers: Answers) -> Draft:
    """Give the text of the settings, read as `apply` will read it. Raises ProblemsFound."""
    text = starter_settings(answers)
    settings = parse_settings(answers.name, [(PLACE / f"{answers.name}.toml", text)])
    if problems := check_conf(source.conf, settings, source.path):
        raise ProblemsFound(problems)
    there_already = answers.conf == source.path or os.path.lexists(answers.conf)
    data = None if there_already else source.copy.text.encode()
    return Draft(settings=settings, text=text, conf=answers.conf, data=data)
