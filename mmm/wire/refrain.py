"""What a monitor that leads asks the other ones: not to ask for the lead for a while (rule 14.2). No sockets.

    request   refrain EPOCH SECONDS [hand_over]
              SECONDS 0: that epoch is over, its word is given back
              EPOCH `-`, SECONDS 0: only asks whether the other one stands by
              `hand_over`: the one that leads is about to give up the lead, for a third one to take it. The other one
              does not ask for the lead for as long as its word would hold, though it may reach enough voters; nobody
              leads on by that. A monitor that does not know the word answers that the command is invalid: no OK
    answer    OK                        it has given its word
              ERROR: CODE               it has not
    with auth_key both are signed: the answer ends with a MAC of the challenge, the words and what it says

The line goes to the control port, as those of mmm_control do. EPOCH is NUMBER.ADDRESS.NONCE as in orders.
"""

import hmac
import re
from collections.abc import Sequence
from typing import NamedTuple

from mmm.lease.lead import Lead
from mmm.wire.command import command_mac
from mmm.wire.voting import epoch_of, epoch_text

REFRAIN, _HAND_OVER = "refrain", "hand_over"
GIVEN = "OK"
_NOBODY = "-"
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


class Asked(NamedTuple):
    """A monitor that leads by this epoch asks for the word of another one, for so many seconds and the margin."""

    epoch: Lead | None
    """None: it does not lead, and asks whether the other one does."""
    length: float
    """0: it leads no more."""
    hand_over: bool = False
    """It gives up the lead, for a third one to take it."""


def words(asked: Asked) -> tuple[str, ...]:
    """Return the command that asks for it."""
    epoch = _NOBODY if asked.epoch is None else epoch_text(asked.epoch)
    return REFRAIN, epoch, f"{asked.length:g}", *((_HAND_OVER,) if asked.hand_over else ())


def asked(words: Sequence[str]) -> Asked | None:
    """Return what is asked, None where these words ask for no word."""
    match list(words):
        case [command, epoch, seconds, *more] if command == REFRAIN and _SECONDS.fullmatch(seconds):
            lead, hand_over = epoch_of(epoch), more == [_HAND_OVER]
            known = (lead is not None or epoch == _NOBODY) and (hand_over or not more)
            return Asked(lead, float(seconds), hand_over) if known else None
        case _:
            return None


def refused(code: str) -> str:
    """Return the answer of a monitor that does not give its word."""
    return f"ERROR: {code}"


def with_mac(answer: str, key: str, nonce: str, words: Sequence[str]) -> str:
    """Return the answer as it is sent where the question was signed with this challenge."""
    return f"{answer} {command_mac(key, nonce, [*words, answer])}"


def is_given(answer: str, key: str, nonce: str, words: Sequence[str]) -> bool:
    """Tell whether an answer gives the word; with a `key` it must be signed by that."""
    right = with_mac(GIVEN, key, nonce, words) if key else GIVEN
    return hmac.compare_digest(answer.encode(), right.encode())
