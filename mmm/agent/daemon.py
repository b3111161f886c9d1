"""mmm_agentd: reads the conf, goes to the background, takes up its duties (rule 1)."""

from collections.abc import Sequence

from mmm.config.model import Cluster
from mmm.process.duties import Daemon, Duties
from mmm.process.program import run


def main(argv: Sequence[str] | None = None) -> int:
    """Run mmm_agentd; returns its exit status."""
    daemon = Daemon("mmm_agentd", "AGENT", "mmm_agent", lambda conf: conf.here.pid_path, _duties, _completed)
    return run(daemon, argv)


def _completed(conf: Cluster) -> Cluster:
    if not conf.roles_by_order:
        return conf
    from mmm.agent.act.kept_roles import with_kept  # noqa: PLC0415 - for few

    return with_kept(conf)


def _duties() -> Duties:
    from mmm.agent.duties import DUTIES  # noqa: PLC0415 - `--print-conf` does without

    return DUTIES
