"""What people and programs are told of the monitors: who leads, who keeps it so, who stands by (rule 14.2). Pure."""

from collections.abc import Iterator
from typing import Any, ClassVar

from mmm.monitor.report.clock import Clock
from mmm.monitor.world.leadership import Place
from mmm.monitor.world.said import Fields, Said, Several, Texts
from mmm.monitor.world.warnings import Level, Warned
from mmm.monitor.world.world import World


def _leads(fields: Fields) -> str:
    kept = fields["kept_by"] or "nobody yet"
    by = "the other monitors" if fields["by_monitors"] else kept
    return f"{fields['leader']} leads since {fields['since']}, kept by {by}{_others(fields)}"


def _follows(fields: Fields) -> str:
    kept = f", kept by {fields['kept_by']}" if fields["kept_by"] else ""
    return f"{fields['leader']} leads{kept}; {fields['own']}, this one, stands by{_missing(fields)}"


def _nobody(fields: Fields) -> str:
    why = f"{_missing(fields)}{_uncounted(fields)}{_barred(fields)}"
    return f"No monitor leads; {fields['own']}, this one, stands by{why}"


def _uncounted(fields: Fields) -> str:
    if not fields["uncounted"]:
        return ""
    count = "do not count" if len(fields["uncounted"]) > 1 else "does not count"
    return (
        f"; {fields['uncounted']} {count}, with a lost disk or other voters in the conf than before:"
        " 'mmm_control take_lead --force' once no other monitor gives orders"
    )


def _barred(fields: Fields) -> str:
    if not fields["barred"]:
        return ""
    return (
        f"; who led last may lead yet by the word of {fields['barred']}, which do not know of {fields['own']}:"
        " start one of them with this conf, or 'mmm_control take_lead --force' once none of them runs with the old one"
    )


def _others(fields: Fields) -> str:
    stands = (
        f"; {fields['others']} {'stand' if len(fields['others']) > 1 else 'stands'} by"
        if fields["others"]
        else ""
    )
    return f"{stands}{_missing(fields)}"


def _missing(fields: Fields) -> str:
    if not fields["missing"]:
        return ""
    return f"; {missing(fields['missing'], fields['voters'])}"


def missing(names: Several, voters: int) -> str:
    """Return which of so many voters do not answer, in words."""
    are = "are" if len(names) > 1 else "is"
    return f"{len(names)} of {voters} voters {are} missing: {names}"


class Lead(Said):
    """Which monitor leads, in one line."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        Place.LEADS: _leads,
        Place.TAKES: "{own}, this one, takes the lead",
        Place.STANDS_BY: lambda of: _follows(of) if of["leader"] else _nobody(of),
    }


def lead(world: World, clock: Clock) -> Lead | None:
    """Return which monitor leads, None where the conf has one monitor."""
    now = world.leadership
    if now.place is Place.ALONE:
        return None
    own = world.conf.monitor.ip if world.conf.monitor else ""
    return Lead(
        str(now.place),
        {
            "own": own,
            "leader": now.leader,
            "since": clock.local(now.since),
            "kept_by": Several(now.kept_by),
            "by_monitors": now.by_monitors,
            "missing": Several(now.missing),
            "voters": len(world.conf.voters),
            "others": Several(now.others),
            "uncounted": Several(now.uncounted),
            "barred": Several(now.barred),
        },
    )


def encoded(world: World, clock: Clock) -> dict[str, Any] | None:
    """Return the same as JSON has it: of each monitor what it is, where that is known."""
    told = lead(world, clock)
    if told is None:
        return None
    now, own = world.leadership, told.fields["own"]
    return {
        "leads": now.place is Place.LEADS,
        "place": str(now.place),
        "since": now.since,
        "leader": now.leader or None,
        "kept_by": list(now.kept_by),
        "by_monitors": now.by_monitors,
        "voters": list(world.conf.voters),
        "witnesses": [name for name in world.conf.voters if name in world.conf.witnesses],
        "missing": list(now.missing),
        "uncounted": list(now.uncounted),
        "barred": list(now.barred),
        "monitors": [{"ip": ip, "own": ip == own, **_state(world, ip)} for ip in world.conf.monitors],
        "text": str(told),
    }


def _state(world: World, ip: str) -> dict[str, Any]:
    now = world.leadership
    own = world.conf.monitor is not None and ip == world.conf.monitor.ip
    return {"leads": ip == now.leader, "answers": own or ip == now.leader or ip in now.others}


def lines(world: World, clock: Clock) -> str:
    """Return the answer to `monitors`: a line for each."""
    told = encoded(world, clock)
    if told is None:
        ip = world.conf.monitor.ip if world.conf.monitor else ""
        return f"{ip} is the only monitor\n"
    return "".join(f"{line}\n" for line in _lines(told, clock))


def _lines(told: dict[str, Any], clock: Clock) -> Iterator[str]:
    for each in told["monitors"]:
        leads = each["leads"]
        what = "leads" if leads else "stands by" if each["answers"] else "does not answer"
        if leads and told["leads"]:
            what += f" since {clock.local(told['since'])}"
        if leads and (told["kept_by"] or told["by_monitors"]):
            what += f", kept by {'the other monitors' if told['by_monitors'] else ', '.join(told['kept_by'])}"
        yield f"{each['ip']}{' (this one)' if each['own'] else ''}: {what}"
    for name in told["witnesses"]:
        yield f"{name} (witness): {'does not answer' if name in told['missing'] else 'votes'}"
    if not told["leader"]:
        yield "no monitor leads"
    if told["missing"]:
        yield missing(Several(told["missing"]), len(told["voters"]))


def _unled(silent: tuple[str, ...], voters: int) -> Fields:
    said = missing(Several(silent), voters) if silent else f"all {voters} voters answer"
    return {"missing": len(silent), "voters": voters, "said": said}


def concerns(world: World) -> Iterator[Warned]:
    """Yield what is to be warned of: that nobody leads, who could not take the lead next, and who does not vote.

    What a monitor says of the cluster that does not lead is never the last word: it says so itself.
    """
    now, voters = world.leadership, world.conf.voters
    if now.place is Place.STANDS_BY and not now.leader:
        yield Warned("no_leader", now.missing, _unled(now.missing, len(voters)), Level.CRITICAL)
    elif now.place is Place.STANDS_BY:
        yield Warned("stands_by", fields={"leader": now.leader})
    elif now.place is Place.TAKES:
        yield Warned("takes_lead")
    if now.place is not Place.LEADS:
        return
    answering, needed = len(voters) - len(now.missing), len(voters) // 2 + 1
    if answering < needed:
        yield Warned(
            "no_successor", now.missing, {"answering": answering, "voters": len(voters), "needed": needed}
        )
    for name in now.missing:
        if name in world.conf.witnesses:  # of other voters the checks tell
            yield Warned("witness_silent", (name,))
    silent = [ip for ip in world.conf.monitors if ip != now.leader and ip not in now.others]
    for ip in silent:
        yield Warned("monitor_silent", fields={"address": ip})
