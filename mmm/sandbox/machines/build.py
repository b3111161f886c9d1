"""Puts a layout on disk: conf files where their programs look for them, init scripts, the servers' conf and data."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import mmm
from mmm.config.load import (
    SEARCH,
    Cluster,
    ConfError,
    Disk,
    Program,
    check,
    read,
)
from mmm.sandbox import clock
from mmm.sandbox.machines import fetch, servers
from mmm.sandbox.machines.layout import Layout, free_address, plan
from mmm.sandbox.machines.machine import LAID_OVER, Machine, SandboxError
from mmm.sandbox.machines.sql import SOCKET
from mmm.sandbox.machines.template import own_program

DAEMONS = {"mmm_agentd": "mysql-mmm-agent", "mmm_mond": "mysql-mmm-monitor"}
"""Each daemon's init script."""

_CLOCK = Path(clock.__file__).parent
_DEFAULT = """\
ENABLED={}
DAEMON={}
# The wall clock can be shifted: mmm_sandbox fault clock-ahead.
export PYTHONPATH={}
"""

_AGENT = """\
include mmm_common.conf
this none
"""
_MON = """\
include mmm_common.conf

<monitor>
    ip                      127.0.0.1
    pid_path                /var/run/mmm_mond.pid
    bin_path                /usr/lib/mysql-mmm/
    status_path             /var/lib/misc/mmm_mond.status
    ping_ips                {gateway}
</monitor>

<host default>
    monitor_user            mmm_monitor
    monitor_password        monitor-secret
</host>
"""

_RC_SCRIPT = """\
#!/bin/sh
### BEGIN INIT INFO
# Provides:          mysql
# Required-Start:    $remote_fs
# Required-Stop:     $remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: The database server of this sandbox machine
### END INIT INFO
PIDFILE={pid_file}
# A process that nobody has waited for yet has no command line any more, and another one may have its number.
runs() {{ grep -qsF -e "--defaults-file={cnf}" "/proc/$pid/cmdline"; }}
pid() {{ pid=$(cat "$PIDFILE" 2>/dev/null) && runs; }}
case "$1" in
start)
    pid && exit 0
    # A MySQL that is killed as its applier begins leaves a file beside which none begins any more.
    rm -f {socket} "$PIDFILE" {tmpdir}/SQL_LOAD-*
    mkdir -p "$(dirname {socket})" "$(dirname "$PIDFILE")"
    setsid {binary} --defaults-file={cnf} </dev/null >>{log} 2>&1 &
    ;;
stop)
    pid || exit 0
    kill "$pid"
    for _ in $(seq 600); do runs || exit 0; sleep 0.1; done
    exit 1
    ;;
restart|force-reload) "$0" stop && exec "$0" start ;;
status) pid || exit 3 ;;
*) echo "usage: $0 start|stop|restart|force-reload|status" >&2; exit 2 ;;
esac
"""


def install_conf(source: Path, homes: Path, say: Callable[[str], None]) -> Layout:
    """Copy the conf files to every machine and return the layout they describe; raises SandboxError.

    The folder may be that of one machine of a cluster: what only the others have is made, and said.
    """
    if not source.is_dir():
        raise SandboxError(f"{source}: no such folder; --conf takes the folder with a cluster's conf files")
    staged = homes / ".conf"
    _copy(source, staged)
    _complete(source, staged, say)
    cluster = _load(staged, "mmm_mon", "MONITOR")
    for name in cluster.agents:
        etc = _machine(homes, name).etc
        _copy(staged, etc)
        if (source / name).is_dir():
            _copy(source / name, etc)
        else:
            _own_name(etc, name, cluster)
    layout = read_layout(cluster, homes)
    for name in layout.monitors:
        if name not in cluster.agents:
            _copy(staged, _machine(homes, name).etc)
    shutil.rmtree(staged)
    return layout


