"""One line to a line server and one back, with a limit: how an agent asks another (rule 4)."""

import asyncio
import ssl
from contextlib import suppress


async def ask(ip: str, port: int, line: bytes, limit: float, tls: ssl.SSLContext | None = None) -> bytes:
    """Return the line that is answered within `limit` seconds, empty where there was none."""
    with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_connection(ip, port, ssl=tls)
            try:
                writer.write(line)
                return await reader.readuntil(b"\n")
            finally:
                writer.close()
    return b""
