"""What README.md and docs/ tell users, held against the programs: examples load, words exist, links lead somewhere."""

import logging.config
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mmm.agent.decide.learned import learned
from mmm.config.agreement import writer_hosts
from mmm.config.load import (
    Cluster,
    Memory,
    Program,
    check,
    read,
)
from mmm.control.main import NO_ANSWER, OK, REFUSED, USAGE
from mmm.monitor.world.host import State
from mmm.monitor.world.world import Mode
from mmm.mysql.flavour import detect
from mmm.mysql.server.accounts import Account, grants, tools_grants
from mmm.process.logs import LINE, replacement_problem
from mmm.sandbox.trouble.faults import FAULTS
from mmm.wire.command import HELP

TREE = Path(__file__).parents[2]
PAGES = (TREE / "README.md", *sorted((TREE / "docs").glob("*.md")))
README = PAGES[0].read_text()
SANDBOX = (TREE / "docs/sandbox.md").read_text()
INSTALL = (TREE / "docs/install.md").read_text()
ACCOUNTS = (
    Account("mmm_monitor", "monitor_password"),
    Account("mmm_agent", "agent_password"),
    Account("replication", "replication_password"),
)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def conf_files(text: str) -> dict[str, str]:
    """Return the example conf files by their names, which stand in their first lines."""
    named = ((re.match(r"# (mmm_\w+\.conf)", block), block) for block in blocks(text, "apache"))
    return {match[1]: block for match, block in named if match}


def load(files: dict[str, str], name: str, program: Program) -> Cluster:
    return check(read(Memory(files), name), program, "", lambda _: "")


@pytest.mark.parametrize(("text", "dialect", "hosts"), [(README, 2, 3), (INSTALL, 1, 2)])
def test_the_example_confs_load_and_describe_one_cluster(text: str, dialect: int, hosts: int) -> None:
    files = conf_files(text)
    monitor = load(files, "mmm_mon", "MONITOR")
    agent = load(files, "mmm_agent", "AGENT")
    assert load(files, "mmm_mon", "CONTROL").monitor == monitor.monitor
    assert monitor.dialect == agent.dialect == dialect
    assert len(monitor.hosts) == hosts
    assert monitor.vips == learned(agent, monitor.vips).vips  # an agent of MMM 1.x learns them
    assert writer_hosts(monitor) == writer_hosts(agent)
    assert {host.name: host.ip for host in monitor.hosts.values()} == {
        host.name: host.ip for host in agent.hosts.values()
    }
    assert not monitor.warnings


NEEDED_BESIDE = {
    "monitors": "monitors 192.168.100.48, 192.168.100.49\n<monitor>\n    ip 192.168.100.48\n</monitor>\n",
    "networks": "health_from 10.0.0.0/24\n<host default>\n    health_port 9991\n</host>\n",
}
"""What an example of a page needs besides that page's others say."""


@pytest.mark.parametrize("path", PAGES[1:], ids=lambda path: path.stem)
def test_the_parts_of_confs_that_pages_show_are_taken(path: Path) -> None:
    """Each is put behind the README's conf: a comment behind a value, or a section without an end, is refused."""
    for part in parts_of_confs(path.read_text()):
        files = conf_files(README)
        files["mmm_mon.conf"] += NEEDED_BESIDE.get(path.stem, "") + part
        warnings = load(files, "mmm_mon", "MONITOR").warnings
        assert [each for each in warnings if each.fault.code != "overwritten"] == []


_OF_A_CONF = re.compile(r"^(?:<\w+(?: \w+)?>$|(?:vip_lease|auth_key|health_from|allow_from)\s)", re.MULTILINE)


def parts_of_confs(text: str) -> Iterator[str]:
    """Yield the indented blocks that begin a section, or name a key of no section; what has KEY stands for others."""
    for block in re.findall(r"(?:^(?:    .*)?\n)+", text, re.MULTILINE):
        part = textwrap.dedent(block)
        if _OF_A_CONF.search(part) and "KEY" not in part:
            yield part


def test_the_accounts_of_the_examples_are_those_of_the_grants() -> None:
    for text in (README, INSTALL):
        files = conf_files(text)
        watched = load(files, "mmm_mon", "MONITOR").hosts["db1"]
        own = load(files, "mmm_agent", "AGENT").hosts["db1"]
        assert (
            Account(watched.monitor_user, watched.monitor_password),
            Account(own.agent_user, own.agent_password),
            Account(own.replication_user, own.replication_password),
        ) == ACCOUNTS


def test_the_grants_are_those_that_the_programs_need() -> None:
    mariadb, mysql, mysql57, *_ = blocks(README, "sql")
    assert statements(mariadb) == list(grants(detect("10.11.6-MariaDB", ""), *ACCOUNTS))
    assert statements(mysql) == only_grants("8.0.40")
    assert set(statements(mysql57)) == set(only_grants("5.7.44")) - set(statements(mysql))


def test_the_grants_of_the_tools_are_those_that_they_need() -> None:
    mariadb, mysql = blocks(textwrap.dedent(indented_sql("rejoin")), "sql")
    account = Account("mmm_tools", "tools_password")
    assert statements(mariadb) == list(tools_grants(detect("10.11.6-MariaDB", ""), account))
    assert statements(mysql) == [
        text for text in tools_grants(detect("8.0.40", "MySQL"), account) if text.startswith("GRANT")
    ]


