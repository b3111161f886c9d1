"""A copy by mariadb-backup on the donor, which its agent sends."""

from mmm.mysql.backup import mariadb_backup
from mmm.tools.fetch import fetch as stream
from mmm.tools.fetch.values import Failed, Fetched
from mmm.tools.provider.common import unlike
from mmm.tools.provider.job import Job
from mmm.tools.provider.sides import Side


def unfit(here: Side | None, donor: Side) -> str:
    """Return why this is not the way, empty where it is; whether the donor has the program its agent finds out."""
    if not donor.flavour.mariadb:
        return f"{donor.name} runs {donor.flavour.family}"
    if why := unlike(here, donor):
        return why
    if here is not None and donor.keys and not here.keys:
        return f"{donor.name} encrypts its data by {donor.keys}, and the server of {here.name} has no keys"
    program = here.backup_program if here else ""
    if program and mariadb_backup.series(program) != donor.series:
        return f"mariadb-backup here is of {program}, the server of {donor.name} of {donor.version}"
    return ""


def fetch(job: Job) -> Fetched | Failed:
    """Return what came."""
    return stream.fetch(job.conf, job.donor, job.into, job.report, owner=job.owner, job=job.name)


def tried(job: Job) -> Failed | None:
    """Return why a copy could not be begun now, None where it could."""
    return stream.tried(job.conf, job.donor, job.into, job.name)
