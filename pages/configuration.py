"""docs/configuration.md, made from the table of keys: `python -m pages.configuration > docs/configuration.md`."""

from collections.abc import Iterator

from mmm.config.key import EVERY, Key, Old, Section
from mmm.config.keys import OLD, OLD_BLOCKS, OLD_IGNORED, SECTIONS
from mmm.config.kinds import sample
from mmm.config.reload import Taken, taken

_PROGRAMS = {"A": "agent", "M": "monitor", "C": "control", "T": "tools", "R": "rejoin"}

_HEAD = """\
# Configuration

This page is made from the table of keys in `mmm/config/keys.py` (`python -m pages.configuration`).

## Files

| program | file |
|---|---|
| `mmm_agentd` | `mmm_agent.conf` |
| `mmm_mond`, `mmm_control` | `mmm_mon.conf` |
| `mmm_backup`, `mmm_clone`, `mmm_restore`, `mmm_rejoin` | `mmm_tools.conf`, or `mmm_lvm.conf` of MMM 1.x |

They are looked for in `/etc`, `/etc/mmm`, `/etc/mysql-mmm` (the usual place) and `/usr/local/mmm/etc`, in this
order; `--config FILE` names another one. `@C1` as first argument selects `mmm_mon_C1.conf`, `mmm_agent_C1.conf`
and so on. `include FILE` reads another file, usually `mmm_common.conf`: it is looked for beside the file that
includes it, then in the folders above. `.conf` is appended when missing.

A file that everybody may read or write is refused, as it holds passwords: `chmod 640`.

`mmm_mond --check` and `mmm_agentd --check` read the conf, say everything that is wrong with it and end with status 2,
or 0 when the daemon would start. Warnings, on stderr, do not change that. They look at this machine too: whether the
address and the interface are here. With a [`vip_via`](networks.md) other than `arp` `mmm_mond --check` asks the agents
of those roles too, and ends with 3 where one is a Perl agent: the monitor would start, but could not give it the role.
After every change `mmm_control doctor` looks at the whole cluster: [doctor.md](doctor.md).
`--print-conf` shows what is in effect, defaults included and passwords hidden. Examples are in `etc/`.

## Taken by a running daemon

| reload | |
|---|---|
{reload}

How: [reload.md](reload.md).

## How it is written

    # A comment has a line of its own.
    KEY VALUE

    <TYPE NAME>
        KEY VALUE
    </TYPE>

    include FILE

- Lists are separated by commas. Yes is `1 yes on true`, no is `0 no off false`, in any case.
- Durations are seconds; fractions such as `0.5` are fine.
- The same section may be written again, also in another file, and adds to the first; a later value wins. Where it
  changes a value in the same file there is a warning: the section may have been copied and not renamed.
- In `host`, `check` and `copy_method`, the section named `default` gives its values to all others of the type.
- Names of hosts, roles and copy methods are letters, digits, `_`, `-` and `.`.
- Files are UTF-8. A byte order mark, CRLF line ends and blanks of any sort are accepted.

- A note after a user name or a path is an error: it would be part of it. After a password it is a warning, as are
  quotes around a password or a user name.
- A name in `ip` or `ping_ips` is looked up once, when the program starts, with a warning: names may change, and cannot
  be looked up while the network is down.

No address may be used twice by hosts and roles. Loopback addresses are for clusters that are all on one machine.
`ping_ips` has neither the monitor's own address nor a virtual IP: they answer, or move, whatever becomes of
the monitor's network. A host is not its own peer. An exclusive role has one IP, and the
active master role is exclusive.
"""

_RELOAD = {
    Taken.AT_ONCE: "from the reload on; `hosts` and `ips` of the active master role are refused: leases rest on them",
    Taken.NEXT: "by the next connection to a server",
    Taken.START: "taken, and says only how the daemon starts",
    Taken.RESTART: "the whole conf is refused; `pid_path`, `health_port` and `cluster_interface` only by the agent of"
    " that host, the others of `<monitor>` only by the monitor",
    Taken.LEASE: "the whole conf is refused, for leases rest on it: [safety.md](safety.md)",
    Taken.OTHERS: "no daemon goes by it; tools, `mmm_control` and `mmm_web` read the conf when they are started",
}

