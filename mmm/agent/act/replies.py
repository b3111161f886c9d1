"""Makes the lines with which an agent answers (rule 4)."""

from collections.abc import Callable

from mmm.agent.decide.failure import code_of, refuses_for
from mmm.agent.decide.held_lease import HeldLease
from mmm.agent.decide.obedience import Outcome
from mmm.clock import clock
from mmm.config.model import Cluster
from mmm.process.job_files import Told
from mmm.wire import agent as wire
from mmm.wire import why
from mmm.wire.held import held_fields
from mmm.wire.job import ended_fields, job_fields
from mmm.wire.promises import left_field
from mmm.wire.signature import fresh_field, sign_reply

_LONGEST_TEXT = 4000


class Replies:
    """Replies with what each of them carries: the token of the moment, and a signature where there is a key."""

    def __init__(self, conf: Cluster, held: Callable[[], HeldLease], jobs: Callable[[], Told] = Told) -> None:
        self._key = conf.auth_key
        self._leases = conf.vip_lease > 0
        self._held = held
        self._jobs = jobs
        self.ending = ""
        """What each answer says of the end of this agent: LEAVING or HALTING; empty while it goes on."""

    def reply(self, text: str, fields: tuple[str, ...] = (), code: str = "") -> bytes:
        """Return a reply with its LF."""
        uptime, held = clock(), self._held()
        fresh = held.token(uptime)
        token = fresh if self._leases else wire.NO_LEASE
        if self._key and not self._leases:
            fields = (*fields, fresh_field(fresh))
        told = self._jobs()
        fields = (*fields, *job_fields(told.job), *ended_fields(told.ended), *held_fields(held.stays))
        try:
            fields = (*fields, self.ending) if self.ending else fields
            reply = wire.Reply(wire.sayable(text)[:_LONGEST_TEXT], fields, uptime, token, code)
            return wire.encode_reply(reply)
        except wire.WireError as error:
            text = f"ERROR: {wire.sayable(str(error))}"
            return wire.encode_reply(wire.Reply(text, (), uptime, token, why.NOT_DONE))

    def error(self, code: str, text: str, fields: tuple[str, ...] = ()) -> bytes:
        """Return an ERROR with its LF; `code` is one of `mmm.wire.why`."""
        return self.reply(f"ERROR: {text}", fields, code)

    def failed(self, outcome: Outcome, fields: tuple[str, ...] = ()) -> bytes:
        """Return the ERROR to an order that was not carried out."""
        if left := refuses_for(outcome.failures):
            fields = (*fields, left_field(left))
        return self.error(code_of(outcome.failures), "; ".join(map(str, outcome.failures)), fields)

    def signed(self, request: wire.Request, line: bytes) -> bytes:
        """Return the reply with the signature that a signed request is answered with."""
        if not self._key:
            return line
        return wire.encode_reply(sign_reply(self._key, wire.decode_reply(line), request))
