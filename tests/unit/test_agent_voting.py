"""An agent's vote on which monitor leads: what outlives it and its host, and whose orders it obeys."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmm.agent.act import promise_file
from mmm.agent.act.authority import Authority
from mmm.agent.act.voting import Voting
from mmm.config.agreement import digests
from mmm.config.model import Cluster
from mmm.lease.lead import Lead
from mmm.lease.record import Record
from mmm.network.listener import Peer
from mmm.wire import voting
from mmm.wire.lead import CONF, differs_field, signed_by
from mmm.wire.status import LeaseOffer, Status, set_status
from tests.unit.worlds import cluster

FIRST = Lead(1, "10.0.0.8:9988", "a1")
SECOND = Lead(2, "10.0.0.9:9988", "b1")
RECORD = Record(FIRST, 3, "ACTIVE", "", frozenset({"db2"}), frozenset({"db1"}))
PEER = Peer("10.0.0.8", 1000, "10.0.0.1", 9989)
P, WAIT = 4.0, 5.0


class Clock:
    """A clock that tests set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def conf(tmp_path: Path) -> Cluster:
    both = replace(cluster(), vip_lease=10.0, lead_lease=P, monitors=("10.0.0.8", "10.0.0.9"))
    db1 = replace(both.hosts["db1"], pid_path=str(tmp_path / "agentd.pid"))
    return replace(both, this="db1", voters=tuple(both.hosts), hosts={**both.hosts, "db1": db1})


def voter(conf: Cluster, clock: Clock) -> Voting:
    return Voting(conf, conf.hosts["db1"].pid_path, clock)


def whole(conf: Cluster, clock: Clock) -> Voting:
    """Return a voter that has agreed to the first monitor, and was made whole by it."""
    vote = voter(conf, clock)
    clock.now += WAIT
    assert vote.asked(voting.Asked(FIRST, P), None) == ""
    assert vote.asked(voting.Asked(FIRST, P, RECORD), clock.now - 1.0) == ""
    assert not vote.said().new
    return vote


def test_a_vote_outlives_the_agent(conf: Cluster, clock: Clock) -> None:
    whole(conf, clock)
    clock.now += 1.0
    again = voter(conf, clock)
    assert again.said() == voting.Said(FIRST, WAIT - 1.0, RECORD, highest=FIRST)
    assert again.asked(voting.Asked(SECOND, P), None) == "bound"
    clock.now += WAIT
    assert again.asked(voting.Asked(SECOND, P), None) == ""
    assert voter(conf, clock).asked(voting.Asked(FIRST, P), None) == "higher"


def test_after_a_boot_a_voter_waits_and_knows_what_it_has_agreed_to(
    conf: Cluster, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole(conf, clock).asked(voting.Asked(FIRST, 0), None)
    assert voter(conf, clock).asked(voting.Asked(SECOND, P), None) == ""
    clock.now = 10.0
    monkeypatch.setattr(promise_file, "boot", lambda: "another")
    booted = voter(conf, clock)
    assert booted.said() == voting.Said(None, 0.0, RECORD, highest=SECOND)
    assert booted.asked(voting.Asked(SECOND, P), None) == "booted"
    clock.now += WAIT
    assert booted.asked(voting.Asked(FIRST, P), None) == "higher"
    assert booted.asked(voting.Asked(SECOND, P), None) == ""


def test_a_voter_without_a_disk_is_new_until_a_token_shows_that_its_monitor_leads(
    conf: Cluster, clock: Clock
) -> None:
    vote = voter(conf, clock)
    assert vote.said().new
    clock.now += WAIT
    early = clock.now
    assert vote.asked(voting.Asked(FIRST, P), early) == ""
    assert vote.said().new
    clock.now += P
    vote.asked(voting.Asked(FIRST, P), early)
    assert vote.said().new
    vote.asked(voting.Asked(FIRST, P, RECORD), clock.now - 1.0)
    assert not vote.said().new
    assert not voter(conf, clock).said().new


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "[1]",
        "{}",
        '{"highest": 1, "record": "-", "new": false}',
        '{"highest": "", "record": "x", "new": false}',
    ],
)
def test_a_vote_that_was_damaged_on_the_disk_counts_as_lost(
    conf: Cluster, clock: Clock, tmp_path: Path, damaged: str
) -> None:
    whole(conf, clock)
    (tmp_path / "agentd.pid.lead.voter").write_text(damaged)
    again = voter(conf, clock)
    assert again.said().new
    assert again.asked(voting.Asked(FIRST, P), None) == "booted"