OLD_HEAD = """\
## Files of MMM 1.x

Older files load unchanged. In 1.x `mmm_agent.conf` had no roles: the agent learns them from the monitor's orders, as
the classic one did, and keeps them beside its other state (`/var/lib/misc/mmm_agentd.pid.roles`), so that it and its
angel know after a restart or a boot what to renew, to unbind and to give up. The masters are the hosts of the active
master role; where the monitor's role has others, `show` says that the confs differ in `hosts`, and the agent takes no
writer role before the two are the same. A monitor with a conf of 1.x tells all VIPs with each order, one of 2.x or a
classic one only those of the host: until then the agent does not know what an earlier one has left. `--check` and the
log warn of that once; add the `role` blocks of `mmm_mon.conf`, and its `active_master_role` where that is not
`writer`, to have all known before the first order. A VIP that the cluster has no more stays known, and so is removed
wherever it is bound: to use its address otherwise, stop the agent, delete that file, and start it. `mmm_rejoin` needs
the `role` blocks in the file that it reads.

The format is detected from the contents, not set by an option; all files are of one dialect. `TYPE NAME` at the left
margin opens a block, the indented lines below are its values, all other lines are global:

    cluster_interface eth0

    host db1
        ip 10.0.0.1
        mode master
        peer db2

Where a copy has lost its indentation, keys that belong to the block go on being its values up to the first other line.
Types are {types}.
`log` blocks (`file`, `level`) set log files. Where one has an address as `email`, `mmm_mond` mails to it what
happens, as by a `<notify>` section, through the mail server of its machine; with the levels `error` and `fatal`
failures only. An `email` block has the sender (`from_address`, `from_name`). `service` and `admin_email` are accepted
and have no effect.
`mmm_lvm.conf` is read where there is no `mmm_tools.conf`, but by `mmm_rejoin`, which needs what that file never had.
Without `ping_ips` the network counts as up unless all hosts fall silent at once.

| 1.x | is now | |
|---|---|---|
"""


def reference() -> str:
    """Return the whole page."""
    return "\n".join([head(), *_sections(), *_old()]) + "\n"


def head() -> str:
    """Return what stands before the tables of keys."""
    reload = "\n".join(f"| {each} | {text} |" for each, text in _RELOAD.items())
    return _HEAD.replace("{reload}", reload)


def _sections() -> Iterator[str]:
    for section in SECTIONS.values():
        if section.old_only:
            continue
        yield f"## {_title(section)}\n"
        needed = f" Required by {listed(section.required)}." if section.required else ""
        yield f"{section.text}{needed}\n"
        yield "| key | value | default | required by | reload | |\n|---|---|---|---|---|---|"
        yield from (_row(section, key) for key in section.keys if key.kind != "ignored")
        yield ""


def _title(section: Section) -> str:
    if section.name == "top":
        return "Outside of sections"
    return f"`<{section.name} {'NAME' if section.named else ''}".rstrip() + ">`"


def _row(section: Section, key: Key) -> str:
    value = sample(key).replace("|", "`, `")
    default = f"`{key.default}`" if key.default else ""
    return f"| `{key.name}` | `{value}` | {default} | {required(key)} | {taken(section.name, key.name)} | {key.text} |"


def required(key: Key) -> str:
    """Return who requires a key, or with what it is required; empty where nobody does."""
    if key.needed_if:
        return f"with `{' '.join(key.needed_if).removesuffix(' 1')}`"
    return listed(key.required) if key.required else ""


def listed(letters: str) -> str:
    """Return the programs that letters of the table stand for."""
    return "all" if letters == EVERY else ", ".join(_PROGRAMS[letter] for letter in letters)


def _old() -> Iterator[str]:
    yield OLD_HEAD.format(types=", ".join(f"`{name}`" for name in OLD_BLOCKS)).rstrip("\n")
    for (where, name), meanings in OLD.items():
        for old, section, key in meanings:
            same = where == section.name and name == key.name
            if not same and key.kind != "ignored":
                place = f"`{key.name}`" if section.name == "top" else f"`{key.name}` of `<{section.name}>`"
                yield f"| {_spelt(where, name)} | {place} | {_remark(old)} |"
    yield from (f"| {_spelt('top', name)} | | no effect |" for name in OLD_IGNORED)


def _spelt(where: str, name: str) -> str:
    return f"`{name}`" if where == "top" else f"`{name}` of `{where}`"


def _remark(old: Old) -> str:
    remarks = []
    if old.programs != EVERY:
        files = {"A": "mmm_agent.conf", "M": "mmm_mon.conf", "C": "mmm_mon.conf", "T": "mmm_tools.conf"}
        remarks.append(
            "in " + " and ".join(f"`{file}`" for file in dict.fromkeys(files[p] for p in old.programs))
        )
    if old.this_host:
        remarks.append("of the host `this`")
    remarks += [f"`{before}` is `{now}`" for before, now in old.values if before != now]
    return ", ".join(remarks)


def main() -> None:
    """Print the page."""
    print(reference(), end="")


if __name__ == "__main__":
    main()
