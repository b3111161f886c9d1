"""The stream of a donor's data by ssh: `mmm_stream` there, for hosts whose agents talk without TLS. Edge.

The key of this host's root should be good for nothing else there: `restrict,command="/usr/sbin/mmm_stream"`.
"""

import shlex
import socket
import subprocess
import tempfile
from collections.abc import Sequence

from mmm.config.model import Host
from mmm.tools.fetch.stream import Stream
from mmm.tools.fetch.values import Cause, FailedError
from mmm.wire.stream import STREAM_PROGRAM

CONNECT = 10
"""Seconds that the connection may take."""
_OPTIONS = ("-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT}", "-o", "ServerAliveInterval=15")
_GONE_CIPHER = "blowfish"


def command(donor: Host, provider: str, job: str) -> list[str]:
    """Return the command line. The cipher that confs of MMM 2.x name is left out: OpenSSH has it no more."""
    words = [*_OPTIONS, *usable(shlex.split(donor.ssh_parameters)), "-p", str(donor.ssh_port)]
    return ["ssh", *words, f"{donor.ssh_user}@{donor.ip}", f"{STREAM_PROGRAM} {provider} {job}"]


def usable(parameters: Sequence[str]) -> list[str]:
    """Return ssh_parameters without the cipher blowfish."""
    left, words = [], list(parameters)
    while words:
        word = words.pop(0)
        if word == "-c" and words and words[0].startswith(_GONE_CIPHER):
            words.pop(0)
        elif not word.startswith(f"-c{_GONE_CIPHER}"):
            left.append(word)
    return left


def open_by_ssh(donor: Host, provider: str, job: str) -> Stream:
    """Return the stream; raises FailedError where ssh cannot be run. What it says of a failure the stream tells."""
    here, there = socket.socketpair()
    said = tempfile.TemporaryFile()  # noqa: SIM115 - the stream closes it
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command(donor, provider, job), stdin=subprocess.DEVNULL, stdout=there.fileno(), stderr=said
        )
    except OSError as error:
        here.close()
        said.close()
        raise FailedError(
            Cause.HERE, f"ssh cannot be run: {error.strerror}: apt-get install openssh-client"
        ) from error
    finally:
        there.close()
    return Stream(here, process, said)