def indented_sql(page: str) -> str:
    """Return the SQL blocks of a page, which stand in an item of a list."""
    text = (TREE / f"docs/{page}.md").read_text()
    return "".join(re.findall(r"^  ```sql\n.*?^  ```\n", text, re.MULTILINE | re.DOTALL))


def test_a_grant_that_a_page_names_for_one_server_stays_out_of_its_binary_log() -> None:
    """Logged on a replica it is a transaction that no other host has; README and rejoin.md are tested above."""
    for page in PAGES[1:]:
        if page.stem == "rejoin":
            continue
        for line in re.findall(r".*GRANT [A-Z_, ]+ ON .* TO '.*", page.read_text()):
            assert re.search(
                r"SET SESSION sql_log_bin=0; (?:SET GLOBAL super_read_only=0; )?GRANT .*; SET SESSION sql_log_bin=1",
                line,
            ), (
                page,
                line,
            )


def statements(text: str) -> list[str]:
    return [statement.strip() for statement in text.split(";\n") if statement.strip()]


def only_grants(version: str) -> list[str]:
    return [text for text in grants(detect(version, "MySQL"), *ACCOUNTS) if text.startswith("GRANT")]


def test_the_tls_example_is_a_socket_section() -> None:
    files = conf_files(README)
    (socket,) = (block for block in blocks(INSTALL, "apache") if block.startswith("<socket>"))
    files["mmm_common.conf"] += socket
    assert load(files, "mmm_mon", "MONITOR").socket.type == "ssl"


def test_the_logging_example_is_taken_by_dict_config(tmp_path: Path) -> None:
    (text,) = blocks(INSTALL, "yaml")
    document = yaml.safe_load(text)
    document["handlers"]["file"]["filename"] = str(tmp_path / "log")
    document["handlers"]["syslog"]["address"] = ["127.0.0.1", 9]
    before = logging.root.handlers[:], logging.root.level
    try:
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **document})
        logging.getLogger("mmm").info("said")
        assert re.fullmatch(r"[\d/]{10} [\d:]{8} INFO said\n", (tmp_path / "log").read_text())
    finally:
        for handler in logging.root.handlers:
            handler.close()
        logging.root.handlers[:], logging.root.level = before


def test_what_cron_is_to_run_is_named_with_its_folder() -> None:
    """Its PATH is /usr/bin:/bin, where none of the programs is."""
    for page in PAGES:
        for line in re.findall(r"^    \S+ \S+ \S+ \S+ \S+  root  .*", page.read_text(), re.MULTILINE):
            assert re.search(r"  root  /usr/sbin/mmm_\w+ ", line), (page, line)


def test_what_is_said_of_a_log4perl_file_is_quoted_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mmm_mon_log.conf"
    path.write_text("log4perl.logger = INFO, LogFile\n")
    said = replacement_problem(path).partition(";")[0].removeprefix(str(path))
    assert f"`…{said};…`" in (TREE / "docs/troubleshooting.md").read_text()


def test_the_level_of_a_log_line_is_where_monitoring_md_says() -> None:
    assert LINE.split()[:2] == ["%(asctime)s", "%(levelname)s"]  # date and time are one field
    assert (
        "the level is the first word after the date\nand time." in (TREE / "docs/monitoring.md").read_text()
    )


def test_all_states_modes_and_faults_are_named() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", section("States"), re.MULTILINE)) == set(State)
    assert set(re.findall(r"^\| `(\w+)` \|", section("Modes"), re.MULTILINE)) == set(Mode)
    faults = SANDBOX.partition("## Faults")[2]
    assert dict(re.findall(r"^\| `([a-z-]+)(?: HOST)?` \| (.*) \|$", faults, re.MULTILINE)) == {
        name: fault.sentence.removeprefix("{host}: ") for name, fault in FAULTS.items()
    }


def test_the_commands_of_mmm_control_are_there() -> None:
    offered = set(re.findall(r"^    (\w+)", HELP, re.MULTILINE))
    table = "".join(
        line.split("|")[1] for line in section("Daily use").splitlines() if line.startswith("| `")
    )
    explained = set(re.findall(r"`([a-z_]+)[ `\[]", table))
    used = set(re.findall(r"\$ mmm_control (?:--format \w+ )?(\w+)", "".join(map(Path.read_text, PAGES))))
    assert len(explained) > 10
    assert explained | used <= offered


def test_the_exit_statuses_are_those_of_the_program() -> None:
    told = re.search(
        r"Exit status: (\d) OK, (\d) the monitor .* (\d) wrong usage .* (\d) no\s", README, re.DOTALL
    )
    assert told
    assert tuple(map(int, told.groups())) == (OK, REFUSED, USAGE, NO_ANSWER)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), target
        assert not anchor or anchor in set(anchors(other.read_text())), target


def anchors(text: str) -> Iterator[str]:
    """Yield the names that headings of a page get."""
    for title in re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    ):
        yield re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_the_list_of_pages_has_every_page() -> None:
    docs = Path(__file__).parents[2] / "docs"
    listed = re.findall(r"^\| \[([a-z]+\.md)\]", (docs / "index.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in docs.glob("*.md") if page.stem != "index")
    assert "](docs/index.md)" in README


def test_the_readme_stays_readable() -> None:
    assert len(README.splitlines()) < 475