def _complete(source: Path, staged: Path, say: Callable[[str], None]) -> None:
    """Make what the folder of one machine lacks: a monitor host has no agent's conf, a MySQL host no monitor's."""
    mon, agent = staged / "mmm_mon.conf", staged / "mmm_agent.conf"
    if not (staged / "mmm_common.conf").is_file() or not (mon.is_file() or agent.is_file()):
        if mon.is_file():
            return
        raise SandboxError(
            f"{source}: neither mmm_mon.conf nor mmm_common.conf with mmm_agent.conf there: "
            "--conf takes the folder with a cluster's conf files"
        )
    if not mon.is_file():
        cluster = _load(staged, "mmm_agent", "AGENT")
        _write(mon, _MON.format(gateway=free_address(cluster)), 0o640)
        say(f"{source} has no mmm_mon.conf: made one with the defaults and a monitor_user of the sandbox's")
    if not agent.is_file():
        _write(agent, _AGENT, 0o640)
        say(f"{source} has no mmm_agent.conf: made one for each host")


def read_layout(cluster: Cluster | None, homes: Path) -> Layout:
    """Return the layout of conf files installed before; raises SandboxError."""
    if cluster is None:
        confs = [path for path in homes.glob("*/etc/mysql-mmm/mmm_mon.conf") if path.is_file()]
        own = [path for path in confs if path.parts[-4] == "monitor"] or confs
        if not own:
            raise SandboxError(f"{homes}: no mmm_mon.conf is left there: mmm_sandbox down, then up")
        cluster = _load(own[0].parent, "mmm_mon", "MONITOR")
    agents = {name: _load(_machine(homes, name).etc, "mmm_agent", "AGENT") for name in cluster.agents}
    return plan(cluster, agents)


def furnish(machine: Machine, layout: Layout, server: servers.Server, options: Mapping[str, object]) -> None:
    """Write what a machine's /etc has beside the conf files, `options` into the my.cnf; raises SandboxError."""
    etc = machine.skeleton / "etc"
    names = "".join(f"{plug.ip} {name}\n" for name, plug in layout.plugs.items())
    _write(etc / "hosts", f"127.0.0.1 localhost\n::1 localhost\n{names}")
    _write(etc / "hostname", f"{machine.name}\n")
    for daemon, service in DAEMONS.items():
        wanted = machine.name in layout.agents if daemon == "mmm_agentd" else machine.name in layout.monitors
        _write(etc / "default" / service, _DEFAULT.format(int(wanted), program(daemon), _CLOCK))
        script = _init_script(service)
        if script is not None:
            _write(etc / "init.d" / service, script.read_text(), 0o755)
    host = layout.hosts.get(machine.name)
    if host is None:
        return
    pid_file = layout.agents[host.name].hosts[host.name].mysql_pidfile
    place = list(layout.hosts).index(host.name) + 1
    masters = len(layout.masters)
    offset = layout.masters.index(host.name) + 1 if host.name in layout.masters else 1
    instance = servers.Instance(host.name, place, host.mysql_port, masters, offset, pid_file)
    _write(etc / "mysql/my.cnf", servers.cnf(server, instance, options))
    script_text = _RC_SCRIPT.format(
        pid_file=pid_file,
        socket=SOCKET,
        binary=server.binary,
        cnf=servers.CNF,
        log=servers.ERROR_LOG,
        tmpdir=servers.TMPDIR,
    )
    _write(etc / "init.d/mysql", script_text, 0o755)
    _lay_programs(machine.skeleton, server.binary)


def _lay_programs(skeleton: Path, binary: Path) -> None:
    """Have a machine see the programs of the folder that its server was unpacked into, and no other server."""
    if own_program(binary, binary.name) is None:
        return
    for folder, names in zip(LAID_OVER, (fetch.PROGRAMS, fetch.SERVERS), strict=True):
        place = skeleton / folder.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            found = own_program(binary, name)
            (place / name).unlink(missing_ok=True)
            if found is not None:
                (place / name).symlink_to(found)
            elif name in fetch.SERVERS:
                os.mknod(place / name, stat.S_IFCHR)  # so an overlay says that there is none


