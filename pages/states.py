"""Makes docs/states.md of the table of state rules: `python -m pages.states > docs/states.md`."""

import re
import sys
from collections import defaultdict

from mmm.monitor.states.table import RULES, Consequence, Rule
from mmm.monitor.world.host import State

_MEANINGS = {
    State.ONLINE: "in use; the only state in which a host holds roles",
    State.ADMIN_OFFLINE: "set offline by the admin; replication is stopped, nothing changes by itself",
    State.HARD_OFFLINE: "dead",
    State.AWAITING_RECOVERY: "back, and waiting: for set_online, for auto_set_online, or for the end of flapping",
    State.REPLICATION_FAIL: "replication is broken",
    State.REPLICATION_DELAY: "replication is too far behind",
}
_HEAD = """\
# States of a host

This page is made from the table of rules in `mmm/monitor/states/table.py`; a test fails when it is stale. For each
host, at every event, the first rule that fits counts; the rules stand here in their order. The name of the rule and its
sentence are in the log line of each change and in `mmm_control explain`. Without network nothing changes. For a
slave its peer is the active master.

A host is dead when its mysql check has failed, or when ping has and nothing answered when its server was asked next.
While the server answers, lost ping alone changes nothing; with `ping_alone_kills yes` it does.

"""
_FOLLOWS = {
    Consequence.TAKE_ROLES: "its roles go to others (not in manual and wait mode)",
    Consequence.KILL_UNLESS_TOLD: "it is killed if its agent cannot be told (not in manual and wait mode)",
    Consequence.KILL_IN_ANY_MODE: "it is killed if its agent cannot be told, in manual and wait mode too",
}
_TAIL = """
`set_online` leads from ADMIN_OFFLINE and AWAITING_RECOVERY to ONLINE (not a master that has more than the active one,
unless by `set_online --force`), `set_offline` from ONLINE and REPLICATION_* to
ADMIN_OFFLINE, `move_role --force` from REPLICATION_* to ONLINE. In passive mode states change, roles and kill_host
are left alone.
"""


def page() -> str:
    """Return the text of docs/states.md."""
    states = "".join(f"| {state} | {meaning} |\n" for state, meaning in _MEANINGS.items())
    rules = "".join(_row(rule) for rule in RULES)
    return (
        f"{_HEAD}| state | |\n|---|---|\n{states}\n{_diagram()}\n"
        f"| rule | from | when | to | what follows | sentence |\n|---|---|---|---|---|---|\n{rules}{_TAIL}"
    )


def _row(rule: Rule) -> str:
    sources = " ".join(rule.sources)
    when = "; ".join(fact.text for fact in rule.when)
    follows = "; ".join(text for flag, text in _FOLLOWS.items() if flag in rule.follows)
    return f"| {rule.name} | {sources} | {when} | {rule.to or 'stays'} | {follows} | {_sentence(rule.sentence)} |\n"


def _sentence(text: str) -> str:
    """Return a sentence with what is filled in later in italics."""
    return re.sub(r"\{([a-z_]+)[^}]*\}", r"*\1*", text)


def _diagram() -> str:
    arrows: dict[tuple[State, State], list[str]] = defaultdict(list)
    for rule in RULES:
        for source in rule.sources:
            if rule.to is not None:
                arrows[source, rule.to].append(rule.name)
    arrows[State.ADMIN_OFFLINE, State.ONLINE].append("set_online")
    arrows[State.AWAITING_RECOVERY, State.ONLINE].append("set_online")
    for state in (State.ONLINE, State.REPLICATION_FAIL, State.REPLICATION_DELAY):
        arrows[state, State.ADMIN_OFFLINE].append("set_offline")
    lines = [f"    {source} --> {to}: {', '.join(names)}" for (source, to), names in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> AWAITING_RECOVERY", *lines, "```", ""])


if __name__ == "__main__":
    sys.stdout.write(page())
