"""Why an agent has not done what it was asked: codes, so that nothing is decided by the words of an answer.

    reply     ERROR: TEXT|…|WHY:CODE|…        every ERROR has one; see also the codes of `mmm.wire.lead`
              …|REFUSES:TEXT|…                with `refuses_to_follow`: what the admin is told of it

Agents of MMM 2.x have no codes, nor had those of the first test versions of this one. `why` reads the texts of those,
and nothing else does. Their sources:

    Invalid command '…'!    MMM 2.x, to a command that it does not know: tests/compat/data/classic.txt
    … not obeyed            ours without codes: an order was refused for its token
    … refuses to follow …   ours without codes: the sentence of `mmm.mysql.server.follow`, up to its advice
    follow HOST: …          ours without codes: a slave could not be switched now
"""

import re

from mmm.wire.agent import Reply, sayable

BAD_REQUEST = "bad_request"
"""The request makes no sense here: too few fields, or a host or a VIP that this agent does not know."""
UNKNOWN_COMMAND = "unknown_command"
WRONG_HOST = "wrong_host"
"""The request is for another host's agent."""
STALE = "stale"
"""The order was refused for its token: the same order with a newer one may be obeyed."""
LEASE_OVER = "lease_over"
"""The lease of the order ended before it was carried out."""
PROMISED = "promised"
"""This host has promised another one to refuse the writer role."""
NO_PROMISE = "no_promise"
"""It was asked for such a promise and does not give it."""
TAKEN = "taken"
"""It was asked for such a promise, and another host than the one that asks has the writer role by what it knows."""
SUPERSEDED = "superseded"
"""A newer order came before this one was begun."""
BUSY = "busy"
"""The order is still being carried out."""
REFUSES_TO_FOLLOW = "refuses_to_follow"
"""A slave would lose or repeat transactions if it replicated from the active master."""
NOT_FOLLOWED = "not_followed"
"""A slave could not be switched to the active master for another reason, which may pass."""
NO_LOGIN = "replication_login"
"""A slave could not be switched: the active master turns the conf's replication user away."""
NOT_LISTENING = "not_listening"
"""The server does not listen on the virtual IP."""
NOT_WATCHED = "not_watched"
"""No process is known that could be watched as the server's."""
BEING_REBUILT = "being_rebuilt"
"""A job that gives the host other data is open: it cannot be the writer before that has ended."""
IS_WITNESS = "is_witness"
"""The host has no server and takes no roles: it only votes on which monitor leads."""
NOT_DONE = "not_done"
"""A step failed, or the host could not be looked at."""

_LONGEST = 1000
_REFUSES = re.compile(r"REFUSES:([^|]+)")
_FORMER = (
    (re.compile(r"ERROR: Invalid command .*"), UNKNOWN_COMMAND),
    (re.compile(r".* not obeyed"), STALE),
    (re.compile(r".*\S+ refuses to follow .*"), REFUSES_TO_FOLLOW),
    (re.compile(r"(.*; |ERROR: )follow .*"), NOT_FOLLOWED),
)
_FORMER_REFUSAL = re.compile(r"\S+ refuses to follow [^;]*(; set [^;]*)?")


def why(reply: Reply) -> str:
    """Return the code of an ERROR; empty for an OK, and for the ERROR of an agent without codes that says nothing."""
    if reply.why or reply.ok:
        return reply.why
    return next((code for text, code in _FORMER if text.fullmatch(reply.text)), "")


def refuses_field(sentence: str) -> str:
    """Return the field that tells why a slave refuses to follow."""
    return f"REFUSES:{sayable(sentence)[:_LONGEST]}"


def refusal_to_follow(reply: Reply) -> str:
    """Return the sentence by which a slave refuses to follow, empty where it does not."""
    if why(reply) != REFUSES_TO_FOLLOW:
        return ""
    told = next((match[1] for field in reply.fields if (match := _REFUSES.fullmatch(field))), "")
    former = _FORMER_REFUSAL.search(reply.text)
    return told or (former[0] if former and not reply.why else "") or reply.text
