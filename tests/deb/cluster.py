"""The cluster of the README, set up as it says: two masters, a slave, a monitor, on machines with systemd."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.deb.machines import Machine, Network
from tests.deb.packages import TREE, install

ADDRESSES = {
    "db1": "192.168.100.51",
    "db2": "192.168.100.52",
    "db3": "192.168.100.53",
    "monitor": "192.168.100.50",
}
VIP = "192.168.100.250"
CLIENT, PASSWORD = "shop", "shop_password"


class Cluster:
    """The machines, by name; `readme` gives what is typed there."""

    def __init__(self, network: Network, prefix: str = "") -> None:
        self.machines = {name: network.machine(f"{prefix}{name}", ip) for name, ip in ADDRESSES.items()}
        self.hosts = {name: machine for name, machine in self.machines.items() if name != "monitor"}
        self.monitor = self.machines["monitor"]

    def boot(self) -> None:
        """Boot all machines, and have the servers run as the README's my.cnf says."""
        (settings,) = blocks("ini")
        for number, (name, machine) in enumerate(self.machines.items(), 1):
            conf = machine.root / "etc/mysql/mariadb.conf.d/90-mmm.cnf"
            own = re.sub(r"^(server_id\s*=) \d+", rf"\1 {number}", settings, flags=re.MULTILINE)
            own = re.sub(
                r"^(auto_increment_offset\s*=) \d+", rf"\1 {min(number, 2)}", own, flags=re.MULTILINE
            )
            conf.write_text(own)
            machine.boot()
            if name == "monitor":
                machine.run("systemctl", "disable", "--now", "mariadb")

    def close(self) -> None:
        """Switch all machines off."""
        for machine in self.machines.values():
            machine.close()

    def install(self, folder: Path) -> None:
        """Install the packages of a build on all machines."""
        for machine in self.hosts.values():
            install(machine, folder, "mysql-mmm-common", "mysql-mmm-agent", "mysql-mmm-tools")
        install(self.monitor, folder, "mysql-mmm-common", "mysql-mmm-monitor")

    def set_up(self) -> None:
        """Give the servers accounts and replication, and all machines their confs; starts nothing of MMM."""
        accounts, _, _, follow = blocks("sql")[:4]
        client = (
            f"CREATE DATABASE shop; CREATE TABLE shop.rows (id INT AUTO_INCREMENT PRIMARY KEY, n INT);"
            f"CREATE USER '{CLIENT}'@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON shop.* TO '{CLIENT}'@'%';"
        )
        for machine in self.hosts.values():
            machine.run("mariadb", given=f"{accounts}; SET SESSION sql_log_bin=0; {client}")
        for name, source in (("db1", "db2"), ("db2", "db1"), ("db3", "db1")):
            self.hosts[name].run("mariadb", given=follow.replace(ADDRESSES["db1"], ADDRESSES[source]))
        common, agent, monitor = blocks("apache")[:3]
        for name, machine in self.machines.items():
            own = (
                ("mmm_mon", monitor)
                if name == "monitor"
                else ("mmm_agent", agent.replace("this db1", f"this {name}"))
            )
            for conf, text in (("mmm_common", common), own):
                path = machine.root / f"etc/mysql-mmm/{conf}.conf"
                path.write_text(text)
                path.chmod(0o640)

    def start(self) -> None:
        """Start agents and monitor, and set the hosts online; returns once all are."""
        for machine in self.hosts.values():
            machine.run("systemctl", "start", "mysql-mmm-agent")
        self.monitor.run("systemctl", "start", "mysql-mmm-monitor")
        for name in self.hosts:
            self.set_online(name)
        self.wait_for_writer("db1")

    def control(self, *words: str) -> str:
        """Return what mmm_control prints."""
        return self.monitor.run("mmm_control", *words)

    def set_online(self, name: str) -> None:
        """Order a host ONLINE until that is done; raises TimeoutError.

        What a host has that is back from a failure is compared in the next checks; until then the order is refused.
        """
        order = ("mmm_control", "set_online", name)
        self.monitor.wait_until(lambda: self.monitor.says(*order).startswith("OK"))

    def move_writer(self, name: str) -> None:
        """Order the writer role to a host until that is done; raises TimeoutError.

        A server that does not answer in time, as on a machine that does much else, has the move undone.
        """
        move = ("mmm_control", "move_role", "writer", name)
        self.monitor.wait_until(lambda: self.monitor.says(*move).startswith("OK"))

    def show(self) -> str:
        """Return what show prints, also where the monitor does not answer."""
        return self.monitor.says("mmm_control", "show")

    def wait_for_writer(self, name: str) -> None:
        """Return once that host is ONLINE with the writer role, which clients reach."""
        self.wait_for_role(name, "writer")

    def wait_for_role(self, name: str, role: str) -> None:
        """Return once that host is ONLINE with the role; raises TimeoutError."""
        wanted = re.compile(rf"^ *{name}\(.*/ONLINE\. Roles:.*{role}", re.MULTILINE)
        self.monitor.wait_until(lambda: bool(wanted.search(self.show())))

    @contextmanager
    def written_to(self) -> Iterator[dict[str, float]]:
        """Have a client write through the VIP meanwhile; what came of it is in the dict afterwards."""
        (self.monitor.root / "root/writer.py").write_text((TREE / "tests/deb/writer.py").read_text())
        argv = self.monitor.enter("python3", "/root/writer.py", VIP, CLIENT, PASSWORD)
        came: dict[str, float] = {}
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            if process.stdout is not None:
                process.stdout.readline()
            try:
                yield came
            finally:
                self.monitor.run("pkill", f"-{signal.SIGTERM.name.removeprefix('SIG')}", "-f", "writer.py")
                output, _ = process.communicate(timeout=60)
        came |= json.loads(output.splitlines()[-1])


def blocks(language: str, page: str = "README.md") -> list[str]:
    """Return the blocks of a language on a page, by default of the README."""
    return re.findall(rf"```{language}\n(.*?)```", (TREE / page).read_text(), re.DOTALL)


def main_pid(machine: Machine, unit: str) -> int:
    """Return the main process of a unit, 0 where it does not run."""
    return int(machine.run("systemctl", "show", "--property=MainPID", "--value", unit))
