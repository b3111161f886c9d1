"""What is said of a rejoin: the sentence of each code."""

from mmm.tools.rejoin.checks import Refusal
from mmm.tools.rejoin.journal import Step

_REFUSALS = {
    "not_here": "{ip}, the address of {host}, is not on this machine: run it on {host}, or correct `this` in the conf",
    "no_agent": "the agent of {host} does not answer, so nobody knows whether the host has a role: start mmm_agentd",
    "active_master": "{host} is the active master, whose data are never touched: move the role away first",
    "has_writer_vip": "{host} has {vip}, or is to have it: move the role away first",
    "online": "{host} is ONLINE, clients may be reading there: `mmm_control set_offline {host}` first",
    "no_active_master": "the agent of {host} knows no active master to follow: is one ONLINE, does the monitor run?",
    "master_silent": "the server of {master}, the active master, does not answer: {why}",
    "master_read_only": "{master}, the active master, is read_only: wait until it takes writes",
    "writable": "the server of {host} is not read_only: its agent makes it so, look at its log",
    "has_replicas": "{host} is the source of {replicas}: have them follow {master}, or bring them back, first",
    "other_series": "{host} runs {here}, {master} runs {there}: data files cannot be copied between them",
    "no_gtids": "{host} or {master} has no GTIDs, so nothing proves what only {host} has: rebuild it by hand",
    "nothing_to_do": "{host} has nothing that {master} lacks, and replicates: `mmm_control set_online {host}`",
    "donor_is_here": "{donor} cannot be copied to itself: leave --from out, or name another host",
    "donor_unknown": "--from {donor}: no such host in the conf; it knows {known}",
    "donor_silent": "--from {donor}: its server does not answer: {why}",
    "donor_series": "--from {donor}: it runs {here}, {master} runs {there}",
    "donor_has_more": "--from {donor}: it has {more} that {master} lacks, and {host} would have them, too",
    "donor_stands": "--from {donor}: its replication does not run, so it may lack what {master} has no log of any more",
}

STEPS = {
    Step.FREEZE: "keep the data as they are",
    Step.SAVE: "save what only this host has",
    Step.PROVE: "see whether that can be undone",
    Step.UNDO: "undo it",
    Step.ROOM: "see whether there is room beside the old data",
    Step.EMPTY: "remove the old data",
    Step.FETCH: "get a copy",
    Step.STOP: "stop the server",
    Step.SWAP: "put the copy in place",
    Step.START: "start the server",
    Step.FOLLOW: "follow the active master",
    Step.CATCH_UP: "catch up",
    Step.NUMBERS: "see that no number is used twice",
}
"""What each step is called, in output and log."""


def sentence(refusal: Refusal) -> str:
    """Return the refusal as one line."""
    return _REFUSALS[refusal.code].format_map(refusal.about)
