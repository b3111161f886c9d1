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
from tests.vectors.recordings import Json, vectors
from tests.vectors.tally import Tally

YES = {"1", "yes", "on", "true"}
LOOKED_AT = r"closing|closed|</|its own peer|address|number|port from|one of|no (cert|key|ca)_file|balanced"
"""What the classic never looks at; words of our errors for it."""

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


def _load(vector: Json, folder: Path) -> tuple[Cluster | None, tuple[str, ...]]:
    for name, text in vector["files"].items():
        path = folder / name
        path.write_text(text)
        path.chmod(int(vector.get("perm", {}).get(name, "0640"), 8))
    program: Program = vector["program"]
    try:
        return check(read(Disk([str(folder)]), vector["read"]), program, "", _unreadable), ()
    except ConfError as error:
        return None, error.errors


def _unreadable(path: str) -> str:
    return "" if Path(path).is_file() else "is not a file"


def _count(own: Tally, vector: Json, conf: Cluster | None, errors: tuple[str, ...]) -> None:
    accepted = vector["out"].get("accepted") == 1
    if accepted and conf is None:
        if all(re.search(LOOKED_AT, error) for error in errors):
            own.differs(["10.33"])
        else:
            own.wrong.append(f"{vector['id']}: refused: {errors}")
    elif not accepted and conf is not None:
        dotted = vector["out"].get("reason") == "unknown_variable" and "<" in str(vector["out"].get("item"))
        if dotted:
            own.differs(["10.33"])
        elif conf.program == "TOOLS" and _items(vector["out"]) <= NOT_ASKED_FOR:
            own.differs(["11.8"])
        else:
            own.wrong.append(f"{vector['id']}: accepted, recorded {vector['out']}")
    elif conf is None:
        own.agrees()
    else:
        wrong = list(_differences(vector["out"]["tree"], conf))
        if wrong:
            own.wrong.append(f"{vector['id']}: {wrong}")
        else:
            own.agrees()


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
            refused = bool(tree.problems) or _refused(vector)
            if refused:
                own.agrees()
            else:
                own.wrong.append(f"{vector['id']}: accepted, recorded {vector['out']}")
        elif tree.plain() == _plain(vector["out"]["tree"]):
            own.agrees()
        elif _misread(vector):
            own.differs(["10.33"])
        else:
            own.wrong.append(f"{vector['id']}: recorded {_plain(vector['out']['tree'])}, ours {tree.plain()}")
    tally.add(own)
    own.check("config1")


def _refused(vector: Json) -> bool:
    try:
        check(read(Memory(vector["files"]), vector["read"], 1), "AGENT", "", lambda _: "")
    except ConfError:
        return True
    return False


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


def _misread(vector: Json) -> bool:
    """Tell whether the classic makes a nameless section of an indented line, or drops a last `0`."""
    return "" in vector["out"]["tree"] or any(text.endswith("\n0") for text in vector["files"].values())
