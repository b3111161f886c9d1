"""Stand-ins for the packages of the Perl MMM, which no suite has any more, and the upgrade from them.

They have these packages' names, conffiles and places of programs, and their scripts stop the daemon before an upgrade.
The daemons only say in a pid file that they are there: what Perl daemons and ours say to each other is tests/compat's.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.deb.cluster import VIP, Cluster, main_pid
from tests.deb.machines import Machine
from tests.deb.packages import install

VERSION = "2.2.1-1.1"
MODULES = {"common": "Common", "agent": "Agent", "monitor": "Monitor", "tools": "Tools"}
PROGRAMS = {
    "agent": ("mmm_agentd",),
    "monitor": ("mmm_mond", "mmm_control"),
    "tools": ("mmm_backup", "mmm_restore"),
}
CONFS = {"common": "mmm_common", "agent": "mmm_agent", "monitor": "mmm_mon", "tools": "mmm_tools"}
DAEMONS = {"agent": "mmm_agentd", "monitor": "mmm_mond"}
ON = {"host": ("common", "agent", "tools"), "monitor": ("common", "monitor")}
DAEMON = """\
#!/usr/bin/perl
use POSIX qw(setsid);
exit if fork;
setsid;
open(my $file, '>', '/var/run/{name}.pid') or die $!;
print $file "$$\\n";
close $file;
open($_, '+<', '/dev/null') for (*STDIN, *STDOUT, *STDERR);
$SIG{{TERM}} = sub {{ unlink '/var/run/{name}.pid'; exit }};
sleep 1000 while 1;
"""
INIT = """\
#!/bin/sh
### BEGIN INIT INFO
# Provides:          {name}
# Required-Start:    $network $remote_fs $syslog
# Required-Stop:     $network $remote_fs $syslog
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: MMM
### END INIT INFO
ENABLED=0
[ ! -f /etc/default/{package} ] || . /etc/default/{package}
[ "$ENABLED" != 0 ] || exit 0
case $1 in
    start) [ -e /var/run/{name}.pid ] || /usr/sbin/{name} ;;
    stop)
        [ ! -e /var/run/{name}.pid ] || kill "$(cat /var/run/{name}.pid)"
        while [ -e /var/run/{name}.pid ]; do sleep 0.1; done ;;
    restart|force-reload) $0 stop; $0 start ;;
