"""What the history keeps, and why it happened, as values."""

from typing import ClassVar

from mmm.monitor.world.said import Fields, Said, Texts, listed
from mmm.wire.job import Ended, Kind, Result


def _confirmed_dead(of: Fields) -> str:
    return f"{of['host']}: confirmed dead by {of['who']}: {waited_for(of['held'])}"


def waited_for(held: tuple[object, ...]) -> str:
    """Return what waits no more for a host that counts as off, and may have `held` VIPs."""
    return f"nothing waits any more for it to let {listed(held)} go" if held else "nothing waited for it"


def _absent(of: Fields) -> str:
    silent = f"{of['host']} and " if of["host_too"] else ""
    return f"{of['host']}: nothing answers ARP for {silent}{of['vip']}: it has not got it"


_DONE = {Kind.CLONE: "cloned", Kind.RESTORE: "restored"}
_CALLED = {Kind.CLONE: "copy", Kind.RESTORE: "restore"}


def _rejoined(of: Fields) -> str:
    count = of["count"]
    saved = (
        f", {count} transaction{'' if count == 1 else 's'} saved in {of['folder']}" if of["folder"] else ""
    )
    kind = of.get("kind", Kind.REJOIN)
    whence = f"from {'a backup of ' if kind == Kind.RESTORE else ''}{of['donor']}"
    how = whence if of["donor"] else "by rewind"
    return f"{of['host']}: {_DONE.get(kind, 'rejoined')} {how} in {of['seconds']:.1f} s{saved}"


def _taken_back(of: Fields) -> str:
    return f"{_its(of)} was taken back, see mmm_tools.log there"


def _left(of: Fields) -> str:
    return f"{_its(of)} was given up, the host left as it is: see mmm_tools.log there"


def _its(of: Fields) -> str:
    called = _CALLED.get(of.get("kind", Kind.REJOIN), "rejoin")
    return f"{of['host']}: its {called} from {of['donor']}"


def _network(of: Fields) -> str:
    if of["up"]:
        return "a host answers again" if of["hosts_silent"] else "a ping_ip answers again"
    return "all hosts fell silent at once" if of["hosts_silent"] else "none of the ping_ips answers"


class Happened(Said):
    """Something that the history keeps."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "state": "{host}: {before} -> {after}",
        "mode": "mode: {before} -> {after}",
        "network": lambda of: f"network: {_network(of)}",
        "moved": lambda of: f"{of['vip']}: {of['source'] or 'nobody'} -> {of['target'] or 'nobody'}",
        "stays": "{vip}: stays with {source}",
        "confirmed_dead": _confirmed_dead,
        "absent": _absent,
        "loss": "{said}",
        "rejoin_ordered": "{host}: is rebuilt by itself: {why}",
        "rejoin_refused": "{host}: is not rebuilt by itself: {refusal}",
        "rejoined": _rejoined,
        "reloaded": lambda of: f"another conf is taken: {listed(of['changes'], '; ')}",
        "warned": "{level}: {said}",
        "warning_over": "over: {said}",
        "rejoin_taken_back": _taken_back,
        "rejoin_left": _left,
    }


class Why(Said):
    """What a change or a move of a role comes from."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "rule": "{rule}: {why}",
        "state": "{host} {state} by {rule}: {why}",
        "admin": "ordered by the admin",
    }


_ENDED = {Result.DONE: "rejoined", Result.TAKEN_BACK: "rejoin_taken_back", Result.LEFT: "rejoin_left"}


def job_ended(host: str, ended: Ended) -> Happened:
    """Return the end of a job that rebuilt the host."""
    code = _ENDED[ended.result]
    fields = {"host": host, "job": ended.name, "kind": ended.kind, "donor": ended.donor}
    more = {"seconds": ended.seconds, "count": ended.count, "folder": ended.folder}
    return Happened(code, {**fields, **more})
