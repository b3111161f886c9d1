"""The program `mmm_rejoin`: its arguments, what it says, its exit status (docs/rejoin.md)."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mmm.config import load as config
from mmm.config.model import Cluster
from mmm.process.command_line import parsed
from mmm.process.job_answer import Answer
from mmm.process.version import Version
from mmm.tools.program import LOG, command_line, end_as_by_interrupt, give_up, log_to, names, say, tell
from mmm.tools.provider.table import rewinds
from mmm.tools.rejoin import checks, job
from mmm.tools.rejoin.checks import NOTHING_TO_DO, Refusal, donor, refusals
from mmm.tools.rejoin.copying import Copying
from mmm.tools.rejoin.expiry import plan as plan_expiry
from mmm.tools.rejoin.expiry import put_aside, remove
from mmm.tools.rejoin.job import CannotError, Place
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.tools.rejoin.look import Look
from mmm.tools.rejoin.plan import how, left, plan
from mmm.tools.rejoin.run import Ended, Status, leave, run, take_back
from mmm.tools.rejoin.texts import sentence
from mmm.wire.job import Kind
from mmm.wire.rejoin import CLONE, METHODS, REWIND

_EPILOG = """\
Run it on the host that is to come back. What only this host has is saved first; the old data folder is kept for
keep_old_data days.
exit status: 0 done, 1 failed and taken back, 2 usage, conf or refused, 3 another job runs, 4 half done: run it again
with --expire: 1 some of it stays whose time is over"""


class _Arguments(NamedTuple):
    cluster: str | None
    config: Path | None
    donor: str | None
    method: str
    dry_run: bool
    resume: bool
    abort: bool
    lose_extra: str | None
    in_place: str | None
    check: bool
    expire: bool
    keep_days: int | None
    ordered: bool


def main() -> int:
    """Run mmm_rejoin with the arguments of the process; returns its exit status."""
    return rejoin(sys.argv[1:])


def rejoin(argv: Sequence[str], folder: JobFolder | None = None) -> int:
    """Run mmm_rejoin with these arguments; returns its exit status."""
    arguments = _arguments(argv)
    answer = Answer(awaited=arguments.ordered)
    log_to(LOG)
    end_as_by_interrupt()
    try:
        conf = _conf(arguments)
        if arguments.check:
            say(f"{conf.path}: OK")
            return Status.DONE
        if arguments.expire:
            return _expired(conf, arguments, folder or JobFolder())
        return _rejoin(conf, arguments, folder or JobFolder(), answer)
    except CannotError as error:
        answer.give(error.lines, error.codes, begun=False)
        for line in error.lines:
            tell(line)
        return error.status
    except OSError as error:
        give_up([str(error)])
        return Status.TAKEN_BACK
    except KeyboardInterrupt:
        tell("interrupted before anything was changed")
        return Status.TAKEN_BACK


def _rejoin(conf: Cluster, arguments: _Arguments, folder: JobFolder, answer: Answer) -> int:
    lose = job.permits(conf, "--lose-extra", arguments.lose_extra)
    in_place = job.permits(conf, "--in-place", arguments.in_place)
    place = job.begin(conf, folder)
    opened, look = place.opened, place.look
    if opened and opened.kind != Kind.REJOIN and not arguments.abort:
        text = f"job {opened.job} is one of mmm_{opened.kind}: run that again, or take it back by --abort"
        raise CannotError(Status.REFUSED, text, codes=("other_job",))
    if arguments.abort:
        return _abort(place, answer)
    if opened and not arguments.dry_run and (needless := _needless(look, opened)):
        line = f"job {opened.job} is taken back: {sentence(needless)}"
        say(line)
        return _taken_back(place, opened, answer, line)
    if arguments.resume and opened is None:
        raise CannotError(Status.REFUSED, "there is no job to go on with", codes=("no_job",))
    journal = _gone_on_with(look, opened, arguments) if opened else _new(place, arguments)
    # Data are removed by the word of who runs it now alone: the agent goes on with what an admin has begun.
    journal = replace(journal, in_place=in_place)
    if lose:
        journal = journal.for_good()
    steps = job.steps_of(place, journal, _copying(place), lose=lose)
    if arguments.dry_run:
        lines = plan(conf, look, journal)
        answer.give(lines, begun=True)
        say("\n".join(lines))
        return Status.DONE
    begins = f"{journal.host}: rejoins {journal.source} {how(journal)}: job {journal.job}"
    answer.give([begins], begun=True)
    say(begins)
    try:
        return _told(run(steps, folder, journal, say), conf.keep_old_data)
    finally:
        steps.close()


def _expired(conf: Cluster, arguments: _Arguments, folder: JobFolder) -> int:
    try:
        return _expire(conf, arguments, folder)
    except KeyboardInterrupt:
        tell("interrupted: the next --expire goes on with it")
        return Status.TAKEN_BACK


def _expire(conf: Cluster, arguments: _Arguments, folder: JobFolder) -> int:
    """Remove what earlier jobs have kept for long enough; raises CannotError."""
    days = conf.keep_old_data if arguments.keep_days is None else arguments.keep_days
    if not days and arguments.keep_days is None:
        text = "--expire: keep_old_data of the conf is 0, all is kept for good: name --keep-days"
        raise CannotError(Status.REFUSED, text)
    opened = job.opened(folder)  # one that was broken off may need the room to go on
    used = (Path(opened.datadir),) if opened else ()
    if arguments.dry_run:
        folder.unlock()  # to look through much takes a while, and disturbs no job
        whole = plan_expiry(conf, days, say, folder.path, used)
    else:
        aside = put_aside(conf, days, say, folder.path, used)
        folder.unlock()
        whole = remove(aside, say)
    return Status.DONE if whole else Status.TAKEN_BACK


def _copying(place: Place) -> Copying:
    return Copying(place.conf, say, place.folder.note)


def _abort(place: Place, answer: Answer) -> int:
    opened = place.opened
    if opened is None:
        raise CannotError(Status.REFUSED, "there is no job to take back", codes=("no_job",))
    if not (opened.revocable or opened.leavable):
        done = (
            f"has removed the data that {opened.host} had"
            if opened.emptied
            else "has undone something, nobody knows how much"
        )
        text = f"job {opened.job} {done}: go on with it"
        raise CannotError(Status.REFUSED, text, codes=("not_revocable",))
    if opened.leavable:
        steps = job.steps_of(place, opened, _copying(place), lose=False)
        answer.give([f"{opened.host}: job {opened.job} is given up, the host stays as it is"], begun=True)
        return leave(steps, place.folder, opened, say)
    return _taken_back(place, opened, answer, f"{opened.host}: job {opened.job} is taken back")


def _needless(look: Look, opened: Journal) -> Refusal | None:
    """Return that a job has nothing to do any more, which had changed nothing yet: its host has come back otherwise.

    It would be in the way of all that the host is to do, and never gone on with.
    """
    found = () if _has_changed(opened.again()) else refusals(look)
    return found[0] if [each.code for each in found] == [NOTHING_TO_DO] else None


def _taken_back(place: Place, opened: Journal, answer: Answer, line: str) -> int:
    steps = job.steps_of(place, opened, _copying(place), lose=False)
    answer.give([line], begun=True)
    done = take_back(steps, place.folder, opened, say) is Status.TAKEN_BACK
    return Status.DONE if done else Status.HALF_DONE


def _has_changed(journal: Journal) -> bool:
    """Tell whether the host's data are not as they were, or not all there."""
    return journal.swapped or journal.swapping or journal.rewound or journal.tainted or journal.emptied