def fill_datadir(machine: Machine, template: Path) -> None:
    """Give a machine's server its empty data; raises SandboxError."""
    for directory in servers.PRIVATE:
        machine.path(directory).parent.mkdir(parents=True, exist_ok=True)
    source, target = f"{template}/.", str(machine.path(servers.DATADIR))
    machine.path(servers.DATADIR).mkdir(parents=True, exist_ok=True)
    try:
        argv = ["cp", "-a", "--reflink=auto", source, target]
        subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120)
    except subprocess.CalledProcessError as error:
        raise SandboxError(f"cannot copy the datadir of {machine.name}: {error.stderr.strip()}") from error


def program(name: str) -> str:
    """Return the path of one of our installed programs; raises SandboxError."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise SandboxError(
            f"{name} is not installed: `make install` in the tree, or install the package mysql-mmm-sandbox"
        )
    return found


def _init_script(service: str) -> Path | None:
    tree = Path(mmm.__file__).resolve().parents[1]
    places = (tree / "init.d", Path(sys.prefix) / "share/mysql-mmm/init.d", Path("/etc/init.d"))
    return next((place / service for place in places if (place / service).is_file()), None)


def _machine(homes: Path, name: str) -> Machine:
    return Machine(name, homes / name)


class _Etc:
    """Conf files of a machine, found as its programs find them: /etc/mysql-mmm is one of its own folders."""

    def __init__(self, etc: Path) -> None:
        self._etc = etc
        self._disk = Disk((str(etc), *SEARCH))

    def open(self, name: str, beside: str | None) -> tuple[str, bytes]:
        """Return path and content of a file; see Source.open."""
        if name.startswith("/etc/mysql-mmm/"):
            name = str(self._etc / name.removeprefix("/etc/mysql-mmm/"))
        return self._disk.open(name, beside)


def _load(etc: Path, name: str, program: Program) -> Cluster:
    try:
        return check(read(_Etc(etc), str(etc / f"{name}.conf")), program, "", lambda _: "")
    except ConfError as error:
        raise SandboxError("; ".join(error.errors)) from error


def _copy(source: Path, target: Path) -> None:
    """Copy the files of a folder as they are, closed to other users."""
    target.mkdir(parents=True, exist_ok=True, mode=0o755)
    for path in source.iterdir():
        if path.is_file():
            shutil.copyfile(path, target / path.name)
            (target / path.name).chmod(stat.S_IMODE(path.stat().st_mode) & 0o750 | 0o600)


def _own_name(etc: Path, name: str, cluster: Cluster) -> None:
    """Make the agent's conf that of the host `name`: `this`, and in the 1.x dialect its mode and peer."""
    host = cluster.agents[name]
    values: Mapping[str, str | None] = {"this": name}
    if cluster.dialect == 1:
        values = {"this": name, "mode": host.mode, "peer": host.peer}
    for path in (etc / "mmm_agent.conf", etc / "mmm_tools.conf"):
        written = read(_Etc(etc), str(path)).values("top") if path.is_file() else {}
        for key in values.keys() & written.keys():
            _rewrite(Path(written[key].file), written[key].line, values[key])


def _rewrite(path: Path, number: int, value: str | None) -> None:
    """Give the key at a line of a conf file another value; None empties the line."""
    lines = path.read_bytes().splitlines(keepends=True)
    line = lines[number - 1]
    match = re.match(rb"((?:\xef\xbb\xbf)?[ \t]*\w+[ \t]+)[^\r\n]*", line)
    if match is not None:
        own = b"" if value is None else match[1] + value.encode()
        path.write_bytes(b"".join([*lines[: number - 1], own + line[match.end() :], *lines[number:]]))


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
