"""The 2.x dialect: `KEY VALUE` lines inside and outside of `<TYPE NAME>` … `</TYPE>` (rule 2).

Only the form is looked at here, not what keys and sections there are. After an error reading goes on, so that
one mistake does not hide the next one.
"""

import re

from mmm.config.files import BLANKS, File, Line
from mmm.config.keys import SECTIONS
from mmm.config.tree import Block, Fault, Problem, Tree, Value

_TAG = re.compile(
    r"< *(?P<end>/?) *(?P<type>[^ <>/]+)(?: +(?P<name>[^<>]*?))? *(?P<empty>/?) *> *(?P<rest>.*)"
)
_AS_SPACE = dict.fromkeys(map(ord, BLANKS), " ")


def read_sections(file: File, tree: Tree) -> None:
    """Add what stands in `file` and its includes to `tree`."""
    _Sections(file, tree).read()


def opening(kind: str, name: str) -> str:
    """Return the tag that opens a section."""
    return f"<{kind} {name}>" if name else f"<{kind}>"


class _Sections:
    """One file. A section begins and ends in the same file."""

    def __init__(self, file: File, tree: Tree) -> None:
        self.file = file
        self.tree = tree
        self.top = tree.block("top", "", file.path, 0)
        self.open: tuple[Block, int] | None = None
        self.unclosed: list[str] = []
        """Types of sections in which another one began: their closing tags may still come."""

    def read(self) -> None:
        for line in self.file.lines:
            if line.text.startswith("<"):
                self.tag(line)
            elif line.text.startswith("include") and line.words()[0] == "include":
                self.include(line)
            else:
                block = self.open[0] if self.open else self.top
                key, value = line.words()
                self.tree.put(block, Value(key, value, self.file.path, line.number))
        if self.open:
            block, number = self.open
            tag = opening(block.type, block.name)
            self.wrong(number, Fault("unclosed", {"tag": tag, "kind": block.type}))

    def wrong(self, number: int, fault: Fault) -> None:
        self.tree.problems.append(Problem(self.file.path, number, fault))

    def include(self, line: Line) -> None:
        if self.open:
            block, number = self.open
            tag = opening(block.type, block.name)
            self.wrong(line.number, Fault("include_inside", {"tag": tag, "line": number}))
        elif line.number in self.file.includes:
            read_sections(self.file.includes[line.number], self.tree)

    def tag(self, line: Line) -> None:
        match = _TAG.fullmatch(line.text.translate(_AS_SPACE))
        if not match:
            self.wrong(line.number, Fault("not_a_tag", {"text": line.text}))
            return
        kind, name = match["type"], (match["name"] or "").strip()
        if match["rest"]:
            self.wrong(line.number, Fault("text_behind_tag", {"text": match["rest"]}))
        if match["end"]:
            self.close(line, kind, name or match["empty"])
            return
        if self.open:
            block, number = self.open
            about = {"outer": opening(block.type, block.name), "line": number, "kind": block.type}
            self.wrong(line.number, Fault("section_inside", {"tag": opening(kind, name), **about}))
            self.unclosed.append(block.type)
        block = self.tree.block(kind, name, self.file.path, line.number)
        self.open = None if match["empty"] else (block, line.number)

    def close(self, line: Line, kind: str, more: str) -> None:
        if more:
            self.wrong(line.number, Fault("closing_tag_with_more", {"kind": kind}))
        if not self.open:
            if kind in self.unclosed:
                self.unclosed.remove(kind)
            else:
                self.wrong(line.number, Fault("closes_nothing", {"kind": kind}))
            return
        block, number = self.open
        if kind != block.type and block.type in SECTIONS:
            about = {"tag": opening(block.type, block.name), "line": number, "open": block.type}
            self.wrong(line.number, Fault("closes_another", {"kind": kind, **about}))
        self.open = None
