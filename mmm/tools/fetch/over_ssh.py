"""The stream of a donor's data from `mmm_stream`: by ssh, where agents talk without TLS, or on this host. Edge.

The key of this host's root should be good for nothing else there: `restrict,command="/usr/sbin/mmm_stream"`.
"""

import os
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from mmm.config.model import Cluster, Host
from mmm.own_module import own_module
from mmm.tools.fetch.stream import Stream
from mmm.tools.fetch.values import Cause, FailedError
from mmm.wire.stream import STREAM_PROGRAM

CONNECT = 10
"""Seconds that the connection may take."""
_OPTIONS = ("-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT}", "-o", "ServerAliveInterval=15")
_GONE_CIPHER = "blowfish"
STREAM_MODULE = "mmm.agent.stream.ssh"
"""What `mmm_stream` is."""
TOOLS_CONF, AGENT_CONF = "mmm_tools", "mmm_agent"


def command(donor: Host, provider: str, job: str) -> list[str]:
    """Return the command line. The cipher that confs of MMM 2.x name is left out: OpenSSH has it no more."""
    return remote(donor, f"{STREAM_PROGRAM} {provider} {job}")


def remote(host: Host, line: str) -> list[str]:
    """Return the command line that has the host's shell run a line."""
    words = [*_OPTIONS, *usable(shlex.split(host.ssh_parameters)), "-p", str(host.ssh_port)]
    return ["ssh", *words, f"{host.ssh_user}@{host.ip}", line]


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
    return _opened(command(donor, provider, job), "apt-get install openssh-client", os.environ)


def open_here(conf: Cluster, provider: str, job: str) -> Stream:
    """Return the stream of this host's own data; raises FailedError. The conf is that of the agent here."""
    file = conf.path.with_name(conf.path.name.replace(TOOLS_CONF, AGENT_CONF))
    own = ["--config", str(file)] if file != conf.path and file.is_file() else []
    # Who runs this may have come by ssh: the sender is not to take that for its recipient.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SSH_")}
    argv = own_module(STREAM_MODULE, *own, provider, job)
    return _opened(argv, "is MMM installed whole?", environment)


def _opened(argv: Sequence[str], todo: str, environment: Mapping[str, str]) -> Stream:
    here, there = socket.socketpair()
    said = tempfile.TemporaryFile()  # noqa: SIM115 - the stream closes it
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=there.fileno(), stderr=said, env=environment
        )
    except OSError as error:
        here.close()
        said.close()
        raise FailedError(Cause.HERE, f"{argv[0]} cannot be run: {error.strerror}: {todo}") from error
    finally:
        there.close()
    return Stream(here, process, said)
