"""A job that gives this host other data: what mmm_rejoin, mmm_restore and mmm_clone share. Edge."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mmm.config.model import Cluster
from mmm.process import apparmor
from mmm.process.old_data import server_here
from mmm.process.tls import TlsError
from mmm.tools.fetch.stage import server_of
from mmm.tools.fetch.values import FailedError
from mmm.tools.program import say, tell
from mmm.tools.rejoin import checks, looking, option_files, server_control, swap
from mmm.tools.rejoin.checks import Refusal
from mmm.tools.rejoin.expiry import expire_before_a_copy
from mmm.tools.rejoin.journal import Journal, JournalError
from mmm.tools.rejoin.journal_file import BusyError, JobFolder
from mmm.tools.rejoin.look import Look, ServerLook
from mmm.tools.rejoin.means import Copies, Means
from mmm.tools.rejoin.run import Ended, Status, run
from mmm.tools.rejoin.saving import Saving
from mmm.tools.rejoin.server_control import ControlError, ServerControl
from mmm.tools.rejoin.steps import Steps
from mmm.tools.rejoin.texts import STEPS, sentence
from mmm.tools.rejoin.undoing import Undoing
from mmm.tools.saved.save import kept
from mmm.wire.job import Kind
from mmm.wire.rejoin import CLONE, REWIND


class CannotError(Exception):
    """Nothing was begun; one line each says why, with a code each where a program is told."""

    def __init__(self, status: Status, *lines: str, codes: Sequence[str] = ()) -> None:
        super().__init__(*lines)
        self.status = status
        self.lines = lines
        self.codes = codes


@dataclass(frozen=True, slots=True)
class Place:
    """Where the job is done."""

    conf: Cluster
    folder: JobFolder
    opened: Journal | None
    """A job that was broken off."""
    look: Look


def see_this(conf: Cluster) -> None:
    """Raise CannotError where the conf does not say which host this is."""
    if conf.this not in conf.hosts:
        text = f"{conf.path}: `this` names no host of the cluster"
        raise CannotError(Status.REFUSED, text, codes=("conf",))


def permits(conf: Cluster, option: str, named: str | None) -> bool:
    """Tell whether an option that permits something names this host; raises CannotError where it names another one."""
    if named is not None and named != conf.this:
        text = f"{option} {named}: this host is {conf.this}"
        raise CannotError(Status.REFUSED, text, codes=("other_host_named",))
    return named is not None


def begin(conf: Cluster, folder: JobFolder) -> Place:
    """Return where a job is done, with the lock that lets no other one run; raises CannotError."""
    see_this(conf)
    before = opened(folder)
    try:
        found = looking.look(conf)
    except (OSError, TlsError) as error:
        raise CannotError(Status.REFUSED, str(error), codes=("cannot_look",)) from error
    return Place(conf, folder, before, found)


def opened(folder: JobFolder) -> Journal | None:
    """Return the job that was broken off here, with the lock that lets no other one run; raises CannotError."""
    try:
        folder.lock()
        return folder.open_job()
    except BusyError as error:
        text = f"a job runs on this host already: {error}"
        raise CannotError(Status.BUSY, text, codes=("busy",)) from error
    except (JournalError, OSError) as error:
        raise CannotError(Status.REFUSED, str(error), codes=("cannot_look",)) from error


def see_kind(opened: Journal | None, kind: Kind) -> None:
    """Raise CannotError where the job that was broken off here is another program's."""
    if opened is not None and opened.kind != kind:
        raise CannotError(
            Status.REFUSED,
            f"job {opened.job} of mmm_{opened.kind} was broken off here: run mmm_{opened.kind} again,"
            " or take it back by `mmm_rejoin --abort`",
        )


def refuse(found: Sequence[Refusal]) -> None:
    """Raise CannotError with what speaks against the job, if anything does."""
    if found:
        codes = [refusal.code for refusal in found]
        raise CannotError(Status.REFUSED, *map(sentence, found), codes=codes)


def datadir(place: Place) -> Path:
    """Return this host's data folder, also of a server that is down; raises CannotError."""
    look, conf = place.look, place.conf
    if isinstance(look.server, ServerLook):
        return Path(look.server.datadir).resolve()
    try:
        here = conf.hosts[conf.this]
        return option_files.datadir(here, option_files.read(here)).resolve()
    except option_files.UnknownError as error:
        raise CannotError(Status.REFUSED, str(error), codes=("unknown_datadir",)) from error


