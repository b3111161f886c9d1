"""What a package has that is made from the tree: programs, man pages, completion. `python3 -m pages.packaged FOLDER`.

The man pages come from `--help` by help2man(1), and from the table of keys by lowdown(1).
"""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from mmm import __version__
from mmm.config.key import Key, Section
from mmm.config.keys import SECTIONS
from mmm.config.kinds import sample
from mmm.config.reload import taken
from mmm.control.completion import commands
from mmm.sandbox.main import parser
from pages.configuration import head, listed, required

TREE = Path(__file__).parents[1]
INSTALLED = Path("/usr/share/mysql-mmm")
"""Where a package has the modules."""
SUMMARIES = {
    "mmm_agentd": "holds virtual IPs of a MySQL server, and sets it up for its roles",
    "mmm_backup": "backs up a MySQL server of an MMM cluster",
    "mmm_clone": "sets a MySQL server up anew with the data of another one",
    "mmm_control": "the admin's command line of MMM",
    "mmm_get_dump": "backs up a MySQL server, as MMM 1.x called it",
    "mmm_mond": "checks MySQL servers, and moves virtual IPs between them",
    "mmm_rejoin": "brings a MySQL server back that has data of its own, or has lost them",
    "mmm_restore": "restores a backup of mmm_backup",
    "mmm_sandbox": "a whole MMM cluster of real servers on this machine, to rehearse with",
    "mmm_stream": "sends a copy of this host's data to the host that asks for it by ssh",
    "mmm_web": "shows an MMM cluster by a page, as JSON, and to Prometheus",
}
"""What each program is, for the first line of its man page."""
SEE_ALSO = "[see also]\nmmm.conf(5), and the pages in /usr/share/doc/mysql-mmm-common\n"
PROGRAM = """\
#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "{place}")

from {module} import {function}

if __name__ == "__main__":
    sys.exit({function}())
"""
HELPED = """\
#!/bin/sh
{python} {program} "$@" | sed 's/^usage:/Usage:/; s/^options:/Options:/'
"""
"""A program as help2man wants to see it."""


SHELLS = {"bash": "PROGRAM", "zsh": "_PROGRAM"}
"""The shells that complete, and what their files are called for each program."""


def programs() -> dict[str, tuple[str, str]]:
    """Return the programs' names, and the module and the function where each one begins."""
    with (TREE / "pyproject.toml").open("rb") as file:
        scripts: dict[str, str] = tomllib.load(file)["project"]["scripts"]
    return {name: (where.partition(":")[0], where.partition(":")[2]) for name, where in scripts.items()}


def program(name: str, place: Path = INSTALLED) -> str:
    """Return the text of a program whose modules are in `place`."""
    module, function = programs()[name]
    return PROGRAM.format(place=place, module=module, function=function)


def completion(shell: str, name: str) -> str:
    """Return the text by which a shell completes what is typed behind a program."""
    text = (TREE / "etc/completion" / f"{SHELLS[shell]}.{shell}").read_text()
    return text.replace("PROGRAM", name)


def conf_page() -> str:
    """Return the page of conf files in the Markdown of lowdown(1)."""
    files = re.sub(r"\]\([^)]*\)", "", head().partition("## Files")[2]).replace("[", "")
    return "\n".join(
        ["# NAME\n\nmmm.conf - conf files of MMM\n\n# FILES\n", files.replace("\n## ", "\n# "), *_keys()]
    )


def _keys() -> Iterator[str]:
    for section in SECTIONS.values():
        if section.old_only:
            continue
        title = (
            "outside of sections"
            if section.name == "top"
            else f"{section.name} {'NAME' * section.named}".strip()
        )
        needed = f" Required by {listed(section.required)}." if section.required else ""
        yield f"# {title.upper() if section.name == 'top' else f'SECTION {title}'}\n\n{section.text}{needed}\n"
        yield from (_key(section, key) for key in section.keys if key.kind != "ignored")


