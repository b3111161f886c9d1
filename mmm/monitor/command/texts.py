"""What the admin is answered, in words: all sentences of commands, by code (rule 5).

Classic scripts look at the first word of an answer, which says whether the command was accepted.
"""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from mmm.monitor.world.happened import waited_for
from mmm.monitor.world.said import Fields, Said, Texts, listed, plain
from mmm.monitor.world.world import World

_CHECK_ROLES = "Now you can wait some time and check new roles info!"


def _set_offline(fields: Fields) -> str:
    alone = ""
    if fields["unfit"]:
        role, unfit = fields["role"], listed(fields["unfit"])
        alone = f"No other host can take {role}, so nobody takes writes now: {unfit}. "
    host = fields["host"]
    return (
        f"State of '{host}' changed to ADMIN_OFFLINE. {alone}Now you can wait some time and check all roles!"
    )


def _moved(fields: Fields) -> str:
    left = f" from '{fields['source']}'" if fields["source"] else ""
    against = f" Forced in spite of: {said_of(fields['against'])}." if fields["against"] else ""
    return f"Role '{fields['role']}' has been moved{left} to '{fields['host']}'. {_CHECK_ROLES}{against}"


def _spread(fields: Fields) -> str:
    host, got = fields["host"], fields["got"]
    where = ", ".join(f"{ip} goes to {to or 'nobody yet'}" for ip, to in fields["goes"])
    exchange = (
        f"'{host}' gets {listed(got)} in exchange, because the role is spread evenly over the ONLINE hosts;"
        f" 'mmm_control exclude_role {fields['role']} {host}' keeps it away. "
        if got
        else ""
    )
    removed = f"Balanced role '{fields['role']}' has been removed from host '{host}'. {where}. "
    return f"{removed}{exchange}{_CHECK_ROLES}"


def _left_out(fields: Fields) -> str:
    where = "".join(f" {ip} goes to {to}." for ip, to in fields["goes"] if to not in {None, fields["host"]})
    stays = any(to == fields["host"] for _, to in fields["goes"])
    alone = " No other host can take it now: it stays until one can." if stays else ""
    role, host = fields["role"], fields["host"]
    back = f"'mmm_control include_role {role} {host}' ends that."
    return f"Role '{role}' is kept away from '{host}' while other hosts can take it.{where}{alone} {back}"


def _counts_as_off(fields: Fields) -> str:
    return f"'{fields['host']}' counts as off now; {waited_for(fields['held'])}. See 'mmm_control show'."


def said_of(reasons: Iterable[object]) -> str:
    """Return reasons in words, one after the other."""
    return "; ".join(map(str, reasons))


def _when_the_mode_changes(fields: Fields) -> str:
    return f"{fields['done'].sentence} It is sent when the mode changes."


def _dry_run(fields: Fields) -> str:
    first = f"Dry run, nothing was changed. {fields['role']} would be moved to {fields['host']}:"
    return "".join(f"{line}\n" for line in (first, *fields["lines"]))


def _would_reload(fields: Fields) -> str:
    first = "Dry run, nothing was changed. This would be taken:"
    return "".join(
        f"{line}\n" for line in (first, *fields["changes"], *_first_unbound(fields), *_away(fields))
    )


def _renewed(fields: Fields) -> Iterator[str]:
    if tls := fields.get("tls"):
        yield tls


def _first_unbound(fields: Fields) -> Iterator[str]:
    if fields["going"]:
        yield f"First {listed(fields['going'])} would be unbound."


def _reloaded(fields: Fields) -> str:
    lines = ("The conf is taken.", *fields["changes"], *_renewed(fields), *_away(fields))
    return "".join(f"{line}\n" for line in lines)


def _away(fields: Fields) -> Iterator[str]:
    """Say what nobody has until the agents go by the conf too."""
    for before, after in fields["renamed"]:
        yield f"{before} becomes {after}: no host has it until its agent has taken the conf too: reload all of them."


def _nothing_to_do(fields: Fields) -> str:
    return f"{fields['answer'].sentence}\nDry run: nothing was changed, and nothing would be.\n"


