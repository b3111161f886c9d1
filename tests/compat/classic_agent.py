"""A stand-in for the classic agent: it answers as the recorded ones do, and does nothing but allow writes.

It serves one client at a time, ignores parameters that it does not know, and answers ERROR to commands that it does
not know. All that it hears and says is kept in a journal that tests can wait on.
"""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from tests.compat.cluster import AGENT_PORT, HOSTS, LIMIT, Cluster


@dataclass
class Journal:
    """What was heard (`>`) and then answered (`<`), in this order: `> db1 PING|1|db1`."""

    entries: list[str] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def add(self, entry: str) -> None:
        """Add an entry; what our monitor says of itself behind what the classic one says is left out."""
        with self._news:
            self.entries.append(as_classic(entry))
            self._news.notify_all()

    def wait(self, *wanted: str, after: int = 0) -> int:
        """Wait until the entries stand in the journal in this order, others between them; return where.

        `after` and the result are positions in the journal: entries before are not looked at.
        """
        with self._news:
            for entry in wanted:
                found = self._news.wait_for(partial(self._is_in, entry, after), LIMIT)
                assert found, (f"{entry} is missing in", self.entries[after:])
                after = self.entries.index(entry, after) + 1
            return after

    def _is_in(self, entry: str, after: int) -> bool:
        return entry in self.entries[after:]

    def wait_all(self, *wanted: str, after: int = 0) -> int:
        """Wait until each of the entries stands in the journal, in whatever order."""
        return max(self.wait(entry, after=after) for entry in wanted)

    @property
    def end(self) -> int:
        """Return the position behind the newest entry."""
        return len(self.entries)


def as_classic(request: str) -> str:
    """Return a request without what our monitor says of itself behind what the classic one says."""
    return re.sub(r"(\|CONF:[^|]+)?\|LEAD:[^|]+$", "", request)


@dataclass
class ClassicAgent:
    """The agent of one host; `hangs_up` closes each connection after its first command."""

    name: str
    journal: Journal
    source: str
    """IP address of the server that the host replicates from."""
    allow_writes: Callable[[bool], None] = lambda _: None
    hangs_up: bool = False
    state: str = "UNKNOWN"
    roles: str = ""
    master: str = ""
    before_answer: Callable[[str], None] = lambda _: None

    def serve(self, listening: socket.socket) -> None:
        """Serve one client after the other until the socket is shut down."""
        with suppress(OSError):
            while True:
                connection = listening.accept()[0]
                with suppress(ConnectionError), connection, connection.makefile("rwb") as stream:
                    for line in stream:
                        stream.write(self.answer(line))
                        stream.flush()
                        if self.hangs_up:
                            break

    def answer(self, line: bytes) -> bytes:
        """Return the answer to a request line, as it was recorded."""
        request = line.decode().removesuffix("\n")
        self.journal.add(f"> {self.name} {request}")
        self.before_answer(as_classic(request))
        answer = self._answer(request)
        self.journal.add(f"< {self.name} {request}")
        return f"{answer}|UP:2672.20\n".encode()

    def _answer(self, request: str) -> str:
        command, *rest = request.split("|")
        if len(rest) < 2:
            return f"ERROR: Invalid command '{request}'!"
        if rest[1] != self.name:
            return f"ERROR: Invalid hostname in command ({rest[1]})! My name is '{self.name}'"
        match command:
            case "PING":
                return "OK: Pinged!"
            case "SET_STATUS":
                self._set_status(*rest[2:5])
                return "OK: Status applied successfully!"
            case "GET_AGENT_STATUS":
                return f"OK: Returning status!|{self.state}|{self.roles}|{self.master}"
            case "GET_SYSTEM_STATUS":
                writable = "1" if "writer(" in self.roles else ""
                return f"OK: Returning status!|{writable}|{self.roles}|{self.source}"
            case "CLEAR_BAD_ROLES":
                return "OK: Removed 0 roles"
        return f"ERROR: Invalid command '{command}'!"

    def _set_status(self, state: str, roles: str, master: str) -> None:
        self.state, self.roles = state, roles
        self.allow_writes("writer(" in roles)
        if self.name != "db3":  # a master forgets who the active one is
            return
        if state == "ONLINE" and master:
            self.source = HOSTS[master]
        self.master = master


@contextmanager
def classic_agent(cluster: Cluster, name: str, journal: Journal, source: str) -> Iterator[ClassicAgent]:
    """Run the agent of a host; `source` is the host that this one replicates from."""
    server = cluster.servers[name]

    def allow_writes(allowed: bool) -> None:  # noqa: FBT001
        server.run(f"SET GLOBAL read_only={int(not allowed)}")

    agent = ClassicAgent(name, journal, HOSTS[source], allow_writes)
    with socket.create_server((HOSTS[name], AGENT_PORT)) as listening:
        serving = threading.Thread(target=agent.serve, args=(listening,))
        serving.start()
        try:
            yield agent
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            serving.join(LIMIT)