def _gone_on_with(look: Look, opened: Journal, arguments: _Arguments) -> Journal:
    """Return the job as it is gone on with; the active master may be another one by now."""
    journal, method = opened.again(), arguments.method
    if method == CLONE and not (journal.swapped or journal.swapping):
        journal = journal.by_copy(clean=not journal.rewound)
    job.refuse(checks.of_the_host(look) if _has_changed(journal) else refusals(look))
    if method == REWIND and journal.way == CLONE:
        text = f"job {journal.job} is past a rewind, and goes on with a copy: leave --method out"
        raise CannotError(Status.REFUSED, text, codes=("past_rewind",))
    say(f"job {opened.job} is gone on with")
    journal = replace(journal.towards(look.master), method=method or journal.method)
    if journal.swapped or journal.swapping:
        return journal
    return replace(journal, donor=checks.donor_again(look, arguments.donor or journal.donor))


def _new(place: Place, arguments: _Arguments) -> Journal:
    look, method = place.look, arguments.method
    job.refuse(refusals(look))
    found = donor(look, arguments.donor)
    if isinstance(found, Refusal):
        job.refuse((found,))
    copied = method == CLONE or not (method or rewinds(place.conf.providers))
    journal = job.named(place, str(found), look.master, job.datadir(place))
    return replace(journal, method=method, way=CLONE if copied else "")


