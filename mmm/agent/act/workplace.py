"""What all steps of a change share."""

from mmm.agent.act.accounts import kept_users
from mmm.agent.act.log_ahead import LogAhead
from mmm.agent.act.stopwatch import Stopwatch
from mmm.config.model import Cluster
from mmm.process.job_files import Watched


class Workplace:
    """The conf of this host, its jobs, whose sessions stay, and the stopwatch of the change that is being made."""

    def __init__(self, conf: Cluster) -> None:
        self.conf = conf
        self.here = conf.hosts[conf.this]
        self.jobs = Watched()
        """Are looked at by the changing thread alone, once the agent has begun; what that found last is told by all."""
        self.watch = Stopwatch()
        self.keep = kept_users(conf)
        """Whose sessions no order ends; the monitor's user too, once it has said who that is."""
        self.ahead = LogAhead(conf)
        """What was got of a dead writer's binary log before this host is to take over."""
