"""Hundreds of hosts in one process, for `bench.scale`: they speak the agent's protocol and enough of a server's.

python -m bench.stand_ins AGENT_PORT MYSQL_PORT [votes]

Not real servers: a handshake that accepts every password, and answers made of a table for what the monitor asks, with
places and GTIDs that move on all the time, as in busy servers.
All hosts listen on the same two ports of all addresses of the machine; the address that a client connected to tells
which host it means. On its output, a line of JSON for each status with the writer's VIP; for each line on its input,
a line of JSON with what was `asked` since the line before (read_only, and the state of replicas), and the intervals
between two mysql checks of a server, in seconds. With `votes` they agree to a monitor that leads, and keep nothing of
it on a disk; that line then also has how often each monitor has sent each command to an agent, as `IP COMMAND`.
"""

import asyncio
import json
import re
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mmm.lease.voter import Voter
from mmm.wire import agent as wire
from mmm.wire import voting
from mmm.wire.agent import Reply
from mmm.wire.status import Status, agent_status_fields, ordered_status

_SALT = b"stand-in stand-in st"
_CAPABILITIES = 0x000F_F7FF & ~0x0800 | 0x0008_0000
_PLACE = "@" * 10
_A_SECOND = 100
"""So many transactions a second all servers have, each with a number and a byte of its own."""
_VARIABLES = {
    "version": "10.11.14-MariaDB",
    "comment": "stand-in",
    "read_only": "1",
    "slave_pos": f"0-1-{_PLACE}",
    "binlog_pos": f"0-1-{_PLACE}",
    "binlog_state": f"0-1-{_PLACE}",
    "origin": "1",
    "i": "1",
    "o": "1",
}
_REPLICA = {
    "Slave_IO_State": "Waiting for master to send event", "Master_Host": "10.88.0.1", "Master_User": "replication",
    "Master_Port": "3306", "Connect_Retry": "5", "Master_Log_File": "mysql-bin.000001",
    "Read_Master_Log_Pos": _PLACE, "Relay_Log_File": "relay-bin.000002", "Relay_Log_Pos": "1200",
    "Relay_Master_Log_File": "mysql-bin.000001", "Slave_IO_Running": "Yes", "Slave_SQL_Running": "Yes",
    "Replicate_Do_DB": "", "Replicate_Ignore_DB": "", "Replicate_Do_Table": "", "Replicate_Ignore_Table": "",
    "Replicate_Wild_Do_Table": "", "Replicate_Wild_Ignore_Table": "", "Last_Errno": "0", "Last_Error": "",
    "Skip_Counter": "0", "Exec_Master_Log_Pos": _PLACE, "Relay_Log_Space": "1500", "Until_Condition": "None",
    "Until_Log_File": "", "Until_Log_Pos": "0", "Master_SSL_Allowed": "No", "Master_SSL_CA_File": "",
    "Master_SSL_CA_Path": "", "Master_SSL_Cert": "", "Master_SSL_Cipher": "", "Master_SSL_Key": "",
    "Seconds_Behind_Master": "0", "Master_SSL_Verify_Server_Cert": "No", "Last_IO_Errno": "0", "Last_IO_Error": "",
    "Last_SQL_Errno": "0", "Last_SQL_Error": "", "Replicate_Ignore_Server_Ids": "", "Master_Server_Id": "1",
    "Master_SSL_Crl": "", "Master_SSL_Crlpath": "", "Using_Gtid": "Slave_Pos", "Gtid_IO_Pos": f"0-1-{_PLACE}",
    "Replicate_Do_Domain_Ids": "", "Replicate_Ignore_Domain_Ids": "", "Parallel_Mode": "optimistic",
    "SQL_Delay": "0", "SQL_Remaining_Delay": "NULL",
    "Slave_SQL_Running_State": "Slave has read all relay log; waiting for more updates",
    "Slave_DDL_Groups": "0", "Slave_Non_Transactional_Groups": "0", "Slave_Transactional_Groups": "1000",
}  # fmt: skip
_BINLOG = {"File": "mysql-bin.000001", "Position": _PLACE, "Binlog_Do_DB": "", "Binlog_Ignore_DB": ""}


