"""What is said of a conf, by the code of a `mmm.config.tree.Fault`: `what is wrong; what to do`. Pure.

Only what goes wrong needs them, and programs start faster without: they are imported when a sentence is made.
"""

from collections.abc import Mapping
from typing import Any

COMMENTS = "; comments go on lines of their own"
"""Ends what is said of a value that has a `#` in it."""

SENTENCES: Mapping[str, str] = {
    # --- files
    "cluster_name": "@{name}: not the name of a cluster; use letters, digits, `_`, `-` and `.`",
    "no_file": "there is no file {name}; add it",
    "does_not_exist": "{name} does not exist; create it or name another file",
    "not_found": "{name} is not in {folders}; create it in one of them",
    "may_not_read": "{user} may not read {it}: run this with sudo{or_in_group}",
    "or_in_group": ", or become a member of its group {group}",
    "cannot_be_read": "{it} cannot be read: {why}; make it readable for this user",
    "too_large": "{it} is larger than {mib} MiB; name a conf file",
    "is_directory": "{it} is a directory; name a file",
    "not_plain": "{it} is not a plain file; name a plain file",
    "open_to_everybody": (
        "everybody may {may} {it} (mode {mode:04o}), which holds passwords; chmod 640 {path}"
    ),
    "include_quoted": "include takes the name of a file without quotes; write include {name}",
    "include_one_name": "include takes one file name; write one include line a file",
    "too_many_files": "more than {most} files are included; remove this include",
    "not_included": "include {name}: {why}",
    "include_circle": "include {name} goes round in a circle ({loop}); remove this include",
    "utf16": "is UTF-16; save it as UTF-8",
    "cr_alone": "its lines end with CR alone, as on old Macs; save it with Unix line endings",
    "nul": "a NUL byte: this is not a text file; name a conf file",
    "not_utf8": "byte 0x{byte:02X} after {before} characters is not UTF-8; save the file as UTF-8",
    "control_character": "control character 0x{byte:02X} after {before} characters; delete it",
    "invisible_character": "invisible character U+{point:04X} after {before} characters; delete it",
    "mixed_dialects": "written in the {here} dialect, but {other} in the {there} dialect; use one",
    "more_errors": "and {number} errors more; is it a conf file of MMM?",
    "tls": "{why}",
    # --- tags
    "unclosed": "{tag} is never closed; add </{kind}>",
    "include_inside": "include inside {tag} of line {line}; move it outside of the section",
    "not_a_tag": "{text} is not a tag; write <TYPE>, <TYPE NAME>, </TYPE> or <TYPE NAME/>",
    "text_behind_tag": "text after the tag; move {text!r} to a separate line",
    "section_inside": "{tag} inside {outer} of line {line}; close that with </{kind}> first",
    "closing_tag_with_more": "a closing tag holds nothing but the type; write </{kind}>",
    "closes_nothing": "</{kind}> closes nothing; delete it",
    "closes_another": "</{kind}> closes {tag} of line {line}; write </{open}>",
    # --- sections
    "name_missing": "{kind} needs a name; write {wanted}",
    "name_not_allowed": "there is only one {kind} section and it has no name; write <{kind}>",
    "default_meant": (
        "no {kind} is called {name}; write {wanted}, in small letters, for what holds for all of them"
    ),
    "no_such_name": "no {kind} is called {name}; {todo}",
    "bad_name": "`{name}` cannot be a name; use letters, digits, `_`, `-` and `.`",
    "name_of_every_host": "no host can be called {name}, which is every host in commands; name it otherwise",
    "key_not_section": "{kind} is a key, not a section; write {kind} {sample}",
    "unknown_section": "no section is called {kind}; {todo}",
    "section_missing": "there is no {tag}; {program} needs it, add it",
    "section_missing_beside_default": "there is no {tag} besides the default one; {program} needs it, add it",
    "roles_of_monitor_missing": (
        "there is no {tag}; {program} needs the `role` blocks of mmm_mon.conf too, add them, and `active_master_role`"
        " where it is not `writer`"
    ),
    # --- keys
    "section_not_key": "{key} is a section, not a key; write {tag} and close it with </{key}>",
    "no_key_channel": (
        "no key is called {key}: named connections are not supported, replication has the default one; delete it"
    ),
    "no_key_parent": (
        "no key is called {key}: a role does not follow another one; delete it, and write in `hosts` who may hold"
        " this role"
    ),
    "key_with_equals": "no key is called {key}; write KEY VALUE without `=`",
    "unknown_key": "no key is called {key} in {section}; {todo}",
    "unknown_global_key": "no key is called {key} outside of sections; {todo}",
    "section_lost": (
        "{key} belongs to a section such as {tag}, and no section is opened anywhere in this file; write {tag} above"
        " and </{kind}> below, as in the examples"
    ),
    "global_key_missing": "there is no {key}; {program} needs it, add `{sentence}`",
    "key_missing": "{titles}{because} {has} no {key}; {todo}",
    # --- what to do
    "meant": "did you mean {near}?",
    "meant_of": "did you mean {near} of {section}?",
    "meant_outside": "did you mean {near} outside of sections?",
    "there_are": "there are {known}",
    "is_now": "in this dialect it is {key}",
    "is_now_of": "in this dialect it is {key} of {section}",
    "move": "move it {places}",
    "delete": "delete it, or see docs/configuration.md for what there is",
    "write_one": "write one of these",
    "write_word": "write {words}",
    "add_or_correct": "add {tag} or correct the name",
    "add_to_it": "add `{sentence}` to it",
    "add_to_each": "add `{sentence}` to each of them",
    "add_to_each_or_default": "add `{sentence}` to each of them or to <{section} default>",
    "add_outside": "add the line `{sentence}` outside of blocks",
    # --- values
    "no_value": "{key} has no value; write {key} {sample}",
    "equals_sign": "`=` after {key}; write {key} {rest}",
    "note_behind_value": "{key} has the note `{note}` after its value; write {key} {before}",
    "not_a_word": "{key} is one word, not `{text}`; delete what follows it",
    "not_a_name": "{key} is a name, not `{text}`; names are letters, digits, `_`, `-` and `.`",
    "not_a_number": "{key} is a whole number from {least:g} to {most}, not `{text}`; correct it",
    "not_a_port": "{key} is a port from 1 to 65535, not `{text}`; correct it",
    "not_seconds": "{key} is a number of seconds from {least:g} to {most}, not `{text}`; correct it",
    "not_a_limit": (
        "{key} is a number of seconds from {least:g} to {most}, not `{text}`; correct it, or write {unlimited}"
    ),
    "not_yes_or_no": "{key} is yes or no, not `{text}`; write 1, yes, on, true or 0, no, off, false",
    "not_a_choice": "{key} is {choices}, not `{text}`; {todo}",
    "not_choices": "{key} is `no`, or some of {choices}, not `{text}`; correct it",
    "not_such_a_word": "{key} is not `{text}`; {todo}",
    "not_ipv4": "{key} is an IP address, not `{text}`; write four numbers such as 10.0.0.1",
    "ip_with_port": "{key} is an IP address, not `{text}`; write it without port",
    "ip_with_zeros": "{key} is an IP address, not `{text}`; write it without leading zeros: {clean}",
    "ip_with_prefix": "{key} is an IP address, not `{text}`; write it without prefix length",
    "ip_of_ipv6": "{key} is an IP address, not `{text}`; only virtual IPs may be IPv6, write an IPv4 address",
    "not_ipv6": "{key} is an IP address, not `{text}`; write such as fd00::80, without prefix length",
    "not_reached_by_clients": (
        "{key} `{text}` cannot be reached by clients; write an address of the network's prefix"
    ),
    "not_a_network": "{key} `{text}` is no address or network; write such as 10.0.0.9 or 10.0.0.0/24",
    "bits_behind_prefix": (
        "{key} `{text}` has bits set beyond its prefix; write such as 10.0.0.9 or 10.0.0.0/24"
    ),
    "empty_entry": "{key} has an empty entry in `{text}`; delete the extra comma",
    "not_a_list": "{key} is a list, not `{text}`; separate by commas: {items}",
    "unknown_host_name": (
        "{key} {name} is a name that this system does not know; write the address, such as 10.0.0.1"
    ),
    "several_addresses": "{key} {name} is a name of {number} addresses; write one: {addresses}",
    "started_late": "the start waited {seconds} s for what this machine had not yet: {missed}",
    "name_of_loopback": (
        "{key} {name} is a name that this machine knows as {address}, its own loopback; write the address"
    ),
    # --- what does not fit together
    "no_such_reference": "{key}: no {kind} is called {name}; {todo}",
    "own_peer": "host {name} is its own peer; name the other master",
    "several_ips": "exclusive role {name} has {number} IPs; leave one, or make it balanced",
    "balanced_writer": "the active master role {name} is balanced; make it exclusive",
    "prefer_not_a_host": "prefer {host}: not among the {key} of role {name}; add it there",
    "listed_twice": "{name} is listed twice; delete one of them",
    "agent_port_taken": "host {name} has {port} as agent_port and as mysql_port; write another one, such as 9989",
    "health_port_taken": "host {name} has health_port {port}, which is its {other}; write another one, such as 9991",
    "via_without_port": (
        "role {role} has vip_via health, but {hosts} {has} no health_port, at which load balancers ask who holds it;"
        " add `health_port 9991` to <host default>"
    ),
    "via_without_lease": (
        "role {role} has vip_via {via} and vip_lease is 0: nothing would keep two hosts from taking writes; write"
        " vip_lease 10"
    ),
    "script_no_words": (
        "vip_script has a quote that does not end, or nothing in it; write a program with its arguments"
    ),
    "via_is_silent": (
        "dead_when_silent is for an active master role whose IP answers ARP, and {role} has vip_via {via}; delete it"
    ),
    "via_on_perl_agent": (
        "role {role} has vip_via {via}, and the agent of {hosts} is a Perl one, which would bind its IP; replace the"
        " agent, take {hosts} out of the role, or write vip_via arp"
    ),
    "via_not_answered": (
        "no answer from the agent of {hosts} within {seconds} s: a Perl one there would not get the roles that have"
        " another vip_via than arp"
    ),
    "not_whole_lease": "vip_lease is 0 or a whole number of seconds, not {length:g}; correct it",
    "without_monitors": "{key} has no effect without `monitors`; add `monitors ADDRESS, ADDRESS`, or delete it",
    "witness_without_monitors": (
        "host {name} is a witness, which has nothing to vote on without `monitors`; add `monitors ADDRESS, ADDRESS`, or"
        " delete the host"
    ),
    "witness_in_role": (
        "{key}: {name} is a witness, which has no server and takes no role; take it out of role {of}"
    ),
    "witness_is_peer": "{key}: {name} is a witness, which has no server; name the other master",
    "witness_is_here": "this host {name} is a witness, which has no server; run it on a host that has one",
    "monitor_not_listed": (
        "ip {ip} of <monitor> is not among `monitors` ({monitors}); add it there, or delete `ip`: a monitor finds its"
        " address by itself"
    ),
    "no_monitors_address": (
        "{ip} of monitors cannot be the address at which hosts and other monitors reach one; write one of the network"
    ),
    "monitor_at_vip": "{ip} of {owner} is a virtual IP of role {role}; write the address of the machine",
    "monitors_without_lease": (
        "vip_lease is 0, but with several `monitors` it has to end: a host that obeys another one must lose its VIPs;"
        " write vip_lease 10"
    ),
    "lead_lease_too_long": (
        "lead_lease {lead:g} is longer than vip_lease {vip:g}: hosts would lose their virtual IPs before another"
        " monitor leads; write {vip:g} or less"
    ),
    "monitor_not_here": (
        "none of `monitors` ({monitors}) is an address of this machine ({own}); add that of this machine to the line,"
        " on all hosts"
    ),
    "monitor_here_twice": (
        "{here} of `monitors` are all addresses of this machine; leave one of them, on all hosts, or write the one of"
        " this monitor as `ip` in <monitor>"
    ),
    "several_receivers": "{tag} has {keys}; write one section for each",
    "no_receiver": "{tag} says nowhere who is told; add `command`, `mail_to` or `webhook`",
    "command_no_words": "command has a quote that does not end, or nothing in it; write a program with its arguments",
    "webhook_no_url": "webhook is no URL; write such as https://chat.example.com/hooks/mmm",
    "file_of_tls": "{key} {path} {why}",
    "not_there": "is not a file; correct the path or put the file there",
    "kept_out": (
        "cannot be reached by user {user}, whom the folder {folder} keeps out; chgrp that to a group of the user's and"
        " chmod 750 it"
    ),
    "not_for_user": "cannot be read by user {user}; chgrp it to a group of the user's and chmod 640 it",
    "not_looked_at": "cannot be looked at ({why}); correct the path or mend that",
    "no_ca": "host {name} has no mysql_ssl_ca; mysql_ssl_mode {mode} needs it, add `mysql_ssl_ca FILE`",
    "ca_unused": "mysql_ssl_ca has no effect with mysql_ssl_mode required; write verify_ca, or delete it",
    "no_other_half": "host {name} has no {key}; add `{key} FILE`",
    "address_used_twice": "{ip} of {owner} is also an address of {other}; give each its own",
    "no_machine": "{ip} cannot be the address of a machine; correct it",
    "loopback": (
        "{ip} of {owner} is an address of the machine itself, whichever that is; write one of the network"
    ),
    "pings_itself": (
        "ping_ips has {ip}, the monitor's own address, which answers whatever becomes of its network; write that of"
        " a router"
    ),
    "pings_this_machine": (
        "ping_ips has {ip}, an address of this machine ({own}), which answers whatever becomes of its network; write"
        " that of a router"
    ),
    "pings_vip": (
        "ping_ips has {ip}, a virtual IP of role {role}, which goes where the hosts go; write that of a router"
    ),
    "not_by_reload": "{change}: a running daemon does not take that; restart it",
    "lease_not_by_reload": (
        "{change}: leases rest on it, so it is not taken while they run; stop the monitor, restart all agents, start"
        " the monitor"
    ),
    # --- warnings
    "pings_host": (
        "ping_ips has {ip}, which is host {host}: write the addresses of routers, which do not go down with the"
        " servers"
    ),
    "no_effect_channel": (
        "{key} has no effect: named connections are not supported, replication has the default one; delete it"
    ),
    "no_effect_parent": (
        "{key} has no effect: a role does not follow another one; delete it, and write in `hosts` who may hold this"
        " role"
    ),
    "comment_in_value": (
        "{key} has {shown} in its value, which is part of it: comments go on lines of their own"
    ),
    "quotes_in_value": "{key} has quotes around its value, which are part of it: delete them, unless they are meant",
    "overwritten": (
        "{key} {of} is written in line {line} too, with another value, and only this one counts: delete one of them, or"
        " give the section its own name"
    ),
    "name_resolved": (
        "{key} {name} is a name: {address} is used until the next start; write the address, for names may change,"
        " and cannot be looked up while the network is down"
    ),
    "peer_is_slave": "host {name} is a master, its peer {peer} a slave",
    "witness_no_voter": (
        "host {name} is a witness, but not among the voters ({voters}): it has no effect; add it to `voters`, or delete"
        " it"
    ),
    "witness_has_no": "{key} has no effect: {name} is a witness, which has no server and no roles; delete it",
    "prefer_unused": "prefer has no effect in the balanced role {name}",
    "slave_may_write": (
        "{name} is among the hosts of {role}, but its mode is slave: take it out, or make it a master with a peer"
    ),
    "other_port": (
        "{key} has port {ports}, but mysql_port is {port}: delete the line (the default has that port), or correct it"
    ),
    "via_asked_by_nobody": (
        "role {role} has vip_via health, but health_from names nobody: only machines of the cluster are answered; name"
        " the addresses from which the load balancer asks"
    ),
    "script_unused": "vip_script has no effect: role {role} has no vip_via script; add that, or delete it",
    "no_health_port": "{key} has no effect: no host has a health_port; add one to <host default>, or delete it",
    "smtp_in_clear": "smtp_user logs in at {host} without TLS: anybody on the way may read its password; write smtp_tls"
    " starttls",
    "cipher_gone": "{key}: ssh has no cipher blowfish any more, it is left out; write `{key} {left}`",
    "relative_path": "{key} {path} does not begin with /",
    "no_ping_ips": "no ping_ips: the network check is off, the monitor's own network counts as always up",
    "writer_hosts_missing": (
        "role {role} has no {key}: this host makes no promises about it, so the writer loses it while no monitor runs;"
        " add `{key}` as in mmm_mon.conf"
    ),
    "roles_by_order": (
        "no roles: they are learned from the monitor's orders; add the `role` blocks of mmm_mon.conf, so that this"
        " agent knows all VIPs before the first order"
    ),
    "kept_roles_unusable": "what was learned of roles cannot be used ({why}): it is learned again from the next order",
    "no_replication_user": "no replication_user: this host cannot be pointed at another replication source",
}


def sentence(code: str, fields: Mapping[str, Any]) -> str:
    """Return what is said of a fault; a list in a field is named one after the other."""
    shown = {
        name: ", ".join(map(str, value)) if type(value) is tuple else value for name, value in fields.items()
    }
    return SENTENCES[code].format(**shown) + (COMMENTS if fields.get("comment") else "")