DONE: Texts = {
    "pinged": "Pinged successfully!",
    "unblocked": "'{host}' is already ONLINE. Failover is not blocked any more.",
    "already_online": "This host is already ONLINE. Skipping command.",
    "set_online": "State of '{host}' changed to ONLINE. Now you can wait some time and check its new roles!",
    "already_offline": "This host is already ADMIN_OFFLINE. Skipping command.",
    "set_offline": _set_offline,
    "when_the_mode_changes": _when_the_mode_changes,
    "ip_set": "Set role '{vip}' to host '{host}'. It is sent when the mode changes.",
    "same_mode": "Already in {mode} mode.",
    "mode": "Switched into {mode} mode.",
    "mode_amid_move": (
        "Switched into {mode} mode, though the move of {vip} from {source} to {target} has not ended: nobody may have"
        " it. 'mmm_control set_active' goes on with it."
    ),
    "mode_amid_forced": (
        "Switched into {mode} mode, though {host} has not taken {role} yet: nobody may have it."
        " 'mmm_control set_active' goes on with it."
    ),
    "already_there": "Role is already on '{host}'. Skipping command.",
    "moved": _moved,
    "has_none": "Host '{host}' has no role '{role}'. Nothing to move.",
    "spread": _spread,
    "left_out": _left_out,
    "already_left_out": "Role '{role}' is kept away from '{host}' already. Skipping command.",
    "not_left_out": "Role '{role}' is not kept away from '{host}'. Skipping command.",
    "taken_in": "Role '{role}' may go to '{host}' again. " + _CHECK_ROLES,
    "counts_as_off": _counts_as_off,
    "rejoin_begun": lambda of: f"{said_of(of['lines'])}. See 'mmm_control show'.",
    "rejoin_begun_offline": lambda of: (
        f"{said_of(of['lines'])}. '{of['host']}' stays ADMIN_OFFLINE afterwards, until 'mmm_control set_online"
        f" {of['host']}'. See 'mmm_control show'."
    ),
    "rejoin_begun_only": lambda of: (
        f"{said_of(of['lines'])}. It does not stay ADMIN_OFFLINE: {of['leader'] or 'another monitor'} leads since;"
        f" order 'mmm_control set_offline {of['host']}' there once it is ONLINE."
    ),
    "rejoin_aborted": lambda of: f"{said_of(of['lines'])}. See 'mmm_control history'.",
    "rejoin_dry_run": lambda of: "".join(
        f"{line}\n" for line in ("Dry run, nothing was changed.", *of["lines"])
    ),
    "reloaded": _reloaded,
    "same_conf": lambda of: "\n".join(("The conf has not changed: nothing to take.", *_renewed(of))),
    "reload_dry_run": _would_reload,
    "only_monitor": "The monitor at {own} is the only one.",
    "leads": "The monitor at {own} leads.",
    "gives_up_lead": lambda of: (
        f"The monitor at {of['own']} gives up the lead, for {of['monitor'] or 'any other one'} to take it."
    ),
    "handed_over": "The monitor at {own} has given up the lead: the one at {leader} leads.",
    "takes_lead": "The monitor at {own} takes the lead as soon as the voters agree, if they do within {seconds:.0f} s."
    " See 'mmm_control monitors'.",
    "dry_run": _dry_run,
    "dry_run_idle": _nothing_to_do,
}
"""Of commands that were taken."""


def _no_agent(fields: Fields) -> str:
    host = fields["host"]
    off = f" If it is off: 'mmm_control confirm_dead {host}'." if fields["may_hold"] else ""
    return f"Can't reach the agent of host '{host}'! Start mmm_agentd there, or look at its log.{off}"


def _cannot_force(fields: Fields) -> str:
    role, host, state = fields["role"], fields["host"], fields["state"]
    why = (
        f"nothing speaks against 'move_role {role} {host}'" if fields["online"] else "it has to answer first"
    )
    return (
        f"Can't force role to host '{host}': it is {state}, not REPLICATION_FAIL or REPLICATION_DELAY; {why}."
    )


def _not_moved_back(fields: Fields) -> str:
    back = f"it is going back to {fields['owner']}, not confirmed yet{_why(fields)}"
    return f"{_NOT_MOVED.format(**fields)}: {fields['cause']}; {back}"


def _keeps(fields: Fields) -> str:
    return f"{_NOT_MOVED.format(**fields)}: {fields['owner'] or 'nobody'} keeps it{_why(fields)}"


def _source_silent(fields: Fields) -> str:
    return (
        "{role} is on {host}, but {source} has not confirmed that it let go{why}: its lease ran out. See that the"
        " server of {source} is read_only"
    ).format(**{**fields, "why": _why(fields)})


