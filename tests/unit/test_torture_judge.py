"""What torture calls bad, of rounds that came out wrong on purpose; and how it reads MMM's word from the history."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from mmm.monitor.report import history
from mmm.monitor.report.history import Entry
from mmm.monitor.world.loss import LossCode
from mmm.proving import rounds
from mmm.proving.announced import Announced
from mmm.proving.losses import Losses
from mmm.proving.rounds import ROUNDS
from mmm.proving.torture import Found, judged
from mmm.sandbox.trouble.faults import FAULTS

WAYS = {way.name: way for way in ROUNDS}
KILL, PLANNED = WAYS["kill-mysqld"], WAYS["planned"]


def announced(most: int | None, code: LossCode = LossCode.AT_MOST) -> Announced:
    return Announced(0.0, "db1", "db2", str(code), most)


def found(*told: Announced, lost: int = 0, apart: str = "", hands: str = "", moves: int = 1) -> Found:
    return Found(
        "a round",
        moves,
        300,
        2,
        lost=lost,
        told=list(told),
        apart=[apart] * bool(apart),
        hands={"db1": hands} if hands else {},
    )


@pytest.mark.parametrize(
    "told",
    [(announced(3),), (announced(None, LossCode.UNSEEN),), (announced(9), announced(3, LossCode.COMPARED))],
)
def test_a_loss_that_was_said_is_not_bad(told: tuple[Announced, ...]) -> None:
    assert not judged(KILL, found(*told, lost=3, apart="db1 has 0-1-9 alone"))


@pytest.mark.parametrize(
    "told",
    [
        (),
        (announced(2),),
        (announced(0, LossCode.ACKNOWLEDGED),),
        (announced(9), announced(2, LossCode.COMPARED)),
        (announced(2), announced(3, LossCode.COMPARED)),
    ],
)
def test_every_bound_that_mmm_gave_must_be_one(told: tuple[Announced, ...]) -> None:
    assert judged(KILL, found(*told, lost=3, apart="db1 has 0-1-9 alone"))


def test_semi_sync_loses_nothing_whatever_is_said() -> None:
    assert judged(KILL, found(announced(3), lost=1), semi_sync=True)
    assert not judged(KILL, found(announced(3)), semi_sync=True)


def test_a_planned_move_loses_nothing_and_is_made() -> None:
    assert not judged(PLANNED, found(moves=5))
    assert judged(PLANNED, found(announced(None), lost=1))
    assert judged(PLANNED, found(apart="db1 has 0-1-9 alone"))
    assert judged(PLANNED, found(moves=0))


def test_only_a_host_with_extra_transactions_may_need_hands() -> None:
    assert not judged(KILL, found(apart="db1 has 0-1-9 alone", hands="AWAITING_RECOVERY"))
    assert judged(KILL, found(hands="AWAITING_RECOVERY"))


def loss(most: int | None) -> dict[str, object]:
    return {"host": "db1", "taker": "db2", "loss": "at_most", "most": most}


def test_what_mmm_says_is_read_from_the_history_once_each(tmp_path: Path) -> None:
    """The monitor adds lines, and writes the file anew, shorter, when it has grown too long.

    Another monitor that comes to lead has the lines of the one before.
    """
    path, other = (tmp_path / name / "mmm_mond.status.history" for name in ("monitor", "monitor2"))
    for each in (path, other):
        each.parent.mkdir()
    path.write_text(history.encode(Entry(1, "before", loss=loss(1))))
    moments = iter(range(1, 20))
    sandbox = SimpleNamespace(
        layout=SimpleNamespace(
            cluster=SimpleNamespace(monitor=SimpleNamespace(status_path="mmm_mond.status")),
            monitors={"monitor": "10.77.0.2", "monitor2": "10.77.0.3"},
        ),
        machine=lambda machine: SimpleNamespace(path=lambda name: tmp_path / machine / name),
    )
    losses = Losses(sandbox, lambda: float(next(moments)))  # type: ignore[arg-type]
    assert losses.read() == []
    more = [
        Entry(2, "db1: ONLINE -> HARD_OFFLINE"),
        Entry(3, "lost", loss=loss(7)),
        Entry(4, "lost", loss=loss(None)),
    ]
    lines = [history.encode(entry) for entry in more]
    with path.open("a") as file:
        file.writelines([*lines[:2], lines[2][:9]])
    assert losses.read() == [Announced(2.0, "db1", "db2", "at_most", 7)]
    with path.open("a") as file:
        file.write(lines[2][9:])
    assert losses.read() == [Announced(3.0, "db1", "db2", "at_most", None)]
    assert losses.read() == []
    shorter = tmp_path / "new"
    shorter.write_text("".join(lines[1:]) + history.encode(Entry(5, "lost", loss=loss(2))))
    shorter.replace(path)
    assert [each.most for each in losses.read()] == [2]
    other.write_text(path.read_text() + history.encode(Entry(6, "lost", loss=loss(4))))
    assert [each.most for each in losses.read()] == [4]


@pytest.mark.parametrize("way", ROUNDS, ids=lambda way: way.name)
def test_every_round_breaks_a_host_or_the_monitor_as_its_fault_wants(
    way: rounds.Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = Mock(hosts=("db1", "db2", "db3"))
    sandbox.layout.masters = ("db1", "db2")

    def inject(_: object, fault: str, host: str | None = None) -> str:
        assert host in ((None,) if FAULTS[fault].anywhere else sandbox.hosts)
        return ""

    monkeypatch.setattr(rounds, "inject", inject)
    way.strike(sandbox, "db1")
