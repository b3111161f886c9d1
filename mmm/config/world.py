"""The conf while it is checked: own values, else those of `default`, else the table's."""

from collections.abc import Callable
from typing import Any, NamedTuple

from mmm.config.keys import KEYS, LETTERS, SECTIONS, Key, Section
from mmm.config.kinds import convert
from mmm.config.names import Program
from mmm.config.sections import opening
from mmm.config.tree import Block, Problem, Tree, Value
from mmm.config.unknown import key_problem, section_problem


class Setting(NamedTuple):
    """A value of the right kind, and the line it stands at; None: it is the default."""

    value: Any
    source: Value | None


Settings = dict[str, Setting]


class World:
    """All settings by type and name of their section; problems are collected in the tree."""

    def __init__(self, tree: Tree, program: Program, cluster: str, unreadable: Callable[[str], str]) -> None:
        self.tree = tree
        self.program = program
        self.letter = LETTERS[program]
        self.suffix = f"_{cluster}" if cluster else ""
        self.unreadable = unreadable
        """Says why a file cannot be read; empty when it can be."""
        self.warnings: list[str] = []
        self.sections: dict[str, dict[str, Settings]] = {kind: {} for kind in SECTIONS}
        self.places: dict[tuple[str, str], tuple[str, int]] = {}
        """File and line at which a section is first written, by type and name."""
        self._written: dict[tuple[str, str], Settings] = {}
        self._fill()

    def __getitem__(self, kind: str) -> dict[str, Settings]:
        return self.sections[kind]

    def value(self, kind: str, name: str, key: str) -> Any:
        """Return the value of a key, None when it is not set."""
        setting = self.sections[kind].get(name, {}).get(key)
        return setting.value if setting else None

    def wrong(self, source: Value | None, text: str) -> None:
        """Note a problem of the line that a value stands at."""
        self.tree.problems.append(source.problem(text) if source else Problem(self.tree.file, 0, text))

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
        return settings

    def _converted(self, section: Section, block: Block) -> Settings:
        settings: Settings = {}
        for name, value in block.values.items():
            key = KEYS[section.name].get(name)
            if key is None or (key.kind == "ignored" and self.tree.dialect == 2):
                if section.keys:
                    problem, meant = key_problem(section, value, self.tree.dialect)
                    self.wrong(value, problem)
                    settings.setdefault(meant, Setting(None, value))
                continue
            if key.kind == "ignored":
                continue
            try:
                settings[name] = Setting(convert(key._replace(name=value.key), value.text), value)
            except ValueError as e:
                self.wrong(value, str(e))
                settings[name] = Setting(None, value)
        return settings
