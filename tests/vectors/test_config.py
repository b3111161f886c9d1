"""Conf files of both dialects: config.jsonl, config1.jsonl.

rule 10.33: where the classic misreads or does not look, ours says what is wrong.
rule 11.8: where the classic demands of all what one way to copy needs, ours does not.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmm.config.load import (
    Cluster,
    ConfError,
    Disk,
    Memory,
    check,
    read,
)
from mmm.config.names import Program
from mmm.config.tree import Fault
from tests.vectors.recordings import Json, vectors
from tests.vectors.tally import Tally

YES = {"1", "yes", "on", "true"}
SAME = {
    "bad_line": {
        "bad_name",
        "include_one_name",
        "key_with_equals",
        "no_value",
        "not_a_tag",
        "section_not_key",
        "unknown_global_key",
        "unknown_key",
    },
    "crash": {"include_inside"},
    "file_not_found": {"no_file", "not_found"},
    "invalid_section_name": {"no_such_name"},
    "invalid_value": {
        "empty_entry",
        "equals_sign",
        "no_such_reference",
        "no_value",
        "not_a_choice",
        "not_a_list",
        "not_a_name",
        "not_yes_or_no",
    },
    "missing": {
        "default_meant",
        "global_key_missing",
        "key_missing",
        "section_missing",
        "section_missing_beside_default",
    },
    "missing_dependent": {"key_missing"},
    "name_not_allowed": {"name_not_allowed"},
    "name_required": {"name_missing"},
    "unknown_section": {"key_not_section", "section_inside", "unknown_section"},
    "unknown_variable": {
        "include_one_name",
        "key_with_equals",
        "text_behind_tag",
        "unknown_global_key",
        "unknown_key",
    },
    "variable_is_section": {"section_not_key"},
    "world_readable": {"open_to_everybody"},
    "world_writable": {"open_to_everybody"},
}
"""Our codes for what the classic refuses a conf for."""

NOT_LOOKED_AT = {
    "address_used_twice",
    "balanced_writer",
    "closes_another",
    "closes_nothing",
    "empty_entry",
    "equals_sign",
    "ip_with_prefix",
    "listed_twice",
    "monitor_at_vip",
    "name_of_every_host",
    "not_a_choice",
    "not_a_list",
    "not_a_number",
    "not_a_port",
    "not_ipv4",
    "not_seconds",
    "note_behind_value",
    "own_peer",
    "prefer_not_a_host",
    "several_ips",
    "unclosed",
}
"""Our codes for what the classic never looks at; it does not miss the files of TLS either."""
FILES_OF_TLS = {"cert_file", "key_file", "ca_file"}

NOT_ASKED_FOR = {
    "default_copy_method",
    "clone_dirs",
    "ssh_user",
    "lvm_snapshot_size",
    "lvm_logical_volume",
    "backup_dir",
}
"""What a tool needs for one of its ways alone (rule 11.8)."""


def test_recorded_2x(tmp_path: Path, tally: Tally) -> None:
    own = Tally()
    for vector in vectors("config"):
        folder = tmp_path / vector["id"]
        folder.mkdir()
        _count(own, vector, *_load(vector, folder))
    tally.add(own)
    own.check("config")


def _load(vector: Json, folder: Path) -> tuple[Cluster | None, tuple[Fault, ...]]:
    for name, text in vector["files"].items():
        path = folder / name
        path.write_text(text)
        path.chmod(int(vector.get("perm", {}).get(name, "0640"), 8))
    program: Program = vector["program"]
    try:
        return check(read(Disk([str(folder)]), vector["read"]), program, "", _unreadable), ()
    except ConfError as error:
        return None, _faults(error)


def _faults(error: ConfError) -> tuple[Fault, ...]:
    """Return what is wrong; with a file that is included, what is wrong with that one."""
    faults = (problem.fault for problem in error.problems)
    return tuple(each.fields["why"] if each.code == "not_included" else each for each in faults)


def _unreadable(path: str) -> Fault | str:
    return "" if Path(path).is_file() else Fault("not_there")


def _count(own: Tally, vector: Json, conf: Cluster | None, faults: tuple[Fault, ...]) -> None:
    recorded = vector["out"]
    if conf is None:
        _count_refused(own, vector, faults)
    elif recorded.get("accepted") == 1:
        if wrong := list(_differences(recorded["tree"], conf)):
            own.wrong.append(f"{vector['id']}: {wrong}")
        else:
            own.agrees()
    elif _is_dotted(recorded):
        own.differs(["10.33"])
    elif conf.program == "TOOLS" and _items(recorded) <= NOT_ASKED_FOR:
        own.differs(["11.8"])
    else:
        own.wrong.append(f"{vector['id']}: accepted, recorded {recorded}")


def _count_refused(own: Tally, vector: Json, faults: tuple[Fault, ...]) -> None:
    """Count a conf that ours refuses: for the same fault, or for one that the classic does not see."""
    recorded = vector["out"]
    if recorded.get("accepted") != 1 and _is_same(recorded, faults):
        own.agrees()
    elif _is_dotted(recorded) or all(map(_is_not_looked_at, faults)):
        own.differs(["10.33"])
    else:
        own.wrong.append(f"{vector['id']}: refused for {faults}, recorded {recorded}")


def _is_same(recorded: Json, faults: tuple[Fault, ...]) -> bool:
    reasons = recorded.get("reasons_any", [recorded])
    named = set().union(*(SAME[each["reason"]] for each in reasons))
    return any(fault.code in named for fault in faults)


def _is_not_looked_at(fault: Fault) -> bool:
    return fault.code in NOT_LOOKED_AT or (
        fault.code == "key_missing" and fault.fields["key"] in FILES_OF_TLS
    )


def _is_dotted(recorded: Json) -> bool:
    """Tell whether the classic takes a tag for a variable, for the characters in its name."""
    return recorded.get("reason") == "unknown_variable" and "<" in str(recorded.get("item"))


def _items(recorded: Json) -> set[str]:
    """Return the keys that a recorded refusal names as missing."""
    reasons = recorded.get("reasons_any", [recorded])
    return {each["item"].rpartition("/")[2] if each.get("reason") == "missing" else "" for each in reasons}


def _differences(tree: Json, conf: Cluster) -> list[str]:
    """Return the settings whose value is not the recorded one."""
    wrong = []
    for key, value in tree.items():
        if not isinstance(value, dict):
            wrong += _setting(key, value, conf, key)
        elif key in ("monitor", "socket"):
            for name, text in value.items():
                wrong += _setting(f"{key}/{name}", text, getattr(conf, key), name)
        else:
            wrong += _sections(key, value, conf)
    return wrong


def _sections(kind: str, sections: Mapping[str, Json], conf: Cluster) -> list[str]:
    models: Mapping[str, Any] = {
        "host": conf.hosts,
        "role": conf.roles,
        "check": conf.checks,
        "copy_method": conf.copy_methods,
    }[kind]
    wrong = [f"{kind} {name} is missing" for name in sections if name not in models and name != "default"]
    for name, settings in sections.items():
        for key, text in settings.items() if name in models else ():
            wrong += _setting(f"{kind}/{name}/{key}", text, models[name], key)
    return wrong


def _setting(path: str, recorded: Any, model: Any, key: str) -> list[str]:
    ours = getattr(model, key)
    return [] if _same(recorded, ours) else [f"{path}: recorded {recorded!r}, ours {ours!r}"]


def _same(recorded: Any, ours: Any) -> bool:
    match ours:
        case bool():
            return bool((str(recorded).lower() in YES) == ours)
        case int() | float():
            return bool(float(recorded) == ours)
        case tuple():
            return bool(list(ours) == (recorded if isinstance(recorded, list) else [recorded]))
        case None:
            return bool(recorded == "")
        case Path():
            return bool(str(ours) == recorded)
        case _:
            return bool(ours == recorded)


def test_recorded_1x(tally: Tally) -> None:
    own = Tally()
    for vector in vectors("config1"):
        tree = read(Memory(vector["files"]), vector["read"], 1)
        if vector["out"].get("accepted") != 1:
            faults = _refused(vector)
            if _is_same(vector["out"], faults):
                own.agrees()
            else:
                own.wrong.append(f"{vector['id']}: refused for {faults}, recorded {vector['out']}")
        elif tree.plain() == _plain(vector["out"]["tree"]):
            own.agrees()
        elif _misread(vector, tree.plain()):
            own.differs(["10.33"])
        else:
            own.wrong.append(f"{vector['id']}: recorded {_plain(vector['out']['tree'])}, ours {tree.plain()}")
    tally.add(own)
    own.check("config1")


def _refused(vector: Json) -> tuple[Fault, ...]:
    try:
        check(read(Memory(vector["files"]), vector["read"], 1), "AGENT", "", lambda _: "")
    except ConfError as error:
        return _faults(error)
    return ()


def _plain(tree: Json) -> dict[tuple[str, str], dict[str, str]]:
    """Return a recorded tree in our shape."""
    plain: dict[tuple[str, str], dict[str, str]] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            for name, settings in value.items():
                plain[key, name] = settings
        else:
            plain.setdefault(("top", ""), {})[key] = value
    return plain


def _misread(vector: Json, ours: Mapping[tuple[str, str], Json]) -> bool:
    """Tell whether the classic misreads a line.

    It makes a nameless section of an indented line, drops a last `0`, splits a single word before its last letter, and
    takes a block without values for a global key.
    """
    tree, texts = vector["out"]["tree"], vector["files"].values()
    blocks = {(kind, name) for kind, value in tree.items() if isinstance(value, dict) for name in value}
    return (
        "" in tree
        or any(text.endswith("\n0") for text in texts)
        or any(re.search(r"(?m)^[^\s#]{2,}\s*$", text) for text in texts)
        or any(not values and block not in blocks for block, values in ours.items() if block != ("top", ""))
    )
