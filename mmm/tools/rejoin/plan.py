"""What a rejoin would do, and by which means, for who asks for a dry run; nothing is changed."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from mmm.config.model import Cluster
from mmm.mysql.server.login import tools_at
from mmm.mysql.session.connection import MysqlError, connect
from mmm.tools.provider.room import lacks_room
from mmm.tools.rejoin import checks, in_place
from mmm.tools.rejoin.expiry import for_days, kept_hint
from mmm.tools.rejoin.journal import COPYING, ORDER, Journal, Step
from mmm.tools.rejoin.look import Look
from mmm.tools.rejoin.step_error import StepError
from mmm.tools.rejoin.texts import STEPS
from mmm.tools.rejoin.undoing import proved
from mmm.tools.rejoin.ways import chosen
from mmm.tools.rewind.proof import MEGABYTE, Proof
from mmm.tools.rewind.texts import sentence
from mmm.tools.rewind.unfit import UnfitError
from mmm.wire.rejoin import CLONE, REWIND

_LIMIT = 10.0


def how(journal: Journal) -> str:
    """Return by which means a host comes back."""
    copy = f"with a copy of {journal.donor}"
    if journal.rewound:
        return "by rewind"
    if journal.way == CLONE:
        return copy
    return (
        "by rewind"
        if journal.method == REWIND
        else f"by rewind where that is proved to be right, else {copy}"
    )


def left(journal: Journal, days: int) -> str:
    """Return where what was there before is kept, and for how long."""
    old = (
        f"Its old data are in {journal.old}{for_days(journal, days)}."
        if journal.old
        else "Its old data were removed: there was no room beside them."
    )
    log = f"Its old binary log is in {journal.old_log}{for_days(journal, days)}."
    if journal.rewound:
        return log
    return f"{old} {log}" if journal.old_log else old


def plan(conf: Cluster, look: Look, journal: Journal) -> list[str]:
    """Return what would be done, line by line, and each way with what speaks against it."""
    own = checks.own(look)
    alone = (
        f"it has {own} alone, which are saved first" if own else "it has nothing alone, as far as is known"
    )
    proof = None if CLONE in {journal.way, journal.method} or journal.rewound else _proof(conf, look)
    if isinstance(proof, Proof):
        by, kept = "by rewind", f"the binary log would be kept beside {proof.files[0].parent}"
        steps = tuple(step for step in ORDER if step not in COPYING)
    else:
        late = journal.swapped or journal.swapping
        journal, why_not = _in_place(conf, journal if late else journal.by_copy(clean=True))
        by, kept, steps = f"with a copy of {journal.donor}", _kept(journal, why_not), journal.following
    return [
        f"{journal.host} would rejoin {journal.source} {by}; {alone}",
        *_numbered(steps),
        kept,
        *([] if proof is None else [f"{REWIND}: {_said(proof)}"]),
        *([] if journal.method == REWIND or journal.swapped else copies(conf, journal)),
    ]


def _in_place(conf: Cluster, journal: Journal) -> tuple[Journal, str]:
    """Return the journal as it is once it is known whether its old data have to go, and why they may not."""
    if not journal.in_place or journal.emptied or journal.swapped:
        return journal, ""
    try:
        with suppress(MysqlError), connect(tools_at(conf.hosts[journal.host]), _LIMIT) as server:
            return in_place.looked(conf, journal, (), server), ""
        return in_place.looked(conf, journal, (), None), ""
    except (MysqlError, StepError, OSError) as error:
        return journal, str(error)


def _kept(journal: Journal, why_not: str) -> str:
    if why_not:
        return f"--in-place: not fit: {why_not}"
    if journal.emptied:
        return f"the old data of {journal.host} are removed already"
    if journal.old_server:
        return f"{journal.datadir} would be emptied first, and nothing of it kept: there is no room beside it"
    return f"{journal.datadir} would be kept as {journal.old}"


def steps_left(journal: Journal) -> list[str]:
    """Return what a job would do that copies, and what would be kept of what is there now, line by line."""
    kept = [] if journal.swapped else [f"{journal.datadir} would be kept as {journal.old}"]
    return [*_numbered(journal.following), *kept]


def _numbered(steps: Iterable[Step]) -> list[str]:
    return [f"  {number}. {STEPS[step]}" for number, step in enumerate(steps, 1)]


def _proof(conf: Cluster, look: Look) -> Proof | str:
    """Return what would be undone, or why nothing would be."""
    try:
        with connect(tools_at(conf.hosts[look.host]), _LIMIT) as server:
            return proved(conf, look.master, server)
    except UnfitError as unfit:
        return sentence(unfit)
    except (MysqlError, StepError, OSError) as error:
        return str(error)


def _said(proof: Proof | str) -> str:
    if isinstance(proof, str):
        return f"not fit: {proof}"
    return f"fit: {proof.count} transactions, {proof.size / MEGABYTE:,.1f} MB of the binary log, are undone"


def copies(conf: Cluster, journal: Journal) -> Iterator[str]:
    """Yield how much the donor has, and each way to get a copy of it with what speaks against it."""
    try:
        choice = chosen(conf, journal.host, journal.donor)
    except MysqlError as error:
        yield f"{journal.donor} cannot be asked what it can give: {error}"
        return
    yield f"{journal.donor} has {choice.size / MEGABYTE:,.0f} MB of data"
    if why := lacks_room(Path(journal.staging), journal.donor, choice.size):
        yield f"no room for a copy: {why}{kept_hint(conf)}{in_place.hint(journal, choice.size)}"
    yield from (f"{provider.name}: fit" for provider in choice.fit)
    yield from (f"{name}: not fit: {why}" for name, why in choice.reasons)