esac
"""
LOGROTATE = "/var/log/mysql-mmm/{name}.log {{\n\tdaily\n\tmissingok\n\trotate 7\n}}\n"
STOP = "#!/bin/sh\nset -e\ninvoke-rc.d {package} stop || exit $?\n"
START = (
    "#!/bin/sh\nset -e\nupdate-rc.d {package} defaults >/dev/null\ninvoke-rc.d {package} start || exit $?\n"
)


def build(folder: Path) -> None:
    """Build the stand-ins into a folder; raises CalledProcessError."""
    for part in MODULES:
        with tempfile.TemporaryDirectory() as place:
            root = Path(place) / "root"
            _fill(root, part)
            command: list[str | Path] = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, folder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _fill(root: Path, part: str) -> None:
    package = f"mysql-mmm-{part}"
    conffiles = {f"etc/mysql-mmm/{CONFS[part]}.conf": "# to be written by the admin\n"}
    files = {f"usr/share/perl5/MMM/{MODULES[part]}/Base.pm": "package MMM::Base;\n1;\n"}
    files |= {f"usr/sbin/{name}": "#!/bin/sh\n" for name in PROGRAMS.get(part, ())}
    scripts = {}
    if part in DAEMONS:
        name = DAEMONS[part]
        files |= {
            f"usr/sbin/{name}": DAEMON.format(name=name),
            f"usr/lib/mysql-mmm/{part}/program": "#!/bin/sh\n",
        }
        conffiles |= {
            f"etc/init.d/{package}": INIT.format(name=name, package=package),
            f"etc/default/{package}": "# Change to '1' to enable\nENABLED=0\n",
            f"etc/logrotate.d/{package}": LOGROTATE.format(name=name),
        }
        scripts = {"prerm": STOP.format(package=package), "postinst": START.format(package=package)}
    depends = "" if part == "common" else "Depends: mysql-mmm-common\n"
    control = (
        f"Package: {package}\nVersion: {VERSION}\nArchitecture: all\nMaintainer: MMM <mmm@example.org>\n{depends}"
        f"Section: misc\nPriority: optional\nDescription: stand-in for a package of the Perl MMM\n"
    )
    information = {"control": control, "conffiles": "".join(f"/{name}\n" for name in conffiles), **scripts}
    for name, text in {
        **files,
        **conffiles,
        **{f"DEBIAN/{key}": text for key, text in information.items()},
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        runs = (
            name.startswith(("usr/sbin", "usr/lib", "etc/init.d")) or name.removeprefix("DEBIAN/") in scripts
        )
        path.chmod(0o755 if runs else 0o644)


def installed(cluster: Cluster, folder: Path) -> None:
    """Install the stand-ins, and have their daemons run, with the writer on db1."""
    for name, machine in cluster.machines.items():
        place = machine.root / "root/perl"
        place.mkdir()
        files = [
            f"mysql-mmm-{part}_{VERSION}_all.deb" for part in ON["monitor" if name == "monitor" else "host"]
        ]
        for file in files:
            shutil.copy(folder / file, place)
        machine.run("dpkg", "--install", *(f"/root/perl/{file}" for file in files))
    cluster.set_up()
    for machine in cluster.machines.values():
        part, name = _daemon(cluster, machine)
        (machine.root / f"etc/default/mysql-mmm-{part}").write_text("ENABLED=1\n")
        machine.run("systemctl", "daemon-reload")  # which makes a unit of the init script
        machine.run("systemctl", "restart", f"mysql-mmm-{part}")
        await_daemon(machine, name)
    readers = ("192.168.100.251", "192.168.100.252", "192.168.100.253")
    lines = []
    for (name, machine), reader in zip(cluster.hosts.items(), readers, strict=True):
        writer = f",writer({VIP})" if name == "db1" else ""
        lines.append(f"{name}|ONLINE|reader({reader}){writer}\n")
        for vip in (reader, *([VIP] if writer else [])):
            machine.run("ip", "addr", "add", f"{vip}/32", "dev", "eth0")
    (cluster.monitor.root / "var/lib/misc/mmm_mond.status").write_text("".join(lines))
    cluster.hosts["db1"].run("mariadb", given="SET GLOBAL read_only=0")


def replaced(cluster: Cluster, machine: Machine, folder: Path) -> None:
    """Install ours over the stand-ins of a machine: their daemon ends, ours runs, and the conf is as it was."""
    part, name = _daemon(cluster, machine)
    conf = machine.root / f"etc/mysql-mmm/{CONFS[part]}.conf"
    before = conf.read_text()
    install(
        machine, folder, *(f"mysql-mmm-{each}" for each in ON["monitor" if part == "monitor" else "host"])
    )
    machine.wait_until(lambda: main_pid(machine, f"mysql-mmm-{part}") > 0)
    if conf.read_text() != before:
        raise AssertionError(f"{machine.name}: {conf} was changed")
    for gone in (f"usr/lib/mysql-mmm/{part}", f"etc/logrotate.d/mysql-mmm-{part}", "usr/share/perl5/MMM"):
        if (machine.root / gone).exists():
            raise AssertionError(f"{machine.name}: /{gone} of the Perl MMM is left")
    await_daemon(machine, name)


def await_daemon(machine: Machine, name: str) -> None:
    """Return once the process is there that the pid file of a daemon names; raises TimeoutError."""
    machine.wait_until(lambda: bool(machine.says("sh", "-c", f"ps -o pid= -p $(cat /run/{name}.pid)")))


def _daemon(cluster: Cluster, machine: Machine) -> tuple[str, str]:
    part = "monitor" if machine is cluster.monitor else "agent"
    return part, DAEMONS[part]
