"""Where this host's VIPs stand: on its interface, in files, or where a program says so.

`vip_via health` is a file (`taken`), which says for how long; `script` is what `vip_script` says, and such a file.
So a role without an address is held, renewed, found and given up as one with an address is, and nobody who decides has
to know the difference.
"""

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

from mmm.agent.act.taken import Taken, is_over
from mmm.agent.act.vip_script import VipScript
from mmm.clock import clock
from mmm.config.model import Cluster
from mmm.lease.rules import NEVER
from mmm.network.vips import Interface, InterfaceError, NoInterfaceError, whole

PID_PATH = "/run/mmm_agentd.pid"
"""Where the files are of an agent that has no pid file."""


class Places(Interface):
    """The interface of the host that a conf is of, and what stands in for addresses there. Raises as that does."""

    def __init__(self, conf: Cluster, *, forgets: bool = True) -> None:
        """Not `forgets`: the pid file's folder is not searched for what an earlier conf had; its disk may hang."""
        here = conf.hosts[conf.this]
        super().__init__(here.cluster_interface)
        self._told = frozenset(vip.ip for vip in conf.vips) - {vip.ip for vip in conf.bound_vips}
        """What the kernel has no part in."""
        self._moved = frozenset(vip.ip for vip in conf.scripts)
        """What of it a program moves."""
        self._script = VipScript(conf.scripts, here.cluster_interface)
        self._taken = Taken(here.pid_path or PID_PATH)
        if forgets:
            self._taken.forget_others(self._told)
        self._filing = threading.Lock()
        self._dropped = Counter[str]()
        """How often each was let go: what was found before that does not count any more."""

    def bound(self, ips: Collection[str] | None = None) -> dict[str, tuple[int, ...]]:
        """Return what stands here, and on the interface; as if each were bound as a single address."""
        told = self._told if ips is None else self._told & frozenset(ips)
        held: dict[str, tuple[int, ...]] = {ip: (whole(ip),) for ip in sorted(told) if self._stands(ip)}
        others = None if ips is None else [ip for ip in ips if ip not in told]
        if others is not None and not others:
            return held
        try:
            found = super().bound(others)
        except NoInterfaceError:
            if not held:
                raise
            return held
        return {ip: lengths for ip, lengths in found.items() if ip not in told} | held

    def _stands(self, ip: str) -> bool:
        return self._script.is_here(ip) if ip in self._moved else self._taken.left(ip) > 0

    def bind(self, ip: str, lifetime: int = 0) -> None:
        """Have `ip` held here for `lifetime` seconds or (0) for good."""
        if ip not in self._told:
            super().bind(ip, lifetime)
            return
        with self._filed(ip):
            self._taken.hold(ip, lifetime)
        if ip in self._moved:
            try:
                self._script.move(ip, here=True)
            except InterfaceError:
                self.let_go(ip)
                raise

    def unbind(self, ip: str) -> None:
        """Have `ip` held here no more."""
        self.let_go(ip)
        self.remove(ip)

    def let_go(self, ip: str, until: float | None = None) -> bool:
        """Have nobody told any more that `ip` is held here, where that has no other end by now than `until`, if given.

        Returns whether it is so: where not, another lease has begun meanwhile. It asks nothing of an address.
        """
        if ip not in self._told:
            return True
        with self._filed(ip):
            self._dropped[ip] += 1
            return self._taken.drop(ip, until)

    def remove(self, ip: str) -> None:
        """Have `ip`, which was let go, stand here no more; a program is not asked to where it is held anew by now."""
        if ip not in self._told:
            super().unbind(ip)
        elif ip in self._moved and self._taken.until(ip) == NEVER:
            self._script.move(ip, here=False)

    def renew(self, ip: str, lifetime: int) -> None:
        """Have `ip` stay for `lifetime` seconds or (0) for good where it is held, and not with a negative lifetime."""
        if ip not in self._told:
            super().renew(ip, lifetime)
            return
        before = self._dropped[ip]
        if lifetime >= 0 and (self._taken.left(ip) > 0 or self._is_unnoted(ip)):
            with self._filed(ip):
                if self._dropped[ip] == before:  # else another thread has let it go
                    self._taken.hold(ip, lifetime)

    def _is_unnoted(self, ip: str) -> bool:
        """Tell whether a program has an IP here though it said that it failed, so that nothing says until when."""
        return ip in self._moved and self._taken.until(ip) == NEVER and self._script.is_here(ip)

    def left(self, ip: str) -> float:
        """Return for how many seconds `ip` stays: infinite for good, 0 where it is not here."""
        if ip not in self._told:
            return super().left(ip)
        return self._taken.left(ip) if self._stands(ip) else 0.0

    def elsewhere(self, ips: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return which of `ips` are bound where they should not be, with the names of interfaces.

        What is not to be bound at all may be on this one, by an earlier conf. On others it is left alone: there are
        load balancers that want their address on the loopback of each host.
        """
        wanted = frozenset(ips)
        told = (self._told - self._moved) & wanted
        found = dict(super().elsewhere(wanted - self._told)) if wanted - self._told else {}
        try:
            left = super().bound(told) if told else {}
        except NoInterfaceError:
            left = {}
        return found | {ip: (self.name,) for ip, lengths in left.items() if whole(ip) in lengths}

    def unbind_elsewhere(self, ip: str) -> None:
        """Have `ip` bound nowhere where it should not be."""
        if ip not in self._told:
            super().unbind_elsewhere(ip)
        elif ip not in self._moved:
            with suppress(NoInterfaceError):
                super().unbind(ip)

    def overdue(self, late: float = 0.0) -> tuple[str, ...]:
        """Return what was held until a moment `late` seconds ago or more: whoever was to give it up has not."""
        now = clock() - late
        return tuple(ip for ip in sorted(self._told) if is_over(self._taken.until(ip), now))

    def held_until(self, ips: Collection[str]) -> dict[str, float]:
        """Return which of `ips` are held without being bound, each with the moment of its end, which may be over."""
        found = {ip: self._taken.until(ip) for ip in sorted(self._told & frozenset(ips))}
        return {ip: until for ip, until in found.items() if until != NEVER}

    @contextmanager
    def _filed(self, ip: str) -> Iterator[None]:
        """Have the files for one thread at a time; raises InterfaceError for what goes wrong with one."""
        with self._filing:
            try:
                yield
            except OSError as error:
                text = f"{error.filename}: cannot note who holds {ip}: {error.strerror}"
                raise InterfaceError(text) from error
