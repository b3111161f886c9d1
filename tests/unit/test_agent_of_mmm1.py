"""An agent whose conf is of MMM 1.x: each one that is accepted is one that it starts by."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from mmm.agent.act.agent import Agent
from mmm.agent.decide.core import site
from mmm.agent.decide.plan import facts
from mmm.config.load import Cluster, ConfError, Memory, Program, check, read

HEAD = """\
this db1
mode master
peer db2
bind_port 9990
cluster_interface eth0
pid_path {folder}/agent.pid
"""
HOSTS = "".join(
    f"host db{number}\n    ip 192.168.1.11{number}\n    user rep_agent\n    password RepAgent\n"
    for number in (1, 2, 3)
)
WRITER = "role writer\n    mode exclusive\n    servers db1, db2\n    ip 192.168.1.200\n"
READER = "role reader\n    mode balanced\n    servers db1, db2, db3\n    ip 192.168.1.201, 192.168.1.202\n"
PARTS = [
    part.splitlines()
    for part in (
        *re.findall(r".+\n", HEAD + "active_master_role writer\n"),
        *re.findall(r"host .+\n(?: .+\n)+", HOSTS), WRITER, READER,
    )
]  # fmt: skip
"""A whole conf: each global key, and each block."""
NEEDED = (
    "m.conf: there is no role NAME; {} needs the `role` blocks of mmm_mon.conf too, add them, and"
    " `active_master_role` where it is not `writer`"
)


def conf(text: str, program: Program = "AGENT") -> Cluster:
    return check(read(Memory({"m.conf": text}), "m"), program, "", lambda _: "")


def errors(text: str, program: Program = "AGENT") -> tuple[str, ...]:
    with pytest.raises(ConfError) as raised:
        conf(text, program)
    return raised.value.errors


def starts(cluster: Cluster) -> None:
    """Make an agent by the conf, as at its start."""
    site(cluster, facts(cluster))
    interface: Any = Mock()
    interface.name = "eth0"
    Agent(cluster, interface, Mock())


@pytest.mark.parametrize(
    "roles", [WRITER, WRITER + READER, WRITER.replace("role writer", "active_master_role app\nrole app")]
)
def test_it_starts_by_roles_as_the_monitors_file_has_them(tmp_path: Path, roles: str) -> None:
    starts(conf(HEAD.format(folder=tmp_path) + HOSTS + roles))


@pytest.mark.parametrize("top", ["", "active_master_role writer\n", "active_master_role app\n"])
def test_it_starts_without_any_as_the_files_of_mmm_1x_are(tmp_path: Path, top: str) -> None:
    """--check accepted them, and the agent ended with an internal error when it was started."""
    starts(conf(HEAD.format(folder=tmp_path) + top + HOSTS))


def test_mmm_rejoin_needs_them_too_for_it_refuses_the_active_master() -> None:
    assert NEEDED.format("mmm_rejoin") in errors(HEAD + HOSTS, "REJOIN")
    tools = HEAD.replace("bind_port 9990\n", "") + HOSTS
    assert not any("role" in error for error in errors_or_none(tools, "TOOLS"))


def errors_or_none(text: str, program: Program) -> tuple[str, ...]:
    try:
        conf(text, program)
    except ConfError as error:
        return error.errors
    return ()


def test_the_active_master_role_is_named_where_no_role_is_called_writer() -> None:
    assert errors(HEAD + HOSTS + READER) == (
        "m.conf: there is no active_master_role; mmm_agentd needs it, add `active_master_role ROLE`",
    )
    (wrong,) = errors(HEAD + "active_master_role app\n" + HOSTS + READER)
    assert "no role is called app" in wrong


def test_it_is_warned_where_the_active_master_role_has_no_hosts(tmp_path: Path) -> None:
    """It loaded without a word, and with the monitor the writer went."""
    known = conf(HEAD + HOSTS + WRITER)
    unknown = conf(HEAD.format(folder=tmp_path) + HOSTS + WRITER.replace("    servers db1, db2\n", ""))
    (warning,) = set(map(str, unknown.warnings)) - set(map(str, known.warnings))
    assert "role writer has no servers: " in warning
    starts(unknown)


def started_or_refused(text: str, folder: Path) -> bool:
    """Start an agent where the conf is accepted; tells whether it is."""
    try:
        cluster = conf(text.replace("{folder}", str(folder)))
    except ConfError:
        return False
    starts(cluster)
    return True


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agent")


def test_each_conf_that_is_accepted_starts_whichever_blocks_and_global_keys_it_lacks(folder: Path) -> None:
    """Of those without roles none started: they learn them."""
    texts = (chain.from_iterable(left) for left in subsets(PARTS))
    assert sum(started_or_refused("\n".join(lines), folder) for lines in texts)


@pytest.mark.parametrize("indent", ["    ", ""])
def test_each_conf_that_is_accepted_starts_whichever_two_lines_it_lacks(folder: Path, indent: str) -> None:
    lines = [line.replace("    ", indent) for line in chain.from_iterable(PARTS)]
    kept = combinations(lines, len(lines) - 2)
    assert sum(started_or_refused("\n".join(each), folder) for each in kept)


def subsets(parts: Sequence[list[str]]) -> Iterator[tuple[list[str], ...]]:
    for number in range(len(parts) + 1):
        yield from combinations(parts, number)
