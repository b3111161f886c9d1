"""Monitors ask each other for their word through the control port: who may, and which answer counts."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from mmm.config.allow import Allowed
from mmm.config.model import Cluster
from mmm.lease.lead import Lead
from mmm.monitor.act.admission import Admission
from mmm.monitor.act.control_port import Lack, control_server
from mmm.monitor.act.other_monitors import OtherMonitors
from mmm.wire import refrain
from tests.unit.worlds import cluster

ASKER, ASKED = "127.0.0.1", "127.0.0.2"
EPOCH = Lead(3, f"{ASKER}:9988", "a1")


def conf(key: str, port: int = 0) -> Cluster:
    one = cluster()
    assert one.monitor is not None
    own = replace(one.monitor, ip=ASKER, port=port)
    return replace(one, monitor=own, monitors=(ASKER, ASKED), auth_key=key)


def given(answer: str, keys: tuple[str, str], asks: Callable[[OtherMonitors], object]) -> object:
    """Return what one monitor hears of the other, which answers this; each has its key."""
    heard: list[refrain.Asked | None] = []

    async def command(words: Sequence[str], lack: Lack) -> str:
        heard.append(refrain.asked(words))
        return f"{lack() or answer}\n"

    async def run() -> object:
        server = control_server(command, Allowed(), Admission(conf(keys[1])))
        async with asyncio.timeout(30), server.listen(ASKED, 0, None) as port:
            return await asks(OtherMonitors(conf(keys[0], port)))  # type: ignore[misc]

    told = asyncio.run(run())
    assert set(heard) <= {None, refrain.Asked(EPOCH, 10.0), refrain.Asked(None, 0)}
    return told


def words(others: OtherMonitors) -> object:
    return others.words(EPOCH, 10.0)


def test_the_word_of_all_others_counts_and_no_other_answer() -> None:
    assert given(refrain.GIVEN, ("", ""), words)
    assert not given(refrain.refused("leads"), ("", ""), words)
    assert not given("Invalid command", ("", ""), words)
    assert given(refrain.GIVEN, ("", ""), lambda others: others.stand_by())


def test_with_a_key_question_and_answer_are_signed() -> None:
    assert given(refrain.GIVEN, ("key", "key"), words)
    assert given(refrain.GIVEN, ("key", "key"), lambda others: others.stand_by())
    assert not given(refrain.refused("leads"), ("key", "key"), words)
    assert not given(refrain.GIVEN, ("key", "another"), words)
    assert not given(refrain.GIVEN, ("key", ""), words)


def test_a_monitor_that_does_not_answer_gives_nothing() -> None:
    async def run() -> bool:
        return await OtherMonitors(conf("", 1)).words(EPOCH, 10.0)

    assert not asyncio.run(run())


def test_a_monitor_answers_though_its_answer_has_no_line_end() -> None:
    async def command(words: Sequence[str], _: Lack) -> str:
        return f"ERROR: {words[0]}"

    async def run() -> None:
        server = control_server(command, Allowed(), Admission(conf("")))
        async with asyncio.timeout(30), server.listen(ASKED, 0, None) as port:
            others = OtherMonitors(conf("", port))
            await others.look()
            assert others.answering == (ASKED,)

    asyncio.run(run())