class Hosts:
    """What the stand-ins have in common: who was told what, and when servers were asked."""

    def __init__(self, *, votes: bool = False) -> None:
        self.told: dict[str, Status] = {}
        self.votes = votes
        self.sent: Counter[str] = Counter()
        self._voters: dict[str, Voter] = {}
        self.intervals: list[float] = []
        self.asked = 0
        self._asked: dict[str, float] = {}

    def checked(self, address: str) -> None:
        """Note that a server's read_only was asked, which the mysql check does once in each of its runs."""
        self.asked += 1
        now = time.monotonic()
        before = self._asked.get(address)
        self._asked[address] = now
        if before is not None:
            self.intervals.append(now - before)

    def answer(self, address: str, monitor: str, request: wire.Request) -> Reply:
        """Return an agent's answer to a monitor."""
        self.sent[f"{monitor} {request.command}"] += 1
        if request.command != voting.LEAD:
            reply = self._order(address, request)
            return replace(reply, token=_token()) if self.votes else reply
        asked, now, voter = voting.asked(request), time.monotonic(), self._voters.get(address, Voter())
        agrees = asked.epoch is not None and voter.refusal(asked.epoch, now) is None
        if asked.epoch is not None and agrees:
            voter = voter.agreed(asked.epoch, asked.record, asked.length, now)
            voter = voter if asked.length else voter.released(asked.epoch)
        self._voters[address] = voter
        follows = voter.follows(now)
        left = max(0.0, voter.until - now) if follows else 0.0
        fields = voting.said_fields(voting.Said(follows, left, voter.record, highest=voter.highest))
        agreed = agrees or asked.epoch is None
        text, why = ("OK: Agreed!", "") if agreed else ("ERROR: not agreed", voting.NOT_LED)
        return Reply(text, fields, 100_000.0, _token(), why)

    def _order(self, address: str, request: wire.Request) -> Reply:
        if request.command == wire.SET_STATUS:
            status = ordered_status(request)
            before = self.told.get(address)
            self.told[address] = status
            if any(vip.role == "writer" for vip in status.vips) and before != status:
                print(json.dumps({"writer": address, "at": time.monotonic()}), flush=True)
            return Reply("OK: Status applied successfully!", uptime=100_000.0)
        if request.command == wire.GET_AGENT_STATUS:
            fields = agent_status_fields(self.told.get(address, Status("UNKNOWN")))
            return Reply("OK: Returning status!", fields, 100_000.0)
        if request.command == wire.GET_SYSTEM_STATUS:
            vips = self.told.get(address, Status("UNKNOWN")).vips
            return Reply("OK: Returning status!", ("", wire.encode_vips(vips), ""), 100_000.0)
        return Reply("OK", uptime=100_000.0)


