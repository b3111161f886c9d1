"""What `mmm_control status` and `follow` say, held against docs/status.schema.json."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.machine import SandboxError

SCHEMA = Path(__file__).parents[1] / "docs/status.schema.json"


@cache
def _schema() -> dict[str, Any]:
    return dict(json.loads(SCHEMA.read_text()))


@cache
def _validator(part: str) -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    schema = _schema()
    whole = schema if not part else {"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]}
    jsonschema.Draft202012Validator.check_schema(whole)
    return jsonschema.Draft202012Validator(whole)


def fits(value: object, part: str = "") -> None:
    """Fail unless the value is as the schema says, or as the named part of it does."""
    found = [f"{error.json_path}: {error.message}" for error in _validator(part).iter_errors(value)]
    assert not found, found[:5]


def status(text: str) -> dict[str, Any]:
    """Return the document in an answer to `status`, which must fit the schema."""
    document = dict(json.loads(text))
    fits(document)
    return document


def looked_at(sandbox: Sandbox) -> None:
    """Hold what the cluster's monitor says now, if it says anything, against the schema."""
    if find_spec("jsonschema") is None:
        return
    try:
        text = sandbox.ask("status", 0.5)
    except (OSError, SandboxError):
        return
    if text.startswith("{") and "waits_for_network" not in text:
        status(text)


def changes(sandbox: Sandbox, position: str) -> list[dict[str, Any]]:
    """Return what a follower that comes back with the position is told of what has happened by now."""
    newest = status(sandbox.ask("status"))["position"]
    monitor = sandbox.layout.cluster.monitor
    assert monitor is not None
    lines: list[dict[str, Any]] = []
    with sandbox.monitor.connect((monitor.ip, monitor.port), 10) as connection:
        connection.sendall(f"follow {position}\nquit\n".encode())
        with connection.makefile("rb") as stream:
            while not lines or lines[-1]["position"] != newest:
                lines.append(json.loads(stream.readline()))
                fits(lines[-1], "line")
    return [line for line in lines if line["kind"] != "begin"]
