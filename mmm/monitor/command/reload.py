"""reload: the monitor takes another conf, as a whole or not at all."""

from collections.abc import Mapping

from mmm.config.model import Cluster
from mmm.config.reload import Change, changes, refused
from mmm.monitor.command.asking import Asking, Command, LetGo, ReadConf
from mmm.monitor.command.command_result import Result
from mmm.monitor.command.texts import Verdict
from mmm.monitor.decide import new_conf
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.said import Several
from mmm.monitor.world.world import World

NAME = "reload"
LET_GO = 15.0
"""Seconds in which VIPs that go have to be unbound."""
_SAY_MORE = frozenset({"reloaded", "same_conf"})


def dry_run(_: World, __: float) -> Asking[Result]:
    """Say what a reload would take, and change nothing."""
    heard = yield ReadConf()
    world = heard.world
    conf = heard.conf
    if conf is None:
        return Result(world, Verdict("conf_unusable", {"lines": heard.errors}))
    news = changes(world.conf, conf)
    if refusal := _refusal(world, conf, news):
        return Result(world, refusal)
    going, renamed = tuple(sorted(new_conf.going(world, conf))), new_conf.renamed(world, conf)
    about = {"changes": _shown(news), "going": going, "renamed": renamed}
    return Result(world, Verdict("reload_dry_run", about))


def run(_: World, __: float) -> Asking[Result]:
    """Have the conf read and taken; what it has not got is unbound first."""
    heard = yield ReadConf()
    world, now, conf = heard.world, heard.now, heard.conf
    if conf is None:
        return Result(world, Verdict("conf_unusable", {"lines": heard.errors}))
    news = changes(world.conf, conf)
    if refusal := _refusal(world, conf, news):
        return Result(world, refusal)
    renamed = new_conf.renamed(world, conf)
    if going := new_conf.going(world, conf):
        heard = yield LetGo(going)
        world, now = heard.world, heard.now
        if left := new_conf.going(world, conf):
            hosts = tuple(sorted(new_conf.have(world, left)))
            about = {"hosts": hosts, "vips": tuple(sorted(left)), "limit": LET_GO}
            return Result(new_conf.kept(world), Verdict("not_let_go", about))
        if refusal := _refusal(world, conf, news):  # the cluster has changed meanwhile
            return Result(new_conf.kept(world), refusal)
    said = {"changes": Several(_shown(news))}
    return Result(
        new_conf.taken(world, conf, now),
        Verdict("reloaded", said | {"renamed": renamed}),
        entry=Happened("reloaded", said),
    )


def with_renewed(verdict: Verdict | None, tls: str) -> Verdict | None:
    """Return the answer with what came of TLS files that were read again; empty: they are as they were."""
    if verdict is None or not tls or verdict.code not in _SAY_MORE:
        return verdict
    return Verdict(verdict.code, {**verdict.fields, "tls": tls})


def _refusal(world: World, conf: Cluster, news: tuple[Change, ...]) -> Verdict | None:
    if not news:
        return Verdict("same_conf")
    if why := (*refused(news), *new_conf.objections(world, conf)):
        return Verdict("conf_refused", {"why": why})
    return None


def _shown(news: tuple[Change, ...]) -> tuple[str, ...]:
    return tuple(map(str, news))


COMMANDS: Mapping[tuple[str, ...], Command] = {(NAME,): run, (NAME, "--dry-run"): dry_run}
