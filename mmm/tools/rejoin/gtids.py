"""What a server has by GTID, without which no step of a rejoin can be proved."""

from mmm.gtid.transactions import Executed
from mmm.mysql.server.replication import executed
from mmm.mysql.session.connection import Connection
from mmm.tools.rejoin.step_error import StepError


def gtids_of(server: Connection) -> Executed:
    """Return the transactions that the server has; raises StepError where it tells none, and MysqlError."""
    found = executed(server)
    if found is None:
        raise StepError(f"the server at {server.address.ip} tells no GTIDs any more")
    return found
