"""The program `mmm_rejoin`: its arguments, what it says, its exit status (docs/rejoin.md)."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mmm.config import load as config
from mmm.config.model import Cluster
from mmm.process.cluster import split_cluster
from mmm.process.job_answer import Answer
from mmm.process.tls import TlsError
from mmm.process.version import Version
from mmm.tools.program import LOG, end_as_by_interrupt, log_to, say, tell
from mmm.tools.provider.table import rewinds
from mmm.tools.rejoin import checks, looking, option_files, server_control, swap
from mmm.tools.rejoin.checks import Refusal, donor, refusals
from mmm.tools.rejoin.copying import Copying
from mmm.tools.rejoin.journal import Journal, JournalError, Kind
from mmm.tools.rejoin.journal_file import BusyError, JobFolder
from mmm.tools.rejoin.look import Look, ServerLook
from mmm.tools.rejoin.plan import how, left, plan
from mmm.tools.rejoin.run import Ended, Status, run, take_back
from mmm.tools.rejoin.saving import Saving
from mmm.tools.rejoin.server_control import ControlError
from mmm.tools.rejoin.steps import Means, Steps
from mmm.tools.rejoin.texts import STEPS, sentence
from mmm.tools.rejoin.undoing import Undoing
from mmm.tools.saved.save import kept
from mmm.wire.rejoin import CLONE, METHODS, REWIND

_EPILOG = """\
Run it on the host that is to come back. What only this host has is saved first, the old data folder is kept.
exit status: 0 done, 1 failed and taken back, 2 usage, conf or refused, 3 another job runs, 4 half done: run it again"""


class _Arguments(NamedTuple):
    cluster: str | None
    config: Path | None
    donor: str | None
    method: str
    dry_run: bool
    abort: bool
    lose_extra: str | None
    ordered: bool


class _CannotError(Exception):
    """Nothing was begun; one line each says why."""

    def __init__(self, status: Status, *lines: str, codes: Sequence[str] = ()) -> None:
        super().__init__(*lines)
        self.status = status
        self.lines = lines
        self.codes = codes


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
        return _rejoin(conf, arguments, folder or JobFolder(), answer)
    except _CannotError as error:
        answer.give(error.lines, error.codes, begun=False)
        for line in error.lines:
            tell(line)
        return error.status
    except KeyboardInterrupt:
        tell("interrupted before anything was changed")
        return Status.TAKEN_BACK


def _rejoin(conf: Cluster, arguments: _Arguments, folder: JobFolder, answer: Answer) -> int:
    lose = arguments.lose_extra
    if lose is not None and lose != conf.this:
        text = f"--lose-extra {lose}: this host is {conf.this}"
        raise _CannotError(Status.REFUSED, text, codes=("other_host_named",))
    try:
        folder.lock()
        opened = folder.open_job()
        look = looking.look(conf)
    except BusyError as error:
        text = f"a job runs on this host already: {error}"
        raise _CannotError(Status.BUSY, text, codes=("busy",)) from error
    except (JournalError, OSError, TlsError) as error:
        raise _CannotError(Status.REFUSED, str(error), codes=("cannot_look",)) from error
    if opened and opened.kind != Kind.REJOIN and not arguments.abort:
        text = f"job {opened.job} is one of mmm_{opened.kind}: run that again, or take it back by --abort"
        raise _CannotError(Status.REFUSED, text, codes=("other_job",))
    if arguments.abort:
        return _abort(conf, folder, opened, answer)
    journal = _gone_on_with(look, opened, arguments.method) if opened else _new(conf, look, arguments)
    steps = Steps(_means(conf, journal, folder, lose=lose is not None))
    if arguments.dry_run:
        lines = plan(conf, look, journal)
        answer.give(lines, begun=True)
        say("\n".join(lines))
        return Status.DONE
    begins = f"{journal.host}: rejoins {journal.source} {how(journal)}: job {journal.job}"
    answer.give([begins], begun=True)
    say(begins)
    try:
        return _told(run(steps, folder, journal, say))
    finally:
        steps.close()


def _abort(conf: Cluster, folder: JobFolder, opened: Journal | None, answer: Answer) -> int:
    if opened is None:
        raise _CannotError(Status.REFUSED, "there is no job to take back", codes=("no_job",))
    if not opened.revocable:
        text = f"job {opened.job} has changed the data already: go on with it"
        raise _CannotError(Status.REFUSED, text, codes=("not_revocable",))
    steps = Steps(_means(conf, opened, folder, lose=False))
    answer.give([f"{opened.host}: job {opened.job} is taken back"], begun=True)
    return Status.DONE if take_back(steps, folder, opened, say) is Status.TAKEN_BACK else Status.HALF_DONE


def _gone_on_with(look: Look, opened: Journal, method: str) -> Journal:
    """Return the job as it is gone on with; the active master may be another one by now."""
    journal = opened.again()
    if method == CLONE and not (journal.swapped or journal.swapping):
        journal = journal.by_copy(clean=not journal.rewound)
    changed = journal.swapped or journal.swapping or journal.rewound or journal.tainted
    _refuse(checks.of_the_host(look) if changed else refusals(look))
    if method == REWIND and journal.way == CLONE:
        text = f"job {journal.job} is past a rewind, and goes on with a copy: leave --method out"
        raise _CannotError(Status.REFUSED, text, codes=("past_rewind",))
    say(f"job {opened.job} is gone on with")
    return replace(journal, source=look.master, method=method or journal.method)


def _new(conf: Cluster, look: Look, arguments: _Arguments) -> Journal:
    _refuse(refusals(look))
    found = donor(look, arguments.donor)
    if isinstance(found, Refusal):
        _refuse((found,))
    folder = _datadir(conf, look)
    job = time.strftime(f"{look.host}-%Y%m%d-%H%M%S")
    staging, old = swap.places(folder, job)
    method = arguments.method
    copied = method == CLONE or not (method or rewinds(conf.providers))
    return Journal(
        job, look.host, str(found), look.master, str(folder), str(staging), str(old),
        method=method, way=CLONE if copied else "",
    )  # fmt: skip


def _datadir(conf: Cluster, look: Look) -> Path:
    if isinstance(look.server, ServerLook):
        return Path(look.server.datadir).resolve()
    try:
        here = conf.hosts[conf.this]
        return option_files.datadir(here, option_files.read(here)).resolve()
    except option_files.UnknownError as error:
        raise _CannotError(Status.REFUSED, str(error), codes=("unknown_datadir",)) from error


def _refuse(found: Sequence[Refusal]) -> None:
    if found:
        codes = [refusal.code for refusal in found]
        raise _CannotError(Status.REFUSED, *map(sentence, found), codes=codes)


def _means(conf: Cluster, journal: Journal, folder: JobFolder, *, lose: bool) -> Means:
    try:
        path = Path(journal.datadir)
        here = conf.hosts[conf.this]
        control = server_control.find(here, path, server_control.ServerControl((), path).processes())
    except ControlError as error:
        raise _CannotError(Status.REFUSED, str(error), codes=("no_server_control",)) from error
    saving = Saving(conf, Path(conf.saved_dir), lose=lose)
    copying = Copying(conf, say, folder.note)
    undoing = Undoing(conf, say)
    return Means(conf, control, save=saving, copy=copying, rewind=undoing, say=say, note=folder.note)


def _told(ended: Ended) -> int:
    journal = ended.journal
    if ended.failed is None:
        own = ""
        if journal.saved:
            saved = kept(Path(journal.saved))
            own = f" {saved.place}" if saved else f" What only it had is in {journal.saved}."
        say(
            f"OK: {journal.host} is back after {ended.seconds:.1f} s and follows {journal.source}.{own} {left(journal)}"
        )
        return ended.status
    tell(f"{STEPS[ended.failed]}: {ended.why}")
    after = {
        Status.TAKEN_BACK: f"{journal.host} is as it was before",
        Status.HALF_DONE: f"job {journal.job} is half done: mend that, and run mmm_rejoin again",
    }
    tell(after[ended.status])
    return ended.status


def _conf(arguments: _Arguments) -> Cluster:
    try:
        conf = config.load(arguments.config, "REJOIN", cluster=arguments.cluster, name="mmm_tools")
    except config.ConfError as error:
        raise _CannotError(Status.REFUSED, *error.errors, codes=("conf",)) from error
    if conf.this not in conf.hosts:
        text = f"{conf.path}: `this` names no host of the cluster"
        raise _CannotError(Status.REFUSED, text, codes=("conf",))
    return conf


def _arguments(argv: Sequence[str]) -> _Arguments:
    parser = argparse.ArgumentParser(
        prog="mmm_rejoin",
        usage="mmm_rejoin [@CLUSTER] [OPTION...]",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read this file instead of mmm_tools.conf"
    )
    parser.add_argument(
        "--from", dest="donor", metavar="HOST", help="copy this host's data (a slave that is fit)"
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="",
        help="undo what only this host has, or copy all data: this alone",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
    parser.add_argument("--abort", action="store_true", help="take back a job that was broken off")
    parser.add_argument(
        "--lose-extra", metavar="HOST", help="go on where what only this host has cannot be saved: name it"
    )
    parser.add_argument("--ordered", action="store_true", help=argparse.SUPPRESS)  # by this host's agent
    parser.add_argument("--version", action=Version)
    parser.add_argument("--help", action="help", help="show this help and exit")
    cluster, rest = split_cluster(parser, argv)
    return _Arguments(cluster, **vars(parser.parse_args(rest)))


if __name__ == "__main__":
    sys.exit(main())
