"""What to say of sections and keys not in the table: what was probably meant, or where it belongs."""

from mmm.config.dialect2 import opening
from mmm.config.keys import KEYS, OLD, SECTIONS, Section, old_names
from mmm.config.kinds import did_you_mean, is_name, sample, suggestion
from mmm.config.tree import Block, Value

ELSEWHERE = {
    "replication_channel": "named connections are not supported, replication has the default one; delete it",
    "parent_role": "a role does not follow another one; delete it, and write in `hosts` who may hold this role",
}
"""What is known by name, though it is no key, and what to do about it."""


def meant_default(block: Block, kind: str) -> bool:
    """Tell whether a section is meant to give values to all others of its type, by its name and what it lacks."""
    section = SECTIONS[kind]
    if not section.template or block.name == "default" or suggestion(block.name, ("default",)) != "default":
        return False
    return {"host": "ip", "copy_method": "backup_command"}.get(kind) not in block.values


def section_problem(block: Block, dialect: int) -> tuple[str, str]:
    """Return what is wrong with type or name of a section, empty when nothing is, and the type that is meant.

    The type is empty when the section has to be left out.
    """
    kind, name = block.type, block.name
    if kind == "top" and not block.line:
        return "", "top"
    section = SECTIONS.get(kind)
    if section is None or kind == "top" or (section.old_only and dialect == 2):
        return _no_section(kind, dialect)
    if section.named and not name:
        return f"{kind} needs a name; write {f'<{kind} NAME>' if dialect == 2 else f'{kind} NAME'}", ""
    if not section.named and name:
        return f"there is only one {kind} section and it has no name; write <{kind}>", kind
    if meant_default(block, kind):
        wanted = opening(kind, "default") if dialect == 2 else f"{kind} default"
        return (
            f"no {kind} is called {name}; write {wanted}, in small letters, for what holds for all of them",
            kind,
        )
    if section.names and name not in {*section.names, "default"}:
        todo = did_you_mean(suggestion(name, section.names), f"there are {', '.join(section.names)}")
        return f"no {kind} is called {name}; {todo}", ""
    if section.named and not is_name(name):
        return f"`{name}` cannot be a name; use letters, digits, `_`, `-` and `.`", kind
    return "", kind


def key_problem(section: Section, value: Value, dialect: int) -> tuple[str, str]:
    """Return what is wrong with a key that `section` does not have, and the key of it that is probably meant."""
    near = suggestion(value.key, _known(section.name, dialect))
    meanings = OLD.get((section.name, near), []) if dialect == 1 else []
    key = next((key.name for _, target, key in meanings if target is section), near)
    return _key_sentence(section, value.key, dialect), key


def _key_sentence(section: Section, word: str, dialect: int) -> str:
    if section.name == "top":
        named = SECTIONS.get(word)
        if named and word != "top" and dialect == 2 and not named.old_only:
            close = opening(word, "NAME" if named.named else "")
            return f"{word} is a section, not a key; write {close} and close it with </{word}>"
        if word == "include":
            return "include takes one file name; write one include line a file"
    if word in ELSEWHERE:
        return f"no key is called {word}: {ELSEWHERE[word]}"
    if "=" in word:
        return f"no key is called {word}; write KEY VALUE without `=`"
    where = "outside of sections" if section.name == "top" else f"in {section.name}"
    return f"no key is called {word} {where}; {_meant(section, word, dialect)}"


def lost_section(word: str, dialect: int) -> str:
    """Return what to say of a key outside of sections in a file that opens none; empty where it belongs to none."""
    types = [name for name in SECTIONS if name != "top" and word in _known(name, dialect)]
    if not types:
        return ""
    tag = opening(types[0], "NAME" if SECTIONS[types[0]].named else "")
    return (
        f"{word} belongs to a section such as {tag}, and no section is opened anywhere in this file;"
        f" write {tag} above and </{types[0]}> below, as in the examples"
    )


def _no_section(kind: str, dialect: int) -> tuple[str, str]:
    if kind in KEYS["top"]:
        return f"{kind} is a key, not a section; write {kind} {sample(KEYS['top'][kind])}", ""
    known = [name for name, each in SECTIONS.items() if name != "top" and (dialect == 1 or not each.old_only)]
    near = suggestion(kind, known)
    return f"no section is called {kind}; {did_you_mean(near, f'there are {_listed(known)}')}", near


def _listed(words: list[str]) -> str:
    return ", ".join(words)


def _meant(section: Section, word: str, dialect: int) -> str:
    """Return what to do about an unknown key."""
    known = _known(section.name, dialect)
    old = OLD.get((section.name, word))
    if dialect == 2 and old and old[0][2].kind != "ignored":
        _, target, key = old[-1]
        place = "" if target.name == section.name else f" of {target.name}"
        return f"in this dialect it is {key.name}{place}"
    near = suggestion(word, [*known, "include"] if section.name == "top" else known)
    if near:
        return did_you_mean(near, "")
    types = [name for name in SECTIONS if name != section.name and word in _known(name, dialect)]
    if types:
        return f"move it {' or '.join('outside of all sections' if t == 'top' else f'to {t}' for t in types)}"
    for name in SECTIONS:
        near = suggestion(word, _known(name, dialect))
        if near and name != section.name:
            return f"did you mean {near} {'outside of sections' if name == 'top' else f'of {name}'}?"
    return "delete it, or see docs/configuration.md for what there is"


def _known(kind: str, dialect: int) -> list[str]:
    if dialect == 1:
        return old_names(kind)
    return [key.name for key in SECTIONS[kind].keys if key.kind != "ignored" and not SECTIONS[kind].old_only]
