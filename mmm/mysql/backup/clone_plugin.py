"""MySQL's clone plugin: what is said to the recipient's server, which gets the donor's data itself, and what it says.

The copy goes into a separate folder (DATA DIRECTORY), so the recipient's server and its data stay as they are; that
works with super_read_only too, which a clone over the server's own data refuses (1290). An empty server can clone over
its own: it ends then, and is the donor's copy once it is started again.
"""

from dataclasses import dataclass

from mmm.mysql.flavour import Flavour
from mmm.mysql.session.connection import Address, Connection
from mmm.mysql.session.question import Question, whole

SINCE = (8, 0, 17)
LOAD = "plugin_load_add = mysql_clone.so"
"""The line for my.cnf that loads the plugin."""
LOADING = "--plugin-load-add=mysql_clone.so"
"""The option that has a server load it which may have it already."""
DONOR_PRIVILEGES = ("BACKUP_ADMIN",)
RECIPIENT_PRIVILEGES = ("CLONE_ADMIN", "BACKUP_ADMIN", "SYSTEM_VARIABLES_ADMIN")
"""What the account of the tools needs on either side; the recipient's should read performance_schema.clone_progress."""


@dataclass(frozen=True, slots=True)
class Cloning:
    """How far a clone is, in bytes of all its stages."""

    done: int
    estimate: int


def begin(donor: Address) -> tuple[str, tuple[object, ...]]:
    """Return the statement that lets the recipient's server clone from there, and its arguments."""
    return "SET GLOBAL clone_valid_donor_list=%s", (f"{donor.ip}:{donor.port}",)


def clone(donor: Address, folder: str, *, encrypted: bool) -> tuple[str, tuple[object, ...]]:
    """Return the statement that makes the copy, and its arguments.

    `folder` is one that is not there yet; empty: the copy takes the place of the server's own data.
    """
    how = "REQUIRE SSL" if encrypted else "REQUIRE NO SSL"
    into, where = (" DATA DIRECTORY = %s", (folder,)) if folder else ("", ())
    statement = f"CLONE INSTANCE FROM %s@%s:{donor.port} IDENTIFIED BY %s{into} {how}"
    return statement, (donor.user, donor.ip, donor.password, *where)


def look_at_progress() -> Question[Cloning | None]:
    """Ask the recipient how far it is; None: it does not say, without performance_schema."""
    rows = yield "SELECT ESTIMATE, DATA FROM performance_schema.clone_progress"
    if not rows:
        return None
    done = [whole(row["DATA"]) for row in rows]
    estimates = [max(whole(row["ESTIMATE"]), whole(row["DATA"])) for row in rows]
    return Cloning(sum(done), sum(estimates))


def is_active(_: Connection) -> Question[bool]:
    """Ask whether the plugin is loaded; needs no privilege."""
    rows = yield (
        "SELECT PLUGIN_STATUS AS status FROM information_schema.PLUGINS"
        " WHERE PLUGIN_NAME='clone' AND PLUGIN_STATUS='ACTIVE'"
    )
    return bool(rows)


def knows(flavour: Flavour) -> bool:
    """Tell whether servers of that kind have the plugin at all."""
    return not flavour.mariadb and flavour.version >= SINCE
