"""The 1.x dialect: global `KEY VALUE` lines and blocks `TYPE NAME` with values below (rule 3).

A block goes on while lines are indented. Where the first line below its header is not indented, the
indentation was lost in a copy: then it goes on while the keys are ones of such a block, and not ones that the
dialect has outside of blocks alone.
"""

from mmm.config.files import File, Line
from mmm.config.keys import OLD_BLOCKS, old_names, only_global
from mmm.config.tree import Block, Tree, Value


def read_flat(file: File, tree: Tree) -> None:
    """Add what stands in `file` and its includes to `tree`."""
    _Flat(tree).read(file)


class _Flat:
    """All files of a conf: a block may go on behind an include."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.block: Block | None = None
        self.fresh = False
        """The line before was the header of `block`."""
        self.unindented = False
        """The values of `block` have lost their indentation."""

    def read(self, file: File) -> None:
        for position, line in enumerate(file.lines):
            key, _ = line.words()
            if key == "include":
                if line.number in file.includes:
                    self.read(file.includes[line.number])
                continue
            following = file.lines[position + 1] if position + 1 < len(file.lines) else None
            self.line(file.path, line, following)

    def line(self, path: str, line: Line, following: Line | None) -> None:
        key, value = line.words()
        if self.belongs(line, key, value):
            if self.fresh:
                self.unindented = not line.indented
            self.fresh = False
            self.put(self.block, path, line)
        elif not line.indented and _is_header(key, value, following):
            self.block = self.tree.block(key, value, path, line.number)
            self.fresh, self.unindented = True, False
        else:
            if not (self.unindented and _is_typo(key)):
                self.block = None
            self.put(self.tree.block("top", "", path, 0), path, line)

    def put(self, block: Block | None, path: str, line: Line) -> None:
        key, value = line.words()
        if block is not None:
            self.tree.put(block, Value(key, value, path, line.number))

    def belongs(self, line: Line, key: str, value: str) -> bool:
        if self.block is None:
            return False
        if line.indented:
            return True
        if key in OLD_BLOCKS and "@" not in value:
            return False
        if not (self.fresh or self.unindented) or key in only_global(self.block.type):
            return False
        known = old_names(self.block.type)
        return key in known if known else key not in old_names("top")


def _is_header(key: str, value: str, following: Line | None) -> bool:
    """Tell whether `key value` opens a block: by its type, or, for a misspelt one, by what stands below."""
    if key in OLD_BLOCKS:
        return True
    below = following is not None and following.indented
    return below and bool(value) and len(value.split()) == 1 and key not in old_names("top")


def _is_typo(key: str) -> bool:
    """Tell whether a key is no global one either, so that it does not end a block."""
    return key not in old_names("top")
