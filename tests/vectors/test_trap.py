"""When results count as failures: trap.jsonl."""

from mmm.monitor.assess import trap
from mmm.monitor.world.checks import CheckStatus, Outcome
from tests.unit.worlds import finds
from tests.vectors.recordings import Json, vectors
from tests.vectors.tally import Tally

Change = tuple[float, str, int]


def test_recorded(tally: Tally) -> None:
    own = Tally()
    for vector in vectors("trap"):
        recorded = [(change["t"], change["host"], change["ok"]) for change in vector["out"]]
        ours = _changes(vector)
        if recorded == ours:
            own.agrees()
        elif rules := _rules(vector, recorded, ours):
            own.differs(rules)
        else:
            own.wrong.append(f"{vector['id']}: recorded {recorded}, ours {ours}")
    tally.add(own)
    own.check("trap")


def _changes(vector: Json) -> list[Change]:
    """Return when each host's check was first believed good or failed, and every change after that."""
    now = vector["start"]["time"]
    beliefs: dict[str, CheckStatus] = {}
    said: dict[str, bool] = {}
    changes: list[Change] = []
    for results in _rounds(vector):
        for host, outcome, message, took in results:
            now += took
            before = beliefs.get(host, CheckStatus())
            after = trap.step(before, finds(outcome, message), now, vector["config"]["trap_period"])
            beliefs[host] = after
            known = outcome is Outcome.OK or after.failed
            if known and said.get(host) != after.failed:
                said[host] = after.failed
                changes.append((now, host, int(not after.failed)))
        now += vector["config"]["check_period"]
    return changes


def _rounds(vector: Json) -> list[list[tuple[str, Outcome, str, float]]]:
    rounds = []
    for step in vector["steps"]:
        results = []
        network = step.get("net", 1)
        for host in vector["config"]["hosts"]:
            raw = step["results"].get(host) if network else None
            if raw is None:
                continue
            text, took, *rest = raw if isinstance(raw, list) else (raw, 0)
            network = rest[0] if rest else network
            if network and (outcome := _outcome(text)):  # lost meanwhile, the network may be the cause
                results.append((host, outcome, text, float(took)))
        rounds.append(results)
    return rounds


def _outcome(text: str) -> Outcome | None:
    return next((outcome for outcome in Outcome if text.startswith(outcome)), None)


def _rules(vector: Json, recorded: list[Change], ours: list[Change]) -> list[str]:
    """Return the rules that make the difference."""
    texts = [
        raw[0] if isinstance(raw, list) else raw
        for step in vector["steps"]
        for raw in step["results"].values()
    ]
    rules = []
    if any(text.startswith("UNKNOWN") for text in texts):
        rules.append("10.7")
    if any(good for _, _, good in set(ours) - set(recorded)):
        rules.append("10.27")
    return rules
