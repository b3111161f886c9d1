"""TLS files that are read again while a daemon runs: certificates are renewed without a restart.

Whoever renews them need tell nobody: the files are looked at every PERIOD seconds, and by SIGHUP or `reload` at once.
They are taken once two looks have found the same, for some programs write them one by one. What cannot be used is not
taken: connections go on being made by what was read before.
"""

import asyncio
import hashlib
import logging
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from mmm.config.model import Socket
from mmm.process import tls, x509

PERIOD = 30.0
"""Seconds between two looks at the files."""

log = logging.getLogger(__name__)


class Newest(ssl.SSLContext):
    """Stands for the context that was made last: each new connection is made by that, those that stand keep theirs.

    Of a context itself only more CAs could be added; one that was taken out of its file would still be good.
    """

    def __init__(self, _protocol: int, made: ssl.SSLContext) -> None:
        self.made = made

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Return the socket with TLS by the newest context."""
        return self.made.wrap_socket(*args, **kwargs)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Return TLS by the newest context between two buffers, as asyncio asks for it."""
        return self.made.wrap_bio(*args, **kwargs)


class Renewal:
    """Contexts that `make` makes of files, the first of which is the certificate; it may raise TlsError and OSError."""

    def __init__(self, files: Iterable[str], make: Callable[[], tuple[ssl.SSLContext, ...]]) -> None:
        self._files, self._make = tuple(files), make
        self._used = self._seen = _digest(self._files)
        self.contexts = tuple(Newest(each.protocol, each) for each in make())
        self._said = ""
        self._looking = threading.Lock()
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Have the files looked at now, and taken as they are."""
        self._asked.set()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Have new files taken during the block."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()

    async def _watch(self) -> None:
        while self.contexts:
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await self._asked.wait()
            whole = self._asked.is_set()
            self._asked.clear()
            try:
                await asyncio.to_thread(self.look, whole=whole)
            except Exception:
                log.exception("a look at TLS files ended by an internal error")

    async def look_now(self) -> str:
        """Take the files as they are, and return what came of it, as `look` does."""
        return await asyncio.to_thread(self.look, whole=True)

    def look(self, *, whole: bool = False) -> str:
        """Take the files if they have changed, and not since the last look or are known to be `whole`.

        Returns what came of it in a sentence, which is logged too; empty where nothing did.
        """
        with self._looking:
            found, before = _digest(self._files), self._seen
            self._seen = found
            if found == self._used:
                self._said = ""
            elif found == before or whole:
                return self._take(found, again=whole)
            return ""

    def _take(self, found: bytes, *, again: bool) -> str:
        try:
            made = self._made_of(found)
        except (OSError, ValueError, tls.TlsError) as error:
            said = (
                f"TLS: new files are not taken: {error}; connections are made by what was read before, the files"
                f" are tried again every {PERIOD:g} s"
            )
            if again or said != self._said:
                log.warning("%s", said)
            self._said = said
            return said
        for standing, new in zip(self.contexts, made, strict=True):
            standing.made = new
        self._used, self._said = found, ""
        said = (
            f"TLS: new files are taken, for new connections: {', '.join(self._files)}{_until(self._files[0])}"
        )
        log.info("%s", said)
        return said

    def _made_of(self, found: bytes) -> tuple[ssl.SSLContext, ...]:
        made = self._make()
        if _digest(self._files) != found:
            raise tls.TlsError(f"{', '.join(self._files)} are being written at the moment")
        return made


class ClusterTls:
    """TLS as `<socket>` asks for it, by its files as they are now: `server` and `client` are None for plain TCP.

    Raises TlsError where the files cannot be used at first.
    """

    def __init__(self, socket: Socket) -> None:
        files = () if socket.type == "plain" else (socket.cert_file, socket.key_file, socket.ca_file)

        def make() -> tuple[ssl.SSLContext, ...]:
            both = tls.server_context(socket), tls.client_context(socket)
            return tuple(each for each in both if each is not None)

        self.renewal = Renewal(files, make)
        self.server: ssl.SSLContext | None = None
        self.client: ssl.SSLContext | None = None
        if self.renewal.contexts:
            self.server, self.client = self.renewal.contexts


def _digest(files: Iterable[str]) -> bytes:
    """Return what is another one when a file is: what says the time of its last change may be set by hand."""
    found = hashlib.sha256()
    for file in files:
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            data = str(error).encode()
        found.update(len(data).to_bytes(8, "big") + data)
    return found.digest()


def _until(cert_file: str) -> str:
    with suppress(OSError, ValueError, IndexError):
        ends = x509.certificates(Path(cert_file).read_bytes())[0].ends
        return f"; the certificate is good until {time.strftime('%Y-%m-%d', time.gmtime(ends))}"
    return ""