@pytest.mark.parametrize(
    "damaged", ["", "{}", '{"boot": "b", "epoch": null, "until": 1, "booted": 1, "at": 1}']
)
def test_a_voter_that_does_not_know_whom_it_follows_waits_as_after_a_boot(
    conf: Cluster, clock: Clock, tmp_path: Path, damaged: str
) -> None:
    whole(conf, clock)
    (tmp_path / "agentd.pid.lead").write_text(damaged)
    again = voter(conf, clock)
    assert (again.said().new, again.said().highest, again.said().record) == (False, FIRST, RECORD)
    assert again.asked(voting.Asked(FIRST, P), None) == "booted"


def test_a_vote_that_cannot_be_written_is_not_given(conf: Cluster, clock: Clock, tmp_path: Path) -> None:
    vote = whole(conf, clock)
    clock.now += WAIT
    (tmp_path / "agentd.pid.lead.new").mkdir()
    assert vote.asked(voting.Asked(SECOND, P), None) != ""
    assert vote.said().follows is None


def order(said: Authority, lead: Lead | None, token: str) -> str:
    """Return the code with which an order with this token is refused, empty where it is obeyed."""
    request = set_status("db1", Status("ONLINE", (), "db1"), LeaseOffer(10.0, token))
    refused = said.refusal(request if lead is None else signed_by(lead, request), PEER)
    return refused.why if refused else ""


def test_an_agent_obeys_the_monitor_it_is_bound_to_within_the_lead_from_the_token(
    conf: Cluster, clock: Clock
) -> None:
    said = Authority(conf, clock, lambda token: float(token) if token else None)
    vote = said.voting
    assert vote is not None
    assert order(said, FIRST, "1000") == voting.NOT_LED
    clock.now += WAIT
    vote.asked(voting.Asked(FIRST, P), None)
    token = f"{clock.now:.0f}"
    assert order(said, FIRST, token) == ""
    assert order(said, SECOND, token) == voting.NOT_LED
    assert order(said, None, token) == voting.NOT_LED
    clock.now += P
    assert order(said, FIRST, token) == voting.NOT_LED
    assert order(said, FIRST, f"{clock.now:.0f}") == ""
    clock.now += WAIT - P
    assert order(said, FIRST, f"{clock.now:.0f}") == voting.NOT_LED


def test_an_agent_with_other_voters_does_not_vote(conf: Cluster, clock: Clock) -> None:
    said = Authority(conf, clock)
    assert said.voting is not None
    clock.now += WAIT
    theirs = digests(replace(conf, voters=("db1",)))
    refused, why = said.vote(said.voting, voting.ask("db1", voting.Asked(FIRST, P), theirs))
    assert refused == ""
    assert why is not None
    assert (why.why, why.fields) == (CONF, (differs_field(("voters",)),))
    assert said.voting.said().follows is None
    assert said.vote(said.voting, voting.ask("db1", voting.Asked(FIRST, P), digests(conf))) == ("", None)
    assert said.voting.said().follows == FIRST


def test_a_voter_with_other_voters_in_its_conf_counts_once_a_monitor_has_led_it(
    conf: Cluster, clock: Clock
) -> None:
    whole(conf, clock)
    one_less = replace(conf, voters=conf.voters[:-1])
    assert not voter(one_less, clock).said().changed
    others = replace(conf, voters=("db1", "db4", "db5"))
    vote = voter(others, clock)
    assert vote.said().changed
    assert vote.asked(voting.Asked(FIRST, P), None) == ""
    assert vote.said().changed
    assert voter(others, clock).said().changed
    assert vote.asked(voting.Asked(FIRST, P), clock.now - 1.0) == ""
    assert not vote.said().changed
    assert not voter(others, clock).said().changed
