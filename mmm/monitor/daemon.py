"""mmm_mond: reads the conf, goes to the background, takes up its duties (rule 1)."""

from collections.abc import Sequence

from mmm.config.model import Cluster
from mmm.process.duties import Daemon, Duties
from mmm.process.program import run


def main(argv: Sequence[str] | None = None) -> int:
    """Run mmm_mond; returns its exit status."""
    return run(Daemon("mmm_mond", "MONITOR", "mmm_mon", _pid_path, _duties), argv)


def _pid_path(conf: Cluster) -> str:
    if conf.monitor is None:
        raise ValueError("the conf of a monitor has a <monitor> section")
    return conf.monitor.pid_path


def _duties() -> Duties:
    from mmm.monitor.duties import DUTIES  # noqa: PLC0415 - `--print-conf` does without

    return DUTIES