def _told(ended: Ended, days: int) -> int:
    journal = ended.journal
    if ended.failed is None:
        follows = f"{journal.host} is back after {ended.seconds:.1f} s and follows {journal.source}."
        say(f"OK: {follows}{job.own(journal)} {left(journal, days)}")
    return job.told(ended, "mmm_rejoin")


def _conf(arguments: _Arguments) -> Cluster:
    try:
        conf = config.load(arguments.config, "REJOIN", cluster=arguments.cluster, name="mmm_tools")
    except config.ConfError as error:
        raise CannotError(Status.REFUSED, *error.errors, codes=("conf",)) from error
    job.see_this(conf)
    return conf


def _arguments(argv: Sequence[str]) -> _Arguments:
    parser = command_line("mmm_rejoin", _EPILOG)
    parser.add_argument(
        "--from", dest="donor", metavar="HOST", help="copy this host's data (a slave that is fit)"
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="",
        help="rewind: only undo what this host alone has; clone: always copy all data (default: rewind if possible,"
        " else clone)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
    parser.add_argument("--resume", action="store_true", help="only go on with a job that was broken off")
    parser.add_argument("--abort", action="store_true", help="take back a job that was broken off")
    parser.add_argument(
        "--expire",
        action="store_true",
        help="only remove what earlier jobs have replaced and kept for keep_old_data days",
    )
    parser.add_argument(
        "--keep-days",
        type=_days,
        metavar="N",
        help="with --expire: for N days (keep_old_data); 0: remove all",
    )
    _add_permissions(parser)
    parser.add_argument("--check", action="store_true", help="read the conf, report all errors, and exit")
    parser.add_argument("--ordered", action="store_true", help=argparse.SUPPRESS)  # by this host's agent
    parser.add_argument("--version", action=Version)
    parser.add_argument("-h", "--help", action="help", help="show this help and exit")
    cluster, given = parsed(parser, argv, names)
    if given.keep_days is not None and not given.expire:
        parser.error("--keep-days goes with --expire")
    if given.in_place and given.ordered:
        parser.error("--in-place is for an admin on the host alone: an order only ever renames data")
    others = (given.donor, given.method, given.resume, given.abort, given.lose_extra, given.in_place)
    if given.expire and any(others):
        parser.error("--expire goes with --dry-run and --keep-days alone")
    return _Arguments(cluster, **vars(given))


def _add_permissions(parser: argparse.ArgumentParser) -> None:
    """Add what takes this host's name, typed once more."""
    parser.add_argument(
        "--lose-extra", metavar="HOST", help="go on where what only this host has cannot be saved: name it"
    )
    parser.add_argument(
        "--in-place",
        metavar="HOST",
        help="where a copy has no room beside the old data, remove these first, for good: name this host",
    )


def _days(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else -1
    if number < 0:
        raise argparse.ArgumentTypeError("a number from 0 on")
    return number


if __name__ == "__main__":
    sys.exit(main())
