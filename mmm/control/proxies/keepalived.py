"""keepalived.conf for the monitors of a cluster: an address that is always at the one that leads. Pure."""

from mmm.config.model import Cluster
from mmm.control.proxies.plan import NoPlanError

_FILE = """\
# keepalived.conf for the monitors of {conf}, made by `mmm_control proxy keepalived`.
# It moves an address to the monitor that leads, such as for mmm_web; it decides nothing, and mmm_control needs no such
# address. Set interface and virtual_ipaddress. On each monitor host make it anew: unicast_src_ip is its own address.

global_defs {{
    enable_script_security
    script_user root
    vrrp_version 3
}}

# Good where this host's monitor leads. One that hangs does not answer: that is no.
vrrp_script mmm_leads {{
    script "/usr/sbin/mmm_control{cluster} leads"
    interval 1
    # A busy machine takes a second or two to start it: with less the address would wait for the next answer.
    timeout 3
    rise 1
    fall 1
}}

vrrp_instance mmm {{
    state BACKUP
    interface eth0
    virtual_router_id 77
    priority 100
    advert_int 0.2
    unicast_src_ip {own}
    unicast_peer {{
{others}
    }}
    virtual_ipaddress {{
        192.0.2.240
    }}
    # Without a weight: a host whose monitor does not lead cannot have the address, so nobody has it while none leads.
    track_script {{
        mmm_leads
    }}
}}
"""


def keepalived(conf: Cluster, cluster: str | None) -> str:
    """Return the whole file for the host of the monitor that the conf is of; raises NoPlanError.

    `cluster` is the word behind `@` on the command line.
    """
    if len(conf.monitors) < 2:
        raise NoPlanError(
            f"{conf.path} names no second monitor: nothing has to move; see docs/monitors.md for `monitors`"
        )
    ip = conf.monitor.ip if conf.monitor is not None else ""
    own = ip if ip in conf.monitors else conf.monitors[0]
    others = "\n".join(f"        {each}" for each in conf.monitors if each != own)
    return _FILE.format(
        conf=conf.path, own=own, others=others, cluster=f" @{cluster}" if cluster is not None else ""
    )
