"""What the monitor asks everybody before it decides anything (rule 6.1)."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from mmm.config.model import Cluster, Host, Monitor
from mmm.config.names import CHECK_NAMES
from mmm.gtid.settings import Settings
from mmm.gtid.transactions import Transactions
from mmm.monitor.act import status_file
from mmm.monitor.act.agents import Agents, Told
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.network_check import a_host_answers, is_up
from mmm.monitor.assess import trap
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.world.check_results import CheckResult, PingChecked, ReplicaChecked
from mmm.monitor.world.checks import CheckStatus, Outcome, silent
from mmm.network.icmp import Pinger
from mmm.wire.status import SystemStatus

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Hosts that are asked side by side: of many more the first to answer would wait for the last to be asked."""
_TRIES = 3
PATIENCE, _LATE = 3.0, 1.0
"""Seconds after which an agent hangs, or is not reached, that has not said what it was told; the same of one that was
not heard before either. Everything else waits for it."""


SETTLING = 3.0
"""Seconds between the first answer of a network that was down and the first checks.

Not all neighbours answer in the same moment.
"""


async def wait_for_network(conf: Cluster, monitor: Monitor, pinger: Pinger) -> None:
    """Return once one of the ping_ips answers, or a host does; SETTLING later where nobody had answered before."""
    said = False
    while not (await is_up(monitor, pinger) or await a_host_answers(conf, pinger)):
        if not said:
            log.critical("network: none of the ping_ips answers (%s): waiting", ", ".join(monitor.ping_ips))
            said = True
        await asyncio.sleep(monitor.ping_interval)
    if said:
        await asyncio.sleep(SETTLING)


async def first_checks(
    conf: Cluster, checks: Checks, now: float, trusted: Collection[str] = ()
) -> tuple[Mapping[str, Mapping[str, CheckStatus]], Mapping[str, Transactions], Mapping[str, Settings]]:
    """Return what every check found on every host, run once and side by side.

    With it the transactions and the settings that were read. One failing check is enough to take a host for dead, but
    for one that is `trusted`, whose checks have failed when their traps are over.
    """
    at_work = asyncio.Semaphore(AT_ONCE)
    by_host = await asyncio.gather(*(_check(host, checks, at_work) for host in conf.hosts.values()))
    found: dict[str, dict[str, CheckStatus]] = {name: {} for name in conf.hosts}
    has: dict[str, Transactions] = {}
    settings: dict[str, Settings] = {}
    for result in (each for results in by_host for each in results):
        found[result.host][result.check] = _first(result, now, waits=result.host in trusted)
        if isinstance(result, ReplicaChecked) and result.transactions is not None:
            has[result.host] = result.transactions
        if isinstance(result, ReplicaChecked) and result.settings is not None:
            settings[result.host] = result.settings
        if result.finding.outcome is not Outcome.OK:
            log.warning("%s: %s: %s", result.host, result.check, result.finding)
    return found, has, settings


def _first(result: CheckResult, now: float, *, waits: bool) -> CheckStatus:
    """Return what to believe of a check after its very first run; an ERROR `waits` for its trap or has failed at once.

    That a replica is connecting says nothing yet: it may have been at it for hours. That it is detached is good of the
    active master, and who that is, is not known yet.
    """
    outcome, finding = result.finding.outcome, result.finding
    if isinstance(result, PingChecked):
        return trap.first(outcome, finding, now, waits=waits)
    if isinstance(result, ReplicaChecked):
        connecting = result.connecting_to and outcome is Outcome.OK
        outcome = Outcome.UNKNOWN if connecting or result.detached else outcome
    return trap.first(outcome, finding, now, result.cause, waits=waits)


async def _check(host: Host, checks: Checks, at_work: asyncio.Semaphore) -> list[CheckResult]:
    async with at_work:
        return await asyncio.gather(*(checks.run(host, name) for name in CHECK_NAMES))


async def ask_everybody(
    conf: Cluster,
    stored: Mapping[str, Stored],
    agents: Agents,
    checked: Mapping[str, Mapping[str, CheckStatus]],
    late: Collection[str] = (),
) -> Mapping[str, Found]:
    """Return what the status file, the agents and their systems say of every host.

    `late` are hosts whose agents were asked something just before and have not answered.
    """
    at_work = asyncio.Semaphore(AT_ONCE)

    async def ask(host: Host) -> Found:
        async with at_work:
            may_answer = not silent(checked[host.name], conf)
            if not may_answer:
                return Found(stored.get(host.name))
            limit = _LATE if host.name in late else PATIENCE
            return await _ask(host, stored.get(host.name), agents, limit)

    asked = await asyncio.gather(*map(ask, conf.hosts.values()))
    return dict(zip(conf.hosts, asked, strict=True))


def read_stored(path: Path) -> Mapping[str, Stored]:
    """Return what the status file says; what is wrong with it is logged."""
    try:
        stored, warnings = status_file.read(path)
    except OSError as error:
        log.error("status file %s cannot be read: %s", path, error.strerror or error)
        return {}
    for warning in warnings:
        log.warning("status file %s, %s", path, warning)
    return stored


async def _ask(host: Host, stored: Stored | None, agents: Agents, limit: float) -> Found:
    """Return what is known of a host, by its agent where that says something within `limit` seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + limit
    for _ in range(_TRIES):
        told, system = await _said(host, agents, limit)
        if (told.status is not None and system is not None) or loop.time() >= until:
            break
    if told.status is None or system is None:
        log.error("%s: its agent does not report its status", host.name)
    return Found(stored, told.status, system, told.uptime, job=told.job, stays=told.stays)


async def _said(host: Host, agents: Agents, limit: float) -> tuple[Told, SystemStatus | None]:
    """Return what an agent was told, and what it sees: it may take long to see that where its server hangs."""
    seeing = asyncio.get_running_loop().create_task(agents.system(host))
    try:
        async with asyncio.timeout(limit):
            told = await agents.status(host)
        return told, await seeing if told.uptime is not None else None
    except TimeoutError:
        return Told(), None
    finally:
        seeing.cancel()
