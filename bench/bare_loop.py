"""What an idle daemon cannot do without, for `bench.idle`.

Ten times a second an asyncio loop wakes up, sends a line over loopback and waits for the same line from itself. What
that costs differs threefold between two hours of one machine, so the daemons are compared with it in the same run.
"""

import asyncio

_PERIOD = 0.1
_LINE = b"GET_AGENT_STATUS|1|db1\n"


async def _main() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    while True:
        writer.write(_LINE)
        await reader.readline()
        await asyncio.sleep(_PERIOD)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)


if __name__ == "__main__":
    asyncio.run(_main())
