"""Configurations of ProxySQL, MaxScale and MySQL Router, which were written after their manuals and not run. Pure."""

from collections.abc import Iterator

from mmm.control.proxies.plan import BOTH, READ, WRITE, Plan, at

_NOT_RUN = """\
# {file} for the MMM cluster of {conf}, made by `mmm_control proxy {name}`.
# NOT RUN by those who wrote it: after the manual of {what}. Try it before you rely on it.
"""
_PROXYSQL = """
# It is read at the first start only: afterwards what counts is in /var/lib/proxysql, until `proxysql --initial`.
# Accounts of clients, with the passwords that the servers know, belong into mysql_users.
# The monitor user, made on the active master, which replicates it:
#   CREATE USER 'proxysql'@'PROXY' IDENTIFIED BY '...'; GRANT REPLICATION CLIENT ON *.* TO 'proxysql'@'PROXY';
#   (MariaDB from 10.5.9 on: GRANT REPLICA MONITOR ON *.*)
# There are no mysql_replication_hostgroups on purpose: they take each server that is not read_only for a writer, also
# one that has lost the role and was not told yet. Hostgroup 10 has the address of role {role} instead.

datadir="/var/lib/proxysql"

admin_variables=
{{
    admin_credentials="admin:CHANGE_ME"
    mysql_ifaces="127.0.0.1:6032"
}}

mysql_variables=
{{
    threads=4
    max_connections=2048
    interfaces="0.0.0.0:{both}"
    monitor_username="proxysql"
    monitor_password="CHANGE_ME"
    monitor_replication_lag_interval=1000
    monitor_replication_lag_timeout=1000
    connect_timeout_server=3000
    connect_retries_on_failure=10
}}

mysql_servers=
(
{servers}
)

mysql_users=
(
    {{ username="app" , password="CHANGE_ME" , default_hostgroup=10 , transaction_persistent=1 , active=1 }}
)

# What locks rows writes; other SELECTs are read from hostgroup 20, by default outside of transactions alone.
mysql_query_rules=
(
    {{ rule_id=1 , active=1 , match_digest="^SELECT.*FOR (UPDATE|SHARE)" , destination_hostgroup=10 , apply=1 }},
    {{ rule_id=2 , active=1 , match_digest="^SELECT.*LOCK IN SHARE MODE" , destination_hostgroup=10 , apply=1 }},
    {{ rule_id=3 , active=1 , match_digest="^SELECT" , destination_hostgroup=20 , apply=1 }}
)
"""
_MAXSCALE = """\
# MaxScale goes by the servers themselves: of the masters, which replicate from each other, the one that is not
# read_only is its master. One that has lost the role while it was frozen counts as that until its agent has made it
# read_only: the lease takes the virtual IP from it, but MaxScale does not go over that. kill_frozen_server helps there.
# MaxScale must not move anything itself: auto_failover, auto_rejoin and enforce_read_only_slaves stay off.

[maxscale]
threads=auto

{servers}
[mmm]
type=monitor
module=mariadbmon
servers={names}
user=maxscale
password=CHANGE_ME
monitor_interval=1000ms
auto_failover=false
auto_rejoin=false
enforce_read_only_slaves=false

# Writes to the master, reads from those that are no more than {lag} s behind (max_replication_lag in newer versions).
[split]
type=service
router=readwritesplit
servers={names}
user=maxscale
password=CHANGE_ME
max_slave_replication_lag={lag}s
master_failure_mode=fail_on_write

[split-listener]
type=listener
service=split
protocol=MariaDBClient
port={both}
"""
_ROUTER = """\
# Two ports: splitting reads from writes on one port needs the metadata of an InnoDB Cluster, which MMM is not.
# It asks nobody: MMM moves the addresses.

[DEFAULT]
connect_timeout=3

[logger]
level=INFO

[routing:mmm_writer]
bind_address=0.0.0.0
bind_port={write}
protocol=classic
routing_strategy=first-available
destinations={writer}

[routing:mmm_readers]
bind_address=0.0.0.0
bind_port={read}
protocol=classic
routing_strategy=round-robin
destinations={readers}
"""


_ASKED = """\
# Role {role} has no address that MMM binds (vip_via health): {writer} must be that of a load balancer which asks the
# hosts for /{role}, such as one with the file of `mmm_control proxy haproxy`.
"""


def _not_run(plan: Plan, file: str, name: str, what: str) -> str:
    head = _NOT_RUN.format(file=file, conf=plan.conf, name=name, what=what)
    return head + (_ASKED.format(role=plan.role, writer=plan.writer[0]) if plan.asked else "")


def proxysql(plan: Plan) -> str:
    """Return proxysql.cnf."""
    head = _not_run(plan, "proxysql.cnf", "proxysql", "ProxySQL 2.x")
    servers = ",\n".join(_proxysql_servers(plan))
    return head + _PROXYSQL.format(role=plan.role, both=BOTH, servers=servers)


def _proxysql_servers(plan: Plan) -> Iterator[str]:
    ip, port = plan.writer
    yield f'    {{ address="{ip}" , port={port} , hostgroup=10 , comment="{plan.role}" }}'
    for host in plan.readers:
        yield (
            f'    {{ address="{host.ip}" , port={host.mysql_port} , hostgroup=20 ,'
            f" max_replication_lag={plan.whole_lag} , weight=1000 ,"
            f' comment="{host.name}" }}'
        )
    # So light that it is hardly read from while there are others.
    yield f'    {{ address="{ip}" , port={port} , hostgroup=20 , weight=1 , comment="{plan.role}" }}'


def maxscale(plan: Plan) -> str:
    """Return maxscale.cnf."""
    head = _NOT_RUN.format(
        file="maxscale.cnf", conf=plan.conf, name="maxscale", what="MaxScale 21.06 to 24.02"
    )
    hosts = {host.name: host for host in (*plan.masters, *plan.readers)}
    servers = "\n".join(
        f"[{host.name}]\ntype=server\naddress={host.ip}\nport={host.mysql_port}\n" for host in hosts.values()
    )
    return head + _MAXSCALE.format(servers=servers, names=",".join(hosts), lag=plan.whole_lag, both=BOTH)


def mysqlrouter(plan: Plan) -> str:
    """Return mysqlrouter.conf."""
    head = _not_run(plan, "mysqlrouter.conf", "mysqlrouter", "MySQL Router 8.0 and later")
    addresses = plan.addresses or (plan.writer[0],)
    readers = ",".join(at(ip, plan.writer[1]) for ip in addresses)
    return head + _ROUTER.format(write=WRITE, read=READ, writer=at(*plan.writer), readers=readers)
