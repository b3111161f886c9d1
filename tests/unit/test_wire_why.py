"""Why an agent has not done what it was asked: by its code, and by the texts of agents that had none."""

import pytest

from mmm.wire import why
from mmm.wire.agent import Reply, decode_reply

REFUSES = (
    "10.0.0.53 refuses to follow 10.0.0.52:3306: it has 3 transactions (0-1-601 to 0-1-603) that the new source"
    " lacks; set its data up anew from the active master"
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ERROR: Invalid command 'REACHABLE'!", why.UNKNOWN_COMMAND),
        ("ERROR: this order is older than one obeyed before, or than the agent: not obeyed", why.STALE),
        ("ERROR: a newer order waits: not obeyed", why.STALE),
        (f"ERROR: bind reader(10.0.0.93): no such device; follow db2: {REFUSES}", why.REFUSES_TO_FOLLOW),
        ("ERROR: follow db2: MySQL at 10.0.0.52:3306: no answer in 1 s", why.NOT_FOLLOWED),
        ("ERROR: deny writes: MySQL at 10.0.0.53:3306: no answer in 1 s", ""),
        ("OK: Status applied; follow db2: not obeyed", ""),
    ],
)
def test_an_agent_without_codes_is_understood_by_its_words(text: str, code: str) -> None:
    assert why.why(decode_reply(f"{text}|UP:1.00\n".encode())) == code


def test_the_words_of_an_agent_with_codes_decide_nothing() -> None:
    reply = Reply(f"ERROR: follow db2: {REFUSES}: not obeyed", why=why.BUSY)
    assert why.why(reply) == why.BUSY
    assert why.refusal_to_follow(reply) == ""


def test_the_sentence_of_a_slave_that_refuses_to_follow() -> None:
    ours = Reply("ERROR: no", (why.refuses_field(REFUSES),), why=why.REFUSES_TO_FOLLOW)
    former = Reply(f"ERROR: bind reader(10.0.0.93): no such device; follow db2: {REFUSES}; deny writes: no")
    assert why.refusal_to_follow(ours) == why.refusal_to_follow(former) == REFUSES
