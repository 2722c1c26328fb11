"""The units of a tree of files, found as systemd would find them there: for `render` and `--root`.

Follows systemd.unit(5), "Unit file load path", and unit_file_build_name_map() of systemd.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from wgconfine.model.settings import UnitName
from wgconfine.model.units import Assignment, UnitFacts, UnitText
from wgconfine.plan.commandline import split_words
from wgconfine.plan.settled import expand
from wgconfine.plan.unitfile import (
    SEARCH_PATH,
    build_facts,
    dropin_names,
    parse_unit,
    sort_dropins,
    template_of,
)
from wgconfine.system.rooted import RootedFiles
from wgconfine.system.transient import TRANSIENT
from wgconfine.system.unitstates import read_texts

__all__ = ["UnitSearch", "find_facts"]

_USER_PATH = tuple(
    PurePosixPath(directory)
    for directory in (
        "/etc/systemd/user",
        "/run/systemd/user",
        "/usr/local/lib/systemd/user",
        "/usr/local/share/systemd/user",
        "/usr/lib/systemd/user",
        "/usr/share/systemd/user",
    )
)
_NULL = PurePosixPath("/dev/null")
_TRIGGERS = {"socket": ("Socket", "Service"), "timer": ("Timer", "Unit"), "path": ("Path", "Unit")}
_WITH_NAMESPACES = (".service", ".socket", ".mount", ".swap")
_MOST_ALIASES = 8


def find_facts(root: Path, names: Iterable[UnitName]) -> dict[UnitName, UnitFacts]:
    """The facts of each unit, by the name it was asked by, from the files below `root` alone.

    A socket that is there and not masked counts as one that starts its service, enabled or not:
    whether it will be is not known of a tree. Raises OperationFailed for a file it may not read.
    """
    search = UnitSearch(RootedFiles(root))
    return {name: search.facts(name) for name in names}


class UnitSearch:
    """The unit files of one system. What was listed once is not listed again."""

    def __init__(self, files: RootedFiles) -> None:
        self._files = files

    def facts(self, name: UnitName) -> UnitFacts:
        """What is known of one unit; `facts.name` is what an alias stands for."""
        load_state, names, main = self._fragment(name)
        identifier = names[-1]
        texts: tuple[UnitText, ...] = ()
        if main is not None:
            names = (*names, *self._aliases_of(identifier))
            texts = tuple(self._texts(main, identifier, names))
        return build_facts(
            name=UnitName(identifier),
            load_state=load_state,
            names=names,
            texts=texts,
            triggered_by=self.triggers_of(names),
            joined=self.joiners_of(names),
            user_unit=load_state == "not-found" and self.is_user_unit(name),
        )

    def transient(self, name: UnitName, text: str) -> UnitFacts:
        """What would be known of a unit without a file, that systemd is told `text` of."""
        main = UnitText(path=PurePosixPath(TRANSIENT, name), text=text)
        dropins = self.read(sort_dropins(self._dropins((name,))))
        return build_facts(
            name=name,
            load_state="loaded",
            names=(name,),
            texts=(main, *dropins),
            joined=self.joiners_of((name,)),
        )

    def services(self) -> Iterator[UnitName]:
        """The services that have a file, but for templates: of those instances are services."""
        for name in self._found:
            if name.endswith(".service") and not _is_template(name):
                yield UnitName(name)

    def is_user_unit(self, name: str) -> bool:
        """Whether the name, or its template, is among the user units."""
        return any(
            candidate in self._files.listed(directory)
            for directory in _USER_PATH
            for candidate in (name, template_of(name))
        )

    def read(self, paths: Iterable[PurePosixPath]) -> Iterator[UnitText]:
        """The texts of those that are there; raises OperationFailed for one that cannot be read."""
        yield from read_texts(self._files, paths)

    @cached_property
    def _listed(self) -> dict[PurePosixPath, dict[str, None]]:
        """The names in each directory of the search path, sorted."""
        return {each: dict.fromkeys(self._files.listed(each)) for each in SEARCH_PATH}

    @cached_property
    def _found(self) -> dict[str, PurePosixPath]:
        """Of each name in the search path the first."""
        found: dict[str, PurePosixPath] = {}
        for directory in SEARCH_PATH:
            for name in self._listed[directory]:
                if not name.endswith((".d", ".wants", ".requires", ".upholds")):
                    found.setdefault(name, directory / name)
        return found

    @cached_property
    def _links(self) -> dict[str, str]:
        """What each name that is a link to another name points to."""
        links: dict[str, str] = {}
        for name, path in self._found.items():
            target = self._target(path)
            if target is not None and target.name != name and target != _NULL:
                links[name] = target.name
        return links

    def _target(self, path: PurePosixPath) -> PurePosixPath | None:
        parent = self._files.resolve(path.parent)
        return None if parent is None else self._files.link_target(parent / path.name)

    def _fragment(self, name: str) -> tuple[str, tuple[str, ...], PurePosixPath | None]:
        """Load state, the names on the way to the last one (an alias has several), and the file."""
        names = [name]
        for _ in range(_MOST_ALIASES):
            file_name = name if name in self._found else template_of(name)
            if file_name is None or file_name not in self._found:
                return "not-found", tuple(names), None
            target = self._links.get(file_name)
            if target is None or _instance_of(target, name) == name:
                return self._loaded(self._found.get(target or file_name), names)
            name = _instance_of(target, name)
            names.append(name)
        return "error", tuple(names), None

    def _loaded(
        self, path: PurePosixPath | None, names: list[str]
    ) -> tuple[str, tuple[str, ...], PurePosixPath | None]:
        texts = list(self.read([path])) if path is not None else []
        if not texts:
            return "not-found", tuple(names), None
        if not texts[0].text:  # empty, or a link to /dev/null
            return "masked", tuple(names), None
        return "loaded", tuple(names), path

    def _aliases_of(self, name: str) -> Iterator[str]:
        for alias, target in self._links.items():
            if target == name:
                yield alias
            elif target == template_of(name) and _is_template(alias):
                yield _instance_of(alias, name)

    def _texts(
        self, main: PurePosixPath, identifier: str, names: Iterable[str]
    ) -> Iterator[UnitText]:
        ordered = dict.fromkeys((identifier, *sorted(names)))
        return self.read((main, *sort_dropins(self._dropins(tuple(ordered)))))

    def _dropins(self, names: tuple[str, ...]) -> Iterator[PurePosixPath]:
        """All drop-ins in falling precedence."""
        suffix = names[0].rpartition(".")[2]
        directories = [
            directory / f"{candidate}.d"
            for name in names
            for directory in SEARCH_PATH
            for candidate in dropin_names(name)
            if f"{candidate}.d" in self._listed[directory]
        ]
        directories += [
            directory / f"{suffix}.d"
            for directory in SEARCH_PATH
            if f"{suffix}.d" in self._listed[directory]
        ]
        for directory in directories:
            for name in self._files.listed(directory):
                if name.endswith(".conf") and not name.startswith("."):
                    yield directory / name

    @cached_property
    def _triggers(self) -> tuple[tuple[str, str], ...]:
        """Each socket, timer and path that is not masked, with the unit that it starts."""
        triggers = []
        for name in self._found:
            section, key = _TRIGGERS.get(name.rpartition(".")[2], ("", ""))
            if not section or name in self._links:
                continue
            _, names, main = self._fragment(name)
            if main is None:
                continue
            started = f"{name.rpartition('.')[0]}.service"
            for text in self._texts(main, name, names):
                for line in parse_unit(text):
                    if (line.section, line.key) == (section, key) and line.value:
                        started = line.value if _is_template(name) else expand(name, line.value)
            triggers.append((name, started))
        return tuple(triggers)

    def triggers_of(self, names: Iterable[str]) -> Iterator[str]:
        """The sockets, timers and paths that start a unit of these names."""
        names = frozenset(names)
        for trigger, started in self._triggers:
            if started in names:
                yield trigger
            for name in names:
                if template_of(name) == started and _is_template(trigger):
                    yield _instance_of(trigger, name)

    @cached_property
    def _joins(self) -> tuple[tuple[str, str], ...]:
        """Each unit that is not masked with each that its JoinsNamespaceOf= names, as written."""
        instances = {
            name.removesuffix(".d")
            for listed in self._listed.values()
            for name in listed
            if name.endswith(".d") and template_of(name.removesuffix(".d")) in self._found
        }
        return tuple(
            (name, word)
            for name in sorted(instances | self._found.keys() - self._links.keys())
            if name.endswith(_WITH_NAMESPACES)
            for line in self._lines(name)
            if (line.section, line.key) == ("Unit", "JoinsNamespaceOf")
            for word in split_words(line.value)
        )

    def _lines(self, name: str) -> Iterator[Assignment]:
        _, names, main = self._fragment(name)
        for text in self._texts(main, name, names) if main is not None else ():
            if "JoinsNamespaceOf" in text.text:  # few have it, and all units are looked at
                yield from parse_unit(text)

    def joiners_of(self, names: Iterable[str]) -> Iterator[str]:
        """The other units whose JoinsNamespaceOf= names one of these."""
        names = frozenset(names)
        for joiner, word in self._joins:
            for unit in _instances_for(joiner, names):
                if expand(unit, word) in names - {unit}:
                    yield unit


def _is_template(name: str) -> bool:
    return "@." in name


def _instances_for(name: str, others: Iterable[str]) -> Iterator[str]:
    """A unit; of a template also the instances that can name one of `others` by a specifier."""
    yield name
    if _is_template(name):
        for other in sorted(others):
            stem = other.rpartition(".")[0]
            for instance in (stem, stem.partition("@")[2]):
                if instance:
                    yield name.replace("@.", f"@{instance}.", 1)


def _instance_of(target: str, name: str) -> str:
    """The template `target` with the instance of `name`; `target` itself if it is no template."""
    if not _is_template(target) or template_of(name) is None:
        return target
    instance = name.partition("@")[2].rpartition(".")[0]
    return target.replace("@.", f"@{instance}.", 1)