def named(place: Place, donor: str, source: str, folder: Path) -> Journal:
    """Return the journal of a new job, with its name and its places."""
    host = place.look.host
    job = time.strftime(f"{host}-%Y%m%d-%H%M%S")
    staging, old = swap.places(folder, job, inside=_is_kept_inside(place, folder))
    expires = server_here(place.conf)
    return Journal(job, host, donor, source, str(folder), str(staging), str(old), expires=expires)


def _is_kept_inside(place: Place, datadir: Path) -> bool:
    """Tell whether AppArmor keeps this host's server to paths: those of its data are among them, no others surely."""
    if any(map(apparmor.of_process, server_control.ServerControl((), datadir).processes())):
        return True
    with suppress(FailedError):
        return bool(apparmor.of_program(server_of(place.conf.hosts[place.conf.this])[0]))
    return False


def journal(place: Place, kind: Kind, donor: str, source: str, folder: Path, backup: str = "") -> Journal:
    """Return the journal of a new job that has nothing frozen: it begins with whether the server runs."""
    runs = bool(server_control.ServerControl((), folder).processes())
    return replace(named(place, donor, source, folder), running=runs, kind=kind, backup=backup)


def gone_on_with(place: Place, opened: Journal, found: Sequence[Refusal]) -> Journal:
    """Return the job as it is gone on with; raises CannotError where `found`, or the host itself, speaks against it."""
    late = opened.swapped or opened.swapping
    refuse(
        [each for each in checks.of_the_host(place.look) if opened.source or each.code != "no_active_master"]
        if late
        else found
    )
    say(f"job {opened.job} is gone on with")
    return opened.again()


def steps_of(place: Place, journal: Journal, copies: Copies, *, lose: bool) -> Steps:
    """Return what does the steps of the job; raises CannotError where no way is found to stop the server."""
    try:
        control = _control(place.conf, journal)
    except ControlError as error:
        raise CannotError(Status.REFUSED, str(error), codes=("no_server_control",)) from error
    saving = Saving(place.conf, Path(place.conf.saved_dir), lose=lose)
    means = Means(
        place.conf, control, save=saving, copy=copies, rewind=Undoing(place.conf, say), say=say,
        make_room=lambda: expire_before_a_copy(place.conf, say), note=place.folder.note,
        master=lambda: looking.master(place.conf), catch_up_limit=place.conf.catch_up_limit,
    )  # fmt: skip
    return Steps(means)


def _control(conf: Cluster, journal: Journal) -> ServerControl:
    """Return how the server is stopped and started; raises ControlError. One whose data are gone cannot be found."""
    path = Path(journal.datadir)
    if journal.emptied and journal.old_server is not None:
        return ServerControl(journal.old_server.control, path)
    return server_control.find(conf.hosts[conf.this], path, ServerControl((), path).processes())


def go(place: Place, journal: Journal, copies: Copies, *, lose: bool) -> Ended:
    """Do what is left of the job; raises CannotError where no way is found to stop the server."""
    journal = journal if not lose else journal.for_good()
    steps = steps_of(place, journal, copies, lose=lose)
    try:
        return run(steps, place.folder, journal, say)
    finally:
        steps.close()


def own(journal: Journal) -> str:
    """Return what is said of the transactions that only this host had, with a blank before it; empty: it had none."""
    if not journal.saved:
        return ""
    found = kept(Path(journal.saved))
    return f" {found.place}" if found else f" What only it had is in {journal.saved}."


def told(ended: Ended, program: str) -> int:
    """Say what went wrong, if anything did; returns the exit status."""
    if ended.failed is not None:
        tell(f"{STEPS[ended.failed]}: {ended.why}")
        journal = ended.journal
        # That it was to be a rewind alone is refused now: no second one is tried.
        other = " without --method, for a copy" if (journal.method, journal.way) == (REWIND, CLONE) else ""
        after = {
            Status.TAKEN_BACK: f"{journal.host} is as it was before",
            Status.HALF_DONE: f"job {journal.job} is half done: mend that, and run {program} again{other}",
        }
        again = f"{program}, run again, begins a new job"
        tell(again if ended.left else after[ended.status])
    return ended.status
