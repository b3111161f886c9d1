"""A tree of the 1.x dialect to one of the 2.x dialect, by the table of keys (rule 3).

Values keep file, line and the key as it was written, so that errors speak of what stands there.
"""

from mmm.config.key import LETTERS, Key, Old
from mmm.config.keys import OLD, OLD_BLOCKS, OLD_IGNORED, SECTIONS
from mmm.config.kinds import did_you_mean, suggestion
from mmm.config.names import Program
from mmm.config.tree import Block, Fault, Problem, Tree, Value
from mmm.config.unknown import section_problem


def translated(old: Tree, program: Program) -> Tree:
    """Return `old` with the sections and keys of the 2.x dialect; what is unknown stays as it is."""
    new = Tree(old.file, 1, old.files, old.problems)
    new.incomplete = old.incomplete
    new.overwritten = old.overwritten
    new.block("top", "", old.file, 0)
    for block in old.blocks.values():
        if block.type != "top":
            _block(block, new, program)
    for value in old.values("top").values():
        _global(value, old, new, program)
    if program in {"MONITOR", "CONTROL"}:
        new.block("monitor", "", old.file, 0)
    if program == "AGENT":
        _masters(new)
    new.opened = set(old.opened)
    if program == "MONITOR":
        _mails(old, new)
    return new


def _block(block: Block, new: Tree, program: Program) -> None:
    kind = block.type
    if kind not in SECTIONS:
        problem, meant = section_problem(block, 1)
        if problem is not None:
            new.problems.append(Problem(block.file, block.line, problem))
        if meant not in OLD_BLOCKS:
            return
        kind = meant
    target = new.block(kind, block.name, block.file, block.line).values
    for value in block.values.values():
        meanings = OLD.get((kind, value.key))
        if meanings is None:
            target[value.key] = value
            continue
        for old, _, key in meanings:
            if LETTERS[program] in old.programs:
                target.pop(key.name, None)
                target[key.name] = _renamed(value, old, key, new)


def _global(value: Value, tree: Tree, new: Tree, program: Program) -> None:
    if value.key in OLD_IGNORED:
        return
    meanings = OLD.get(("top", value.key))
    if meanings is None:
        new.values("top")[value.key] = value
        return
    for old, section, key in meanings:
        if LETTERS[program] not in old.programs:
            continue
        renamed = _renamed(value, old, key, new)
        if old.this_host:
            this = tree.values("top").get("this")
            if this:
                new.values("host", this.text).setdefault(key.name, renamed)
        else:
            name = "default" if section.template else ""
            new.block(section.name, name, value.file, value.line).values[key.name] = renamed


def _renamed(value: Value, old: Old, key: Key, tree: Tree) -> Value:
    """Return the value as the model calls it."""
    words = dict(old.values)
    if not words:
        return value
    word = words.get(value.text.lower())
    if word is None and value.text not in key.choices:
        near = suggestion(value.text, words)
        todo = did_you_mean(near, Fault("write_word", {"words": " or ".join(words)}))
        about = {"key": value.key, "text": value.text, "todo": todo}
        tree.problems.append(value.problem(Fault("not_such_a_word", about)))
        word = key.choices[0]
    return value._replace(text=word or value.text)


def _masters(tree: Tree) -> None:
    """Say which hosts are masters: in the agents' files `mode` and `peer` speak of one host only."""
    this = tree.values("top").get("this")
    mine = tree.values("host", this.text) if this else {}
    peer = mine.get("peer")
    for (kind, name), block in tree.blocks.items():
        if kind != "host" or name == "default" or "mode" in block.values:
            continue
        is_peer = peer is not None and name == peer.text
        if this and peer and is_peer:
            block.values.setdefault("peer", peer._replace(text=this.text))
        mode = "master" if is_peer or "peer" in block.values else "slave"
        block.values["mode"] = Value("mode", mode, block.file, block.line)


def _mails(old: Tree, new: Tree) -> None:
    """Have the address in a `log` block get mails, as from the sender in the `email` block; `level` says of what."""
    sender = next((block.values for (kind, _), block in old.blocks.items() if kind == "email"), {})
    address, name = (sender.get(key) for key in ("from_address", "from_name"))
    for (kind, log), block in old.blocks.items():
        to = block.values.get("email") if kind == "log" else None
        if to is None or not to.text:
            continue
        target = new.block("notify", log, to.file, to.line).values
        target["mail_to"] = to._replace(key="email")
        level = block.values.get("level")
        if level is not None and level.text.lower() in _GRAVE:
            target["events"] = level._replace(text=_GRAVE_EVENTS)
        if address is not None and address.text:
            text = f"{name.text} <{address.text}>" if name is not None and name.text else address.text
            target["mail_from"] = address._replace(text=text)


_GRAVE = frozenset({"error", "fatal"})
"""Levels of the 1.x dialect at which no mail tells of what is good or planned."""
_GRAVE_EVENTS = "state.HARD_OFFLINE, state.REPLICATION_*, loss"
