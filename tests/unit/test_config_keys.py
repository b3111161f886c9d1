"""The table of keys, the model and the documentation say the same."""

import dataclasses
from pathlib import Path
from typing import Any

from mmm.config.check import check
from mmm.config.files import Memory
from mmm.config.keys import KEYS, SECTIONS
from mmm.config.kinds import convert
from mmm.config.model import Check, Cluster, CopyMethod, Host, LogFile, Monitor, Notify, Role, Socket, Web
from mmm.config.reader import read
from pages.configuration import reference

MODELS: dict[str, type[Any]] = {
    "top": Cluster,
    "monitor": Monitor,
    "host": Host,
    "role": Role,
    "check": Check,
    "socket": Socket,
    "notify": Notify,
    "web": Web,
    "copy_method": CopyMethod,
    "log": LogFile,
}
OTHER_SECRETS = {"auth_key", "webhook"}
BESIDES = {
    "top": {"program", "dialect", "path", "files", "hosts", "roles", "checks", "monitor", "socket", "copy_methods",
            "notify", "web", "logs", "warnings", "witnesses", "roles_by_order"},
}  # fmt: skip


def test_every_key_is_a_field_of_the_model_with_the_same_default() -> None:
    for kind, model in MODELS.items():
        fields = {field.name: field for field in dataclasses.fields(model)}
        keys = {name: key for name, key in KEYS[kind].items() if key.kind != "ignored"}
        assert fields.keys() - BESIDES.get(kind, set()) - {"name"} == keys.keys()
        for name, key in keys.items():
            default: object = fields[name].default
            if default is not dataclasses.MISSING:
                assert (default == convert(key, key.default)) if key.default else not default, name


def test_passwords_are_secret() -> None:
    for section in SECTIONS.values():
        assert all(
            key.secret == ("password" in key.name or key.name in OTHER_SECRETS) for key in section.keys
        )


def test_documentation_is_up_to_date() -> None:
    path = Path(__file__).parents[2] / "docs/configuration.md"
    assert path.read_text() == reference(), "run: python -m pages.configuration > docs/configuration.md"


def test_documentation_names_every_key() -> None:
    page = reference()
    for section in SECTIONS.values():
        for key in section.keys:
            assert section.old_only or key.kind == "ignored" or f"| `{key.name}` |" in page


def test_defaults_reach_the_model() -> None:
    text = "<monitor>\nip 10.0.0.1\n</monitor>\n<host db1/>\n<socket/>\n"
    cluster = check(read(Memory({"x": text}), "x"), "CONTROL", "", str)
    assert cluster.monitor == Monitor("10.0.0.1")
    assert cluster.hosts == {"db1": Host("db1", "", "slave")}
    assert cluster.socket == Socket()
    assert cluster.checks["ping"] == Check("ping")