class AgentPort(asyncio.Protocol):
    """One request, one answer."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember which host is meant."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = transport.get_extra_info("sockname")[0]
        self._monitor = transport.get_extra_info("peername")[0]

    def data_received(self, data: bytes) -> None:
        """Answer a whole line."""
        self._data += data
        if self._data.endswith(b"\n"):
            request = wire.decode_request(self._data)
            if request.command == wire.WATCH:  # stays open, for no server here ever ends
                return
            reply = self._hosts.answer(self._address, self._monitor, request)
            self._transport.write(wire.encode_reply(reply))
            self._transport.close()


class ServerPort(asyncio.Protocol):
    """A session of a server."""

    answers: dict[bytes, bytes] = {}  # noqa: RUF012 - what was made once is sent again by all

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._data = b""
        self._logged_in = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = transport.get_extra_info("sockname")[0]
        transport.write(_greeting())

    def data_received(self, data: bytes) -> None:
        """Answer each whole packet."""
        self._data += data
        while len(self._data) >= 4:
            size = int.from_bytes(self._data[:3], "little")
            if len(self._data) < 4 + size:
                return
            sequence, packet = self._data[3], self._data[4 : 4 + size]
            self._data = self._data[4 + size :]
            if not self._logged_in:
                self._logged_in = True
                self._transport.write(_packets([_OK], sequence + 1))
            elif packet[:1] == b"\x03":
                self._transport.write(self._answer(packet[1:]))
            elif packet[:1] == b"\x01":
                self._transport.close()
            else:
                self._transport.write(_packets([_OK], 1))

    def _answer(self, statement: bytes) -> bytes:
        if b"read_only" in statement and b"gtid" not in statement:
            self._hosts.checked(self._address)
        elif b"SLAVES STATUS" in statement:
            self._hosts.asked += 1
        known = self.answers.get(statement)
        if known is None:
            known = self.answers[statement] = _encoded(_rows(statement.decode()))
        place = f"{int(time.monotonic() * _A_SECOND):0{len(_PLACE)}}"
        return known.replace(_PLACE.encode(), place.encode())


_OK = b"\0\0\0\x02\0\0\0"
_EOF = b"\xfe\0\0\x02\0"


def _rows(statement: str) -> dict[str, str] | None:
    """Return the row that answers a statement, None where OK does."""
    if "SLAVE STATUS" in statement or "SLAVES STATUS" in statement:
        return _REPLICA
    if "MASTER STATUS" in statement:
        return _BINLOG
    if statement.startswith("SELECT"):
        return {name: _VARIABLES.get(name, "0") for name in re.findall(r" AS (\w+)", statement)}
    return None


def _encoded(row: dict[str, str] | None) -> bytes:
    if row is None:
        return _packets([_OK], 1)
    columns = [_column(name) for name in row]
    values = b"".join(b"\xfb" if value == "NULL" else _text(value) for value in row.values())
    return _packets([bytes([len(row)]), *columns, _EOF, values, _EOF], 1)


def _column(name: str) -> bytes:
    names = b"".join(map(_text, ("def", "", "", "", name, "")))
    return names + b"\x0c" + struct.pack("<HIBHBxx", 45, 1024, 0xFD, 0, 0)


def _text(text: str) -> bytes:
    raw = text.encode()
    return bytes([len(raw)]) + raw


def _packets(bodies: Iterable[bytes], first: int) -> bytes:
    return b"".join(
        len(body).to_bytes(3, "little") + bytes([number % 256]) + body
        for number, body in enumerate(bodies, first)
    )


def _greeting() -> bytes:
    head = b"\x0a" + b"5.5.5-10.11.14-MariaDB\0" + struct.pack("<I", 1) + _SALT[:8] + b"\0"
    low, high = _CAPABILITIES & 0xFFFF, _CAPABILITIES >> 16
    rest = struct.pack("<HBHHB", low, 45, 2, high, 21) + bytes(10) + _SALT[8:] + b"\0"
    return _packets([head + rest + b"mysql_native_password\0"], 0)


def _token() -> str:
    """Return a token of this moment."""
    return f"standin.{time.monotonic_ns()}"


def _tally(intervals: Sequence[float], asked: int, sent: Counter[str]) -> str:
    grouped: dict[str, float] = {"checks": len(intervals), "asked": asked, **sent}
    ordered = sorted(intervals)
    for name, part in (("p50", 0.5), ("p99", 0.99), ("most", 1.0)):
        grouped[name] = ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0
    return json.dumps(grouped)


async def _serve(agent_port: int, mysql_port: int, *, votes: bool) -> None:
    loop, hosts = asyncio.get_running_loop(), Hosts(votes=votes)
    await loop.create_server(lambda: AgentPort(hosts), "0.0.0.0", agent_port, backlog=4096)  # noqa: S104
    await loop.create_server(lambda: ServerPort(hosts), "0.0.0.0", mysql_port, backlog=4096)  # noqa: S104
    print(json.dumps({"ready": True}), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(_tally(hosts.intervals, hosts.asked, hosts.sent if votes else Counter()), flush=True)
        hosts.intervals.clear()
        hosts.sent.clear()
        hosts.asked = 0


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), votes="votes" in sys.argv[3:]))
