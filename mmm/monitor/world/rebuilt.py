"""What is said of a host that a job gives other data, as its agent tells of it."""

from typing import ClassVar

from mmm.monitor.world.said import Fields, Said, Texts
from mmm.wire.job import Job, Kind

_STEPS = {
    "": "beginning",
    "freeze": "stopping its replication",
    "save": "saving what only it has",
    "prove": "seeing whether that can be undone",
    "undo": "undoing what only it had",
    "room": "looking for room for a copy",
    "empty": "removing its old data",
    "fetch": "copying",
    "prepare": "preparing the copy",
    "stop": "stopping its server",
    "swap": "putting the copy in place",
    "start": "starting its server",
    "numbers": "passing the numbers of what was saved",
    "follow": "following the active master",
    "catch_up": "catching up",
}


def _doing(of: Fields) -> str:
    return _STEPS.get(of["step"], str(of["step"]))


def _whence(of: Fields) -> str:
    backup = "a backup of " if of["kind"] == Kind.RESTORE else ""
    return f" from {backup}{of['donor']}" if of["donor"] else ""


def _runs(of: Fields) -> str:
    far = "" if of["percent"] is None else f" {of['percent']} %"
    left = "" if of["left"] is None else f", {of['left']:.0f} s left"
    return f"is being rebuilt{_whence(of)}: {_doing(of)}{far}{left}"


def _broken_off(of: Fields) -> str:
    return (
        f"was being rebuilt{_whence(of)}, and that was broken off while {_doing(of)}: run"
        f" mmm_{of['kind']} on {of['host']} again, which goes on with it"
    )


class Rebuilt(Said):
    """What a job does to a host."""

    __slots__ = ()

    texts: ClassVar[Texts] = {"runs": _runs, "broken_off": _broken_off}


def rebuilt(host: str, job: Job) -> Rebuilt:
    """Return what is to be said of the job that is open on the host."""
    fields = {"host": host, "kind": job.kind, "donor": job.donor, "step": job.step}
    more = {"percent": job.percent, "left": job.left}
    return Rebuilt("broken_off" if job.broken_off else "runs", {**fields, **more})
