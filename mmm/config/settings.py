"""The conf while it is checked: own values, else those of `default`, else the table's."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from mmm.config.dialect2 import opening
from mmm.config.key import LETTERS, Key, Section
from mmm.config.keys import KEYS, SECTIONS
from mmm.config.kinds import UnfitError, convert, note_in
from mmm.config.names import WITNESS, WITNESS_KEYS, Program
from mmm.config.resolve import Resolve, is_host_name, resolved
from mmm.config.tree import Block, Fault, Problem, Tree, Value
from mmm.config.unknown import ELSEWHERE, key_problem, lost_section, meant_default, section_problem

_INCLUDE_MEANT = Fault("meant", {"near": "include"})
"""Said of a misspelt include: what it would have brought is not missing."""


class Setting(NamedTuple):
    """A value of the right kind, and the line it stands at; None: it is the default."""

    value: Any
    source: Value | None


Settings = dict[str, Setting]


class World:
    """All settings by type and name of their section; problems are collected in the tree."""

    def __init__(
        self,
        tree: Tree,
        program: Program,
        cluster: str,
        unreadable: Callable[[str], Fault | str],
        resolve: Resolve | None = None,
    ) -> None:
        self.tree = tree
        self.program = program
        self.letter = LETTERS[program]
        self.suffix = f"_{cluster}" if cluster else ""
        self.unreadable = unreadable
        """Says why a file cannot be read, and what to do; empty when it can be."""
        self.resolve = resolve
        """Finds the addresses of a name; None: names are not taken."""
        self.warnings: list[Problem] = []
        self.sections: dict[str, dict[str, Settings]] = {kind: {} for kind in SECTIONS}
        self.places: dict[tuple[str, str], tuple[str, int]] = {}
        """File and line at which a section is first written, by type and name."""
        self._headless: set[str] = set()
        """Files of which it was said that they open no section."""
        self._written: dict[tuple[str, str], Settings] = {}
        self._fill()

    def __getitem__(self, kind: str) -> dict[str, Settings]:
        return self.sections[kind]

    def value(self, kind: str, name: str, key: str) -> Any:
        """Return the value of a key, None when it is not set."""
        setting = self.sections[kind].get(name, {}).get(key)
        return setting.value if setting else None

    @property
    def servers(self) -> tuple[str, ...]:
        """Return the names of the hosts that have a server."""
        return tuple(name for name in self["host"] if not self.is_witness(name))

    @property
    def lacks_roles(self) -> bool:
        """Tell whether this is an agent's conf without roles, as in MMM 1.x: the monitor's file alone had them."""
        return self.tree.dialect == 1 and self.program == "AGENT" and not self["role"]

    def is_witness(self, name: str) -> bool:
        """Tell whether a host only votes on which monitor leads."""
        return bool(self.value("host", name, "mode") == WITNESS)

    def wrong(self, source: Value | None, fault: Fault) -> None:
        """Note a problem of the line that a value stands at."""
        self.tree.problems.append(source.problem(fault) if source else Problem(self.tree.file, 0, fault))

    def warn(self, source: Value | None, fault: Fault) -> None:
        """Note what to warn of at the line that a value stands at; of a default no place is named."""
        self.warnings.append(source.problem(fault) if source else Problem("", 0, fault))

    def title(self, kind: str, name: str) -> str:
        """Return how a section is written in this dialect."""
        return opening(kind, name) if self.tree.dialect == 2 else f"{kind} {name}".rstrip()

    def spelling(self, section: Section, key: Key) -> tuple[str, str]:
        """Return the type of section and the key to write for `key` in this dialect."""
        if self.tree.dialect == 1:
            for old in key.old:
                if self.letter in old.programs:
                    return old.where, old.name
        return section.name, key.name

    def _fill(self) -> None:
        for block in self.tree.blocks.values():
            problem, meant = section_problem(block, self.tree.dialect)
            if problem:
                self.tree.problems.append(Problem(block.file, block.line, problem))
            if meant:
                name = block.name if SECTIONS[meant].named else ""
                if meant_default(block, meant):
                    name = "default"
                self.places.setdefault((meant, name), (block.file, block.line))
                self._written.setdefault((meant, name), {}).update(self._converted(SECTIONS[meant], block))
        for kind, name in self._written:
            section = SECTIONS[kind]
            if not (section.template and name == "default"):
                self.sections[kind][name] = self._settings(section, name)
        for name in SECTIONS["check"].names:
            self.sections["check"].setdefault(name, self._settings(SECTIONS["check"], name))
        self.sections["top"].setdefault("", self._settings(SECTIONS["top"], ""))

    def _settings(self, section: Section, name: str) -> Settings:
        """Return the settings of one section, in the order of the table."""
        own = self._written.get((section.name, name), {})
        template = self._written.get((section.name, "default"), {}) if section.template else {}
        settings: Settings = {}
        for key in section.keys:
            default = key.default
            if self.tree.dialect == 1 and key.old_default:
                default = key.old_default.format(_cluster=self.suffix)
            setting = own.get(key.name) or template.get(key.name)
            if setting is None and default:
                setting = Setting(convert(key, default), None)
            if setting is not None:
                settings[key.name] = setting
        if section.name == "host" and "mode" in settings and settings["mode"].value == WITNESS:
            return {name: settings[name] for name in WITNESS_KEYS if name in settings}
        return settings

    def _converted(self, section: Section, block: Block) -> Settings:
        settings: Settings = {}
        for name, value in block.values.items():
            key = KEYS[section.name].get(name)
            if key is None or (key.kind == "ignored" and self.tree.dialect == 2):
                if section.keys and not self._is_of_lost_section(section, value):
                    problem, meant = key_problem(section, value, self.tree.dialect)
                    self.wrong(value, problem)
                    self.tree.incomplete |= problem.fields.get("todo") == _INCLUDE_MEANT
                    settings.setdefault(meant, Setting(None, value))
                continue
            if key.kind == "ignored":
                if name in ELSEWHERE:
                    self.warn(value, Fault(ELSEWHERE[name][1], {"key": name}))
                continue
            settings[name] = Setting(self._value(section, key._replace(name=value.key), value), value)
        return settings

    def _is_of_lost_section(self, section: Section, value: Value) -> bool:
        """Tell, and note once a file, whether a key stands alone in a file whose lines with tags are gone."""
        if section.name != "top" or value.file in self.tree.opened:
            return False
        problem = lost_section(value.key, 2)
        if problem and value.file not in self._headless:
            self._headless.add(value.file)
            self.wrong(value, problem)
        return bool(problem)

    def _value(self, section: Section, key: Key, value: Value) -> Any:
        """Return the value that is written; None, after noting why, when it cannot be one."""
        if key.kind == "text" and note_in(value.text).startswith("#"):
            shown = "a ` #`" if key.secret else f"`{note_in(value.text)}`"
            self.warn(value, Fault("comment_in_value", {"key": key.name, "shown": shown}))
        if (key.secret or key.kind == "user") and re.fullmatch("([\"']).*\\1", value.text):
            self.warn(value, Fault("quotes_in_value", {"key": key.name}))
        text = value.text
        try:
            if self.resolve and key.kind in {"ip", "ips"} and self._needs(section):
                text, said = resolved(key.name, text, self.resolve)
                self.warnings += [value.problem(each) for each in said]
            elif key.kind in {"ip", "ips"} and self.program == "CONTROL" and is_host_name(text):
                return ""
            return convert(key, text)
        except UnfitError as error:
            self.wrong(value, error.fault)
            return None

    def _needs(self, section: Section) -> bool:
        """Tell whether this program needs the addresses of a section: mmm_control asks for the monitor's alone."""
        return self.program != "CONTROL" or section.name == "monitor"


def each_of(setting: Setting | None) -> tuple[str, ...]:
    """Return the value, or the values of a list; none where it is not set."""
    if not setting or not setting.value:
        return ()
    return setting.value if isinstance(setting.value, tuple) else (setting.value,)