def _key(section: Section, key: Key) -> str:
    notes = [f"Default: `{key.default}`."] if key.default else []
    notes += [f"Required {'' if key.needed_if else 'by '}{required(key)}."] if required(key) else []
    notes += [f"Reload: {taken(section.name, key.name)}."]
    name, value = (text.replace("_", "\\_").replace("|", "\\|") for text in (key.name, sample(key)))
    return f"**{name}** *{value}*\n\n: {' '.join([key.text, *notes]).strip()}\n"


def man_pages(folder: Path) -> None:
    """Write the man pages into `folder`; raises OSError, CalledProcessError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mmm.conf.md").write_text(conf_page())
    title = ["-M", "title=MMM.CONF", "-M", "section=5", "-M", f"source=MMM {__version__}"]
    lowdown: list[str | Path] = ["lowdown", "-s", "-Tman", *title, folder / "mmm.conf.md"]
    made = subprocess.run(lowdown, stdout=subprocess.PIPE, check=True).stdout
    (folder / "mmm.conf.5").write_bytes(b"'\\\" t\n" + made)  # it has a table: man(7) is to run tbl(1)
    run = folder / "run"
    run.mkdir(exist_ok=True)
    (run / "more").write_text(SEE_ALSO)
    listed_for = {"mmm_control": _command_list(), "mmm_sandbox": sandbox_commands()}
    for name, rows in listed_for.items():
        (run / f"{name}.commands").write_text(f"[commands]\n{rows}\n{SEE_ALSO}")
    for name in programs():
        (run / f"{name}.py").write_text(_without_commands(program(name, TREE)))
        (run / name).write_text(HELPED.format(python=sys.executable, program=run / f"{name}.py"))
        (run / name).chmod(0o755)
        more = run / (f"{name}.commands" if name in listed_for else "more")
        argv: list[str | Path] = [
            "help2man",
            "--no-info",
            f"--version-string={__version__}",
            "--section=8",
            f"--name={SUMMARIES[name]}",
            f"--include={more}",
            run / name,
        ]
        (folder / f"{name}.8").write_bytes(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)


def _without_commands(text: str) -> str:
    """Return a program whose --help does not list the commands of mmm_control: help2man takes them for prose."""
    return text.replace(
        "\n\nif __name__", "\nimport mmm.control.main\nmmm.control.main.HELP = ''\n\nif __name__"
    )


def sandbox_commands() -> str:
    """Return the commands of mmm_sandbox with their arguments, in roff: its own help has the names alone."""
    (below,) = (action.choices for action in parser()._actions if isinstance(action.choices, dict))  # noqa: SLF001
    rows = []
    for name, command in below.items():
        rows += [f".SS {name}", _roff(command.description)]
        for action in command._actions:  # noqa: SLF001 - argparse has no other list of them
            if action.help != argparse.SUPPRESS and not {"--help", "--name"} & {*action.option_strings}:
                rows += [".TP", f".B {_roff(_written(action))}", _roff(action.help or "")]
        if command.epilog:
            rows += [".PP", ".nf", _roff(command.epilog), ".fi"]
    return "\n".join(filter(None, rows))


def _written(action: argparse.Action) -> str:
    value = action.metavar or (f"{{{','.join(action.choices)}}}" if action.choices else action.dest.upper())
    names = ", ".join(action.option_strings)
    return " ".join(filter(None, (names, str(value) if action.nargs != 0 else "")))


def _roff(text: str | None) -> str:
    return re.sub(
        r"^(?=[.'])", r"\\&", (text or "").replace("\\", r"\e").replace("-", r"\-"), flags=re.MULTILINE
    )


def _command_list() -> str:
    rows = ((command.written.replace("-", "\\-"), command.does) for command in commands())
    return "\n".join(f".TP\n.B {written}\n{does}" for written, does in rows)


def main(folder: Path) -> None:
    """Make everything below `folder`."""
    (folder / "sbin").mkdir(parents=True, exist_ok=True)
    for name in programs():
        (folder / "sbin" / name).write_text(program(name))
        (folder / "sbin" / name).chmod(0o755)
    for name in programs():
        for shell, file in SHELLS.items():
            place = folder / shell / file.replace("PROGRAM", name)
            place.parent.mkdir(exist_ok=True)
            place.write_text(completion(shell, name))
    man_pages(folder / "man")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
