"""What to say of sections and keys not in the table: what was probably meant, or where it belongs."""

from mmm.config.dialect2 import opening
from mmm.config.key import Section
from mmm.config.keys import KEYS, OLD, SECTIONS, old_names
from mmm.config.kinds import did_you_mean, sample, suggestion
from mmm.config.names import EVERY_HOST, is_name
from mmm.config.tree import Block, Fault, Value

ELSEWHERE = {
    "replication_channel": ("no_key_channel", "no_effect_channel"),
    "parent_role": ("no_key_parent", "no_effect_parent"),
}
"""What is known by name, though it is no key: what is said of it where it is wrong, and where it has no effect."""


def meant_default(block: Block, kind: str) -> bool:
    """Tell whether a section is meant to give values to all others of its type, by its name and what it lacks."""
    section = SECTIONS[kind]
    if not section.template or block.name == "default" or suggestion(block.name, ("default",)) != "default":
        return False
    return {"host": "ip", "copy_method": "backup_command"}.get(kind) not in block.values


def section_problem(block: Block, dialect: int) -> tuple[Fault | None, str]:
    """Return what is wrong with type or name of a section, None when nothing is, and the type that is meant.

    The type is empty when the section has to be left out.
    """
    kind, name = block.type, block.name
    if kind == "top" and not block.line:
        return None, "top"
    section = SECTIONS.get(kind)
    if section is None or kind == "top" or (section.old_only and dialect == 2):
        return _no_section(kind, dialect)
    if section.named and not name:
        return Fault("name_missing", {"kind": kind, "wanted": _written(kind, "NAME", dialect)}), ""
    if not section.named and name:
        return Fault("name_not_allowed", {"kind": kind}), kind
    about = {"kind": kind, "name": name}
    if meant_default(block, kind):
        return Fault("default_meant", about | {"wanted": _written(kind, "default", dialect)}), kind
    if section.names and name not in {*section.names, "default"}:
        todo = did_you_mean(suggestion(name, section.names), Fault("there_are", {"known": section.names}))
        return Fault("no_such_name", {**about, "todo": todo}), ""
    if kind == "host" and name == EVERY_HOST:
        return Fault("name_of_every_host", about), kind
    return Fault("bad_name", about) if section.named and not is_name(name) else None, kind


def _written(kind: str, name: str, dialect: int) -> str:
    return opening(kind, name) if dialect == 2 else f"{kind} {name}"


def key_problem(section: Section, value: Value, dialect: int) -> tuple[Fault, str]:
    """Return what is wrong with a key that `section` does not have, and the key of it that is probably meant."""
    near = suggestion(value.key, _known(section.name, dialect))
    meanings = OLD.get((section.name, near), []) if dialect == 1 else []
    key = next((key.name for _, target, key in meanings if target is section), near)
    return _unknown_key(section, value.key, dialect), key


def _unknown_key(section: Section, word: str, dialect: int) -> Fault:
    if section.name == "top":
        named = SECTIONS.get(word)
        if named and word != "top" and dialect == 2 and not named.old_only:
            close = opening(word, "NAME" if named.named else "")
            return Fault("section_not_key", {"key": word, "tag": close})
        if word == "include":
            return Fault("include_one_name")
    if word in ELSEWHERE:
        return Fault(ELSEWHERE[word][0], {"key": word})
    if "=" in word:
        return Fault("key_with_equals", {"key": word})
    code = "unknown_global_key" if section.name == "top" else "unknown_key"
    return Fault(code, {"key": word, "section": section.name, "todo": _meant(section, word, dialect)})


def lost_section(word: str, dialect: int) -> Fault | None:
    """Return what to say of a key outside of sections in a file that opens none; None where it belongs to none."""
    types = [name for name in SECTIONS if name != "top" and word in _known(name, dialect)]
    if not types:
        return None
    tag = opening(types[0], "NAME" if SECTIONS[types[0]].named else "")
    return Fault("section_lost", {"key": word, "tag": tag, "kind": types[0]})


def _no_section(kind: str, dialect: int) -> tuple[Fault, str]:
    if kind in KEYS["top"]:
        return Fault("key_not_section", {"kind": kind, "sample": sample(KEYS["top"][kind])}), ""
    known = tuple(
        name for name, each in SECTIONS.items() if name != "top" and (dialect == 1 or not each.old_only)
    )
    near = suggestion(kind, known)
    todo = did_you_mean(near, Fault("there_are", {"known": known}))
    return Fault("unknown_section", {"kind": kind, "todo": todo}), near


def _meant(section: Section, word: str, dialect: int) -> Fault:
    """Return what to do about an unknown key."""
    known = _known(section.name, dialect)
    old = OLD.get((section.name, word))
    if dialect == 2 and old and old[0][2].kind != "ignored":
        _, target, key = old[-1]
        code = "is_now" if target.name == section.name else "is_now_of"
        return Fault(code, {"key": key.name, "section": target.name})
    near = suggestion(word, [*known, "include"] if section.name == "top" else known)
    if near:
        return Fault("meant", {"near": near})
    types = [name for name in SECTIONS if name != section.name and word in _known(name, dialect)]
    if types:
        places = " or ".join("outside of all sections" if t == "top" else f"to {t}" for t in types)
        return Fault("move", {"places": places})
    for name in SECTIONS:
        near = suggestion(word, _known(name, dialect))
        if near and name != section.name:
            return Fault("meant_outside" if name == "top" else "meant_of", {"near": near, "section": name})
    return Fault("delete")


def _known(kind: str, dialect: int) -> list[str]:
    if dialect == 1:
        return old_names(kind)
    return [key.name for key in SECTIONS[kind].keys if key.kind != "ignored" and not SECTIONS[kind].old_only]
