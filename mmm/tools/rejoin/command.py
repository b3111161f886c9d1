"""The program `mmm_rejoin`: its arguments, what it says, its exit status (docs/rejoin.md)."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mmm import __version__
from mmm.config import load as config
from mmm.config.model import Cluster
from mmm.process.cluster import split_cluster
from mmm.process.job_answer import Answer
from mmm.process.tls import TlsError
from mmm.tools.program import LOG, end_as_by_interrupt, log_to, say, tell
from mmm.tools.rejoin import checks, looking, option_files, server_control, swap
from mmm.tools.rejoin.checks import Refusal, donor, refusals
from mmm.tools.rejoin.copying import Copying
from mmm.tools.rejoin.journal import ORDER, Journal, JournalError, Kind
from mmm.tools.rejoin.journal_file import BusyError, JobFolder
from mmm.tools.rejoin.look import Look, ServerLook
from mmm.tools.rejoin.run import Ended, Status, run, take_back
from mmm.tools.rejoin.saving import Saving
from mmm.tools.rejoin.server_control import ControlError
from mmm.tools.rejoin.steps import Means, Steps
from mmm.tools.rejoin.texts import STEPS, sentence
from mmm.tools.saved.save import kept

_EPILOG = """\
Run it on the host that is to come back. What only this host has is saved first, the old data folder is kept.
exit status: 0 done, 1 failed and taken back, 2 usage, conf or refused, 3 another job runs, 4 half done: run it again"""


class _Arguments(NamedTuple):
    cluster: str | None
    config: Path | None
    donor: str | None
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
    journal = _gone_on_with(look, opened) if opened else _new(conf, look, arguments.donor)
    steps = Steps(_means(conf, journal, folder, lose=lose is not None))
    if arguments.dry_run:
        plan = _plan(look, journal)
        answer.give(plan.splitlines(), begun=True)
        say(plan)
        return Status.DONE
    begins = f"{journal.host}: rejoins {journal.source} with a copy of {journal.donor}: job {journal.job}"
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
        text = (
            f"job {opened.job} runs on the new data already: go on with it, or put {opened.old} back by hand"
        )
        raise _CannotError(Status.REFUSED, text, codes=("not_revocable",))
    steps = Steps(_means(conf, opened, folder, lose=False))
    answer.give([f"{opened.host}: job {opened.job} is taken back"], begun=True)
    return Status.DONE if take_back(steps, folder, opened, say) is Status.TAKEN_BACK else Status.HALF_DONE


def _gone_on_with(look: Look, opened: Journal) -> Journal:
    """Return the job as it is gone on with; the active master may be another one by now."""
    found = checks.of_the_host(look) if opened.swapped or opened.swapping else refusals(look)
    _refuse(found)
    say(f"job {opened.job} is gone on with")
    return replace(opened.again(), source=look.master)


def _new(conf: Cluster, look: Look, wanted: str | None) -> Journal:
    _refuse(refusals(look))
    found = donor(look, wanted)
    if isinstance(found, Refusal):
        _refuse((found,))
    folder = _datadir(conf, look)
    job = time.strftime(f"{look.host}-%Y%m%d-%H%M%S")
    staging, old = swap.places(folder, job)
    return Journal(job, look.host, str(found), look.master, str(folder), str(staging), str(old))


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
    return Means(conf, control, save=saving, copy=copying, say=say, note=folder.note)


def _plan(look: Look, journal: Journal) -> str:
    own = checks.own(look)
    alone = (
        f"it has {own} alone, which are saved first" if own else "it has nothing alone, as far as is known"
    )
    lines = [
        f"{journal.host} would rejoin {journal.source} with a copy of {journal.donor}; {alone}",
        *(f"  {number}. {STEPS[step]}" for number, step in enumerate(ORDER, 1)),
        f"{journal.datadir} would be kept as {journal.old}",
    ]
    return "\n".join(lines)


def _told(ended: Ended) -> int:
    journal = ended.journal
    if ended.failed is None:
        own = ""
        if journal.saved:
            saved = kept(Path(journal.saved))
            own = f" {saved.place}" if saved else f" What only it had is in {journal.saved}."
        say(
            f"OK: {journal.host} is back after {ended.seconds:.1f} s and follows {journal.source}.{own} Its old data"
            f" are in {journal.old}."
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
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
    parser.add_argument("--abort", action="store_true", help="take back a job that was broken off")
    parser.add_argument(
        "--lose-extra", metavar="HOST", help="go on where what only this host has cannot be saved: name it"
    )
    parser.add_argument("--ordered", action="store_true", help=argparse.SUPPRESS)  # by this host's agent
    parser.add_argument("--version", action="version", version=f"mmm_rejoin {__version__}")
    parser.add_argument("--help", action="help", help="show this help and exit")
    cluster, rest = split_cluster(parser, argv)
    return _Arguments(cluster, **vars(parser.parse_args(rest)))


if __name__ == "__main__":
    sys.exit(main())
