"""haproxy.cfg for a cluster, for HAProxy 2.4 and later (tried with Debian's 2.6). Pure."""

from collections.abc import Iterator

from mmm.control.proxies.plan import BOTH, READ, WRITE, Plan, at

_HEAD = """\
# haproxy.cfg for the MMM cluster of {conf}, made by `mmm_control proxy haproxy`.
# After a change of the conf: make it again, `haproxy -c -f FILE`, `systemctl reload haproxy`.

global
    log /dev/log local0
    maxconn 4000

defaults
    mode tcp
    log global
    option tcplog
    maxconn 2000
    timeout connect 3s
    # Longer than wait_timeout of the servers (8 h): else the proxy ends idle connections before they do.
    timeout client 9h
    timeout server 9h
"""
_WRITE = """
# Writes, to the address of role {role}: MMM has it on one host alone, and the kernel takes it from a host whose
# lease is over. There is no check: a host is not asked whether it has an address. A connection to a host that is gone
# is ended by TCP: by a keepalive after 4 s, by what is not acknowledged after 5 s.
# Port {both} is for clients that do not split reads from writes: all of theirs goes to the writer.
listen mmm_writer
    bind *:{write}
    bind *:{both}
    option clitcpka
    option srvtcpka
    srvtcpka-idle 1s
    srvtcpka-intvl 1s
    srvtcpka-cnt 3
    server {role} {writer} tcp-ut 5s
"""
_WRITE_HOSTS = """
# Writes, to the host that answers 200 to /{role} at its health port: the holder of the role, which has no address
# (vip_via health), and no other one at any time. A host that does not twice in a row loses the sessions that it has.
# health_from in mmm_common.conf must name this proxy's address.
# Port {both} is for clients that do not split reads from writes: all of theirs goes to the writer.
listen mmm_writer
    bind *:{write}
    bind *:{both}
    option clitcpka
    option httpchk GET /{role}
    http-check expect status 200
    timeout check 1s
    default-server inter 500ms fastinter 100ms downinter 250ms fall 2 rise 1 on-marked-down shutdown-sessions{ssl}
"""
_READ_HOSTS = """
# Reads, from the hosts that answer 200 to {asks} at their health port:
# {what}. A host that does not twice in a row gets no more clients, and loses those
# that it has. Where none does, the writer is read from.
# health_from in mmm_common.conf must name this proxy's address.
listen mmm_readers
    bind *:{read}
    balance leastconn
    option httpchk GET {asks}
    http-check expect status 200
    timeout check 1s
    default-server inter 1s fastinter 500ms downinter 1s fall 2 rise 2 on-marked-down shutdown-sessions{ssl}
"""
_SSL = """
# crt: the proxy's certificate and its key in one file, by the cluster's CA. Names in certificates are not compared."""
_READ_VIPS = """
# Reads, from the addresses of role {reader}, which MMM moves to hosts that are in use and not too far behind. With a
# health_port for all hosts in mmm_common.conf, made again, this goes by hosts and their lag: docs/health.md.
listen mmm_readers
    bind *:{read}
    balance leastconn
    option srvtcpka
    srvtcpka-idle 1s
    srvtcpka-intvl 1s
    srvtcpka-cnt 3
"""
_STATISTICS = """
# Who is up, to look at: http://127.0.0.1:8404/
listen statistics
    bind 127.0.0.1:8404
    mode http
    timeout client 10s
    timeout server 10s
    stats enable
    stats uri /
"""


def haproxy(plan: Plan) -> str:
    """Return the whole file."""
    writer = at(*plan.writer)
    text = _HEAD.format(conf=plan.conf)
    text += "".join(f"{line}\n" for line in (*_writers(plan, writer), *_readers(plan, writer)))
    return text + _STATISTICS


def _writers(plan: Plan, writer: str) -> Iterator[str]:
    if not plan.asked:
        yield _WRITE.format(role=plan.role, writer=writer, write=WRITE, both=BOTH).rstrip("\n")
        return
    yield _with_ssl(_WRITE_HOSTS.format(role=plan.role, write=WRITE, both=BOTH, ssl=_ssl(plan)))
    for host in plan.masters:
        yield f"    server {host.name} {at(host.ip, host.mysql_port)} check port {host.health_port}"


def _ssl(plan: Plan) -> str:
    return f" check-ssl verify required ca-file {plan.tls} crt /etc/haproxy/mmm.pem" if plan.tls else ""


def _with_ssl(text: str) -> str:
    """Return the text with a comment on what its checks need, where they have TLS."""
    return (text + (_SSL.replace("\n# ", "\n    # ") if "check-ssl" in text else "")).rstrip("\n")


def _readers(plan: Plan, writer: str) -> Iterator[str]:
    if plan.health:
        role = f"they hold role {plan.reader}" if plan.reader else "they replicate"
        what = f"{role}, no more than {plan.lag:g} s behind"
        yield _with_ssl(_READ_HOSTS.format(asks=plan.asks, what=what, read=READ, ssl=_ssl(plan)))
        for host in plan.readers:
            yield f"    server {host.name} {at(host.ip, host.mysql_port)} check port {host.health_port}"
        if not plan.asked:
            yield f"    server writer_if_no_other {writer} backup"
            return
        for host in plan.masters:  # whichever of them is the writer
            yield f"    server writer_{host.name} {at(host.ip, host.mysql_port)} track mmm_writer/{host.name} backup"
        return
    yield _READ_VIPS.format(reader=plan.reader or plan.role, read=READ).rstrip("\n")
    for number, ip in enumerate(plan.addresses or (plan.writer[0],), 1):
        yield f"    server {plan.reader or plan.role}{number} {at(ip, plan.writer[1])} tcp-ut 5s"
