"""How mmm_restore and mmm_clone run: with the conf of the tools, a log, and one line for whatever ends them."""

from collections.abc import Callable
from pathlib import Path

from mmm.config import load as config
from mmm.config.model import Cluster
from mmm.tools.fetch.values import FailedError
from mmm.tools.kept.hashes import DamagedError
from mmm.tools.kept.shelf import ShelfError
from mmm.tools.program import end_as_by_interrupt, give_up, load_conf, log_to, say
from mmm.tools.rejoin.job import CannotError
from mmm.tools.rejoin.run import Status
from mmm.tools.rejoin.swap import SwapError
from mmm.tools.restore.data_only import InUseError


def guarded(
    conf_file: Path | None, cluster: str | None, do: Callable[[Cluster], int], log_file: Path, *, check: bool
) -> int:
    """Return the exit status of `do`, or of what it raises; `check`: only read the conf."""
    log_to(log_file)
    end_as_by_interrupt()
    try:
        conf = load_conf(conf_file, cluster)
        if not check:
            return do(conf)
        say(f"{conf.path}: OK")
    except CannotError as error:
        status, lines = error.status, error.lines
    except config.ConfError as error:
        status, lines = Status.REFUSED, error.errors
    except (ShelfError, InUseError) as error:
        status, lines = Status.REFUSED, (str(error),)
    except (DamagedError, FailedError, SwapError, OSError) as error:
        status, lines = Status.TAKEN_BACK, (str(error),)
    except KeyboardInterrupt:
        status, lines = Status.TAKEN_BACK, ("interrupted before anything was changed",)
    else:
        return Status.DONE
    give_up(lines)
    return status
