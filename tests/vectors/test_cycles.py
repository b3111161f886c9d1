"""The monitor's cycles, the admin's commands, and the start: state.jsonl, commands.jsonl, startup.jsonl."""

import pytest

from mmm.config.model import Cluster, Vip
from mmm.config.names import CHECK_NAMES as CHECKS
from mmm.monitor.act import status_file
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.decide.startup import start
from mmm.monitor.world.checks import CheckStatus, Outcome, silent
from mmm.wire.agent import WireError, decode_vips
from mmm.wire.status import Status, SystemStatus
from tests.unit.worlds import finds
from tests.vectors.compare import Difference, Expected
from tests.vectors.recordings import Json, configs, vectors
from tests.vectors.replay import Replay, first_world
from tests.vectors.rules import CRASH, KEYS, Story, classic, explain
from tests.vectors.tally import Tally

Explained = list[tuple[Difference, str | None]]


@pytest.mark.parametrize("family", ["state", "commands", "startup"])
def test_recorded(family: str, tally: Tally) -> None:
    own = Tally()
    for vector in vectors(family):
        own.take(vector["id"], _explained(configs()[vector["config"]], vector))
    tally.add(own)
    own.check(family)


def _explained(conf: Cluster, vector: Json) -> Explained:
    """Return how ours differs, by the rules that conf keys turn off too.

    With these turned off everything has to be as recorded, or explained by another rule, in any case.
    """
    as_classic = _play(classic(conf, *KEYS), vector)
    ours = _play(conf, vector)
    if ours == as_classic or any(rule is None for _, rule in as_classic):
        return as_classic
    if not ours:
        return []
    for number in KEYS:
        if _play(classic(conf, number), vector) == as_classic:
            return [(difference, number) for difference, _ in ours]
    return [(difference, number) for difference, _ in ours for number in KEYS]


def _play(conf: Cluster, vector: Json) -> Explained:
    """Return the differences of the first step that has any, with the rules that explain them."""
    first, *rest = vector["steps"]
    dumb: set[str] = set()
    wrong: set[str] = set()
    calm: set[str] = set()
    expected = Expected(vector["start"])
    if first["in"].get("do") == "init":
        replay, found = _start(conf, vector)
        if "crash" in first["out"]:
            return [CRASH]
        if found:
            return [(difference, None) for difference in found]
        expected.begin(replay.world)
    else:
        replay, rest = Replay(first_world(conf, vector["start"])), vector["steps"]
    for step in rest:
        given, recorded = step["in"], step["out"]
        before = replay.world
        heard = replay.step(given)
        if "crash" in recorded or "ended_for_some" in recorded:
            return [CRASH]
        dumb |= {name for name in conf.hosts if replay.agents.get(name, "down") in ("down", "mute")}
        wrong |= {
            name for name in conf.hosts if str(replay.agents.get(name)).split(":")[0] in ("error", "junk")
        }
        calm |= {name for name, host in replay.world.hosts.items() if host.rule == "calm_again"}
        story = Story(
            given, recorded, before, replay, heard, frozenset(dumb), frozenset(wrong), frozenset(calm),
            (given["cmd"],) if "cmd" in given else tuple(given.get("cmds", ())),
        )  # fmt: skip
        found = list(expected.differences(recorded, replay, heard))
        if found:
            return [(difference, explain(difference, story)) for difference in found]
        if recorded.get("tie"):
            break
    return []


def _start(conf: Cluster, vector: Json) -> tuple[Replay, list[Difference]]:
    """Return the world after the start, and how it differs from the recorded one."""
    given, recorded = vector["steps"][0]["in"], vector["steps"][0]["out"]
    checks = {
        name: {
            check: CheckStatus(
                not good,
                finds(Outcome.OK) if good else finds(Outcome.ERROR, "failed"),
                given["t"],
                None if good else given["t"],
            )
            for check, good in zip(
                CHECKS, vector["start"].get("checks", {}).get(name, (1, 1, 1, 1)), strict=True
            )
        }
        for name in conf.hosts
    }
    stored = status_file.decode(given["status_text"])[0] if "status_text" in given else None
    found = {}
    for name in conf.hosts:
        told = given["found"].get(name, {})
        kept = stored.get(name) if stored is not None else _stored(told.get("stored"))
        found[name] = _found(
            told, given["agents"].get(name, "down"), kept, may_answer=not silent(checks[name], conf)
        )
    started = start(conf, checks, found, given["t"])
    replay = Replay(started.world)
    replay.agents.update(given["agents"])
    if "crash" in recorded:
        return replay, []
    differences = list(Expected(recorded).of_start(recorded, started.world, bool(started.conflict)))
    return replay, differences


def _found(told: Json, agent: int | str, stored: Stored | None, *, may_answer: bool) -> Found:
    if not may_answer or not isinstance(agent, int):
        return Found(stored)
    status, system = told.get("agent"), told.get("system")
    return Found(
        stored,
        Status(status["state"], _vips(status["roles"]), status["master"]) if status else None,
        SystemStatus(bool(system["writable"]), _vips(system["roles"]), system["master_ip"])
        if system
        else None,
        float(agent),
    )


def _stored(kept: Json | None) -> Stored | None:
    return Stored(kept["state"], _vips(kept["roles"])) if kept else None


def _vips(texts: list[str]) -> tuple[Vip, ...]:
    vips: list[Vip] = []
    for text in texts:
        try:
            vips += decode_vips(text)
        except WireError:
            continue
    return tuple(vips)
