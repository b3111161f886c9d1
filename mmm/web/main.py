"""mmm_web: reads the conf, goes to the background, serves (rule 1)."""

import sys
from collections.abc import Sequence

from mmm.config.model import Cluster
from mmm.process.arguments import USAGE
from mmm.process.duties import Daemon, Duties
from mmm.process.program import run


def main(argv: Sequence[str] | None = None) -> int:
    """Run mmm_web; returns its exit status."""
    return run(Daemon("mmm_web", "CONTROL", "mmm_mon", lambda conf: conf.web.pid_path, _duties), argv)


def _duties() -> Duties:
    try:
        from mmm.web import serving  # noqa: PLC0415 - it needs libraries that may not be there
    except ImportError as error:
        print(f"mmm_web: it needs {error.name}: pip install 'mysql-mmm[web]'", file=sys.stderr)
        raise SystemExit(USAGE) from None
    from mmm.process.beside import Beside  # noqa: PLC0415

    return Duties(serving.work, lambda _: Beside(), serving.inspect, _doctor)


def _doctor(conf: Cluster) -> int:
    """Look at the whole cluster, say what is found, and return the exit status."""
    from mmm.doctor.command import of_conf  # noqa: PLC0415 - the daemon does without

    return of_conf(conf)