def _not_confirmed(fields: Fields) -> str:
    return f"ordered, not confirmed yet{_why(fields)}; it is tried again every few seconds"


def _why(fields: Fields) -> str:
    """Return what the agent of `agent` said to the last order, empty where no agent is to blame."""
    if fields["agent"] is None:
        return ""
    if fields["refusal"]:
        return f": the agent of {fields['agent']} answered '{fields['refusal']}'"
    return f": the agent of {fields['agent']} did not answer"


_NOT_MOVED = "{role} could not be moved to {host}"

REFUSED: Texts = {
    "unknown_method": "Unknown method '{method}': use auto, wait or manual.",
    "unknown_check": lambda of: f"Unknown check '{of['check']}'! Known are {listed(of['known'])}.",
    "no_count": "'{count}' is no number of entries: use a whole number from 1 on.",
    "no_position": "'{position}' is no position: use one that 'follow' or 'status' has told, or 0 for the beginning.",
    "too_many_followers": "{most} clients follow this monitor already: end one of them.",
    "waits_for_network": "{why}",
    "unknown_host": lambda of: f"Unknown host name '{of['host']}'! Known are {listed(of['known'])}.",
    "is_witness": lambda of: (
        f"'{of['host']}' is a witness, without server and roles: it only votes on which monitor leads."
        " See 'mmm_control monitors'."
    ),
    "unknown_role": lambda of: f"Unknown role name '{of['role']}'! Known are {listed(of['known'])}.",
    "unknown_ip": lambda of: f"Unknown IP address '{of['ip']}'! Known are {listed(of['known'])}.",
    "conf_unusable": lambda of: f"The conf cannot be used, all stays as it was: {listed(of['lines'], '; ')}",
    "conf_refused": lambda of: f"The conf is not taken, all stays as it was: {listed(of['why'], '; ')}",
    "not_let_go": lambda of: (
        f"The conf is not taken, all stays as it was: {listed(of['hosts'])} may still have {listed(of['vips'])} bound"
        f" after {of['limit']:g} s; see 'mmm_control show'"
    ),
    "reload_under_way": "A conf is being taken at the moment. Wait for the end of that.",
    "no_line_end": "The command has no line end, so that it may be cut off: nothing was done.",
    "passive": "Not possible in passive mode: use set_ip, or set_active first.",
    "not_passive": "This command is only allowed in passive mode: set_passive first.",
    "not_switchable": "Host '{host}' is {state}: {why}. It can't be switched to ONLINE.",
    "being_rebuilt": "Host '{host}' {why}. It can't be switched to ONLINE before that is over.",
    "checks_failed": "Checks 'ping' and 'mysql' must be ok for host '{host}': see 'mmm_control checks {host}'.",
    "peer_failed": "The replication checks of its peer '{peer}' must be ok: see 'mmm_control checks {peer}'.",
    "extra_transactions": "Host '{host}' stays {state}: {why}.",
    "not_compared": "Host '{host}' stays {state}: {why}. Try again in a moment; --force takes it without comparing.",
    "not_replicating": "Replication of '{host}' does not run: {why}. Start it there (START REPLICA, before MySQL 8.0.22"
    " START SLAVE), or use --force.",
    "not_rebuilt": lambda of: f"Host '{of['host']}' is not rebuilt: {said_of(of['lines'])}.",
    "rejoin_unknown": "The agent of host '{host}' doesn't know how to rebuild it: run mmm_rejoin there.",
    "rebuild_not_allowed": lambda of: f"Host '{of['host']}' is not rebuilt: {said_of(of['lines'])}.",
    "other_host_named": (
        "--lose-extra names '{named}' and not '{host}': name the host whose transactions may be lost once more."
    ),
    "not_in_use": "Host '{host}' is {state}: only a host that is ONLINE or REPLICATION_* can be set offline.",
    "no_agent": _no_agent,
    "would_bind": (
        "the agent of {host} is one of MMM 2.x, which knows nothing of vip_via {via} and would bind the IP of {role}:"
        " replace it first"
    ),
    "not_of_the_role": (
        lambda of: (
            f"Host '{of['host']}' can't handle role '{of['role']}'. It is for {listed(of['hosts'])} only."
        )
    ),
    "not_balanced": (
        "Role '{role}' is exclusive, exclude_role is for balanced ones: move_role moves it, set_offline takes all roles"
        " from '{host}'."
    ),
    "cannot_assign": "Can't assign role to host '{host}': it is {state}.",
    "not_online": "Can't move role to host '{host}': it is {state}.",
    "preferred": "Role '{role}' is on its preferred host '{source}': set_manual first to move it away.",
    "under_way": "{role} is being moved from {source} to {target} at the moment. Wait for the end of that.",
    "objections": (
        lambda of: (
            f"{of['role']} is not moved to {of['host']}: {said_of(of['against'])}. 'move_role --force' moves it"
            " anyway."
        )
    ),
    "only_the_writer": "--force is for the active master role '{role}' only.",
    "cannot_force": _cannot_force,
    "not_off": "'{host}' does not count as off: {why}",
    "waits_endless": "ordered, and will be done as soon as possible: {why}",
    "waits_for_mode": "ordered, and will be done once the mode changes: nothing is sent in passive mode",
    "not_moved_back": _not_moved_back,
    "moved_back": _NOT_MOVED + ": {owner} keeps it: {cause}",
    "moved_on": lambda of: f"{_NOT_MOVED.format(**of)}: {of['cause']}; it goes to {of['owner'] or 'nobody'}",
    "keeps": _keeps,
    "source_silent": _source_silent,
    "not_confirmed": _not_confirmed,
    "left_again": "'{host}' became {ordered}, but is {state} now: {why}.",
    "conf_changed": "Another conf was taken meanwhile: order it again.",
    "not_in_time": "ordered, but not confirmed within {limit:g} s; see 'mmm_control show'",
    "stands_by": lambda of: (
        f"The monitor at {of['own']} stands by: {of['leader']} leads; order it there."
        if of["leader"]
        else f"The monitor at {of['own']} stands by, and no monitor leads: see 'mmm_control explain'."
    ),
    "one_monitor": "The conf has no `monitors`: this monitor is the only one.",
    "leads_already": "The monitor at {own} leads already.",
    "unknown_monitor": lambda of: (
        f"{of['monitor']} is no monitor of the conf: there are {listed(of['known'])}."
    ),
    "monitor_away": (
        "The monitor at {monitor} does not answer the one at {own}, which leads on: see that it runs, and that its port"
        " can be reached from there."
    ),
    "handed_to_another": (
        "The monitor at {own} has given up the lead, but the one at {leader} has taken it, not {monitor}: see the log"
        " at {own}, and 'mmm_control monitors'."
    ),
    "not_handed_over": "No other monitor has taken the lead: the one at {own} leads again. See 'mmm_control monitors'.",
    "no_other_monitor": "No other monitor stands by: see 'mmm_control monitors'.",
    "needs_root": "Only root can change something here: run mmm_control as root, or set auth_key.",
    "needs_root_or_key": (
        "Only root on the monitor's machine, or who may read auth_key in the conf, can change something."
    ),
    "wrong_signature": "The command is not signed by the auth_key of this monitor.",
    "dry_run_refused": _nothing_to_do,
}
"""Of commands that were refused, or that came to nothing."""


class ByCommand(Said):
    """What has brought a host into its state: a command."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "set_online": "set online by the admin",
        "set_offline": "set offline by the admin",
        "stays_offline": "set offline by the admin's 'rejoin --stay-offline'",
        "forced": lambda of: (
            f"{'made active master' if of['writes'] else 'lost the active master role'} by 'move_role --force'"
        ),
    }


class Verdict(Said):
    """What the admin is answered."""

    __slots__ = ()

    texts: ClassVar[Texts] = {**DONE, **REFUSED}

    @property
    def ok(self) -> bool:
        """Tell whether the command was taken."""
        return self.code in DONE

    @property
    def sentence(self) -> str:
        """Return the answer behind its first word."""
        return Said.__str__(self)

    @property
    def values(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"ok": self.ok, "code": self.code, "fields": plain(self.fields), "message": str(self)}

    def __str__(self) -> str:
        return f"{'OK' if self.ok else 'ERROR'}: {self.sentence}"


def unknown_host(world: World, host: str) -> Verdict:
    """Return the refusal of a command about a name that is that of no host with a server."""
    if host in world.conf.witnesses:
        return Verdict("is_witness", {"host": host})
    return Verdict("unknown_host", {"host": host, "known": tuple(world.hosts)})
