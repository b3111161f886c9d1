"""A command of mmm_control on its way to the monitor, and the list of them (rule 5)."""

import re
from collections.abc import Sequence

from mmm.wire.lines import MAX_LINE, WireError

QUIT = "quit"
HELP_COMMAND = "help"
CHALLENGE = "challenge"
"""Asks for what the next command is to be signed with; a monitor without auth_key does not know it."""
SIGNED = "signed"
"""`signed NONCE MAC COMMAND…`: a command that is signed with a challenge."""
JSON = "json"
"""`json COMMAND…`: the same command, answered by values; a classic monitor says that this is no command."""
MONITORS, LEADS, HAND_OVER, TAKE_LEAD = "monitors", "leads", "hand_over", "take_lead"
STATUS, FOLLOW, WATCH = "status", "follow", "watch"
RELOAD = "reload"
PROXY = "proxy"
PROXIES = ("haproxy", "proxysql", "maxscale", "mysqlrouter", "keepalived")
"""Of which `proxy` prints a configuration."""
_READING = frozenset(
    {
        "help",
        "ping",
        "show",
        "checks",
        "mode",
        "explain",
        "history",
        "health",
        MONITORS,
        LEADS,
        STATUS,
        FOLLOW,
        QUIT,
    }
)
"""Commands that need no signature."""
_OPTIONS_ANYWHERE = frozenset({"set_online", "move_role"})
LINE_END = re.compile(r"[\r\n]+")
_NONCE = re.compile(r"[0-9a-f]{32}")

HELP = """\
Valid commands are:
    help                              - show this message
    ping                              - ping monitor
    show                              - show status
    checks [<host>|all [<check>|all]] - show checks status
    set_online <host>                 - set host <host> online
    set_offline <host>                - set host <host> offline
    mode                              - print current mode.
    set_active                        - switch into active mode.
    set_manual                        - switch into manual mode.
    set_passive                       - switch into passive mode.
    move_role [--force] <role> <host> - move exclusive role <role> to host <host>
                                        (Only use --force if you know what you are doing!)
    set_ip <ip> <host>                - set role with ip <ip> to host <host>
    exclude_role <role> <host>        - keep balanced role <role> away from host <host> while others can take it
    include_role <role> <host>        - let it have the role again
    move_role --dry-run [--force] <role> <host>
                                      - say what a move would do, and change nothing
    set_online --force <host>         - set it online even if it has transactions that the active master lacked
    rejoin [--dry-run] [--from <host>] [--method rewind|clone] [--stay-offline] [--lose-extra <host>] <host>
                                      - bring a host back by mmm_rejoin
    rejoin --abort <host>             - take back a rebuild that was broken off
    confirm_dead [--yes] <host>       - confirm that host <host> is switched off: nothing waits for it any longer
                                        (Two servers take writes if it is not!)
    reload [--dry-run]                - take what has changed in the conf files, or say what would be taken
    failover_method [<method>]        - print the mode, or switch to auto, wait or manual
                                        (The way MMM 1.x says set_active and set_manual.)
    monitors                          - say which monitor leads and which stand by
    leads                             - exit status 0 where this machine's monitor leads, else 1: for Keepalived
    hand_over [<monitor>]             - have another monitor lead, the one at that address if it is given
    take_lead --force                 - have this machine's monitor lead, though an agent of MMM 2.x cannot vote
                                        (Two servers take writes if the other monitor still gives orders!)
    health                            - the state in one line, for Nagios: exit status 0, 1, 2 or 3
    explain [<host>|all]              - say why a host is in its state and what would change it
    history [<count>]                 - show the last changes and moves of roles
    status                            - all of it as one JSON document
    follow [<position>]               - a line of JSON for every change, from a position on, as the last line told it
    watch                             - show all of it live, until q is pressed
                                        (runs in mmm_control itself, by the library rich)
    proxy [--lag <seconds>] <proxy>   - print a configuration of haproxy, proxysql, maxscale or mysqlrouter for this
                                        cluster; hosts that are further behind are not read from. Of keepalived:
                                        for the monitors (runs in mmm_control itself: the monitor need not run)
    doctor                            - check whether all hosts are ready for a failover, and say what to fix
                                        (runs in mmm_control itself: the monitor need not run)
"""


def command_mac(key: str, nonce: str, words: Sequence[str]) -> str:
    """Return the signature of a command with a challenge, by auth_key."""
    import hmac  # noqa: PLC0415 - mmm_control is ready sooner without it

    text = " ".join(" ".join(words).split())
    said = f"{nonce} {text}".encode("utf-8", "surrogateescape")
    return hmac.new(key.encode(), b"command " + said, "sha256").hexdigest()


def signed_words(key: str, challenge: str, words: Sequence[str]) -> tuple[str, ...] | None:
    """Return the command as it is sent signed, by what `challenge` was answered with; None: that is no challenge."""
    if not _NONCE.fullmatch(challenge):
        return None
    return SIGNED, challenge, command_mac(key, challenge, words), *words


INVALID = "Invalid command"
"""How the answer begins to what is no command: the classic's words, which are ours too."""


def failed(answer: str) -> bool:
    """Tell whether the monitor refused the command, or did not know it."""
    return answer.startswith(("ERROR", INVALID))


def is_unknown(answer: str) -> bool:
    """Tell whether the monitor does not know the command, so that nothing was done."""
    return answer.startswith(INVALID)


def without_json(words: Sequence[str]) -> Sequence[str]:
    """Return the command, whichever way it is to be answered."""
    return words[1:] if len(words) > 1 and words[0] == JSON else words


def changes_nothing(words: Sequence[str]) -> bool:
    """Tell whether the command only asks, so that it need not be signed."""
    return without_json(words)[0] in _READING


_REJOIN = "[--dry-run] [--from HOST] [--method rewind|clone] [--stay-offline] [--lose-extra HOST]"
_NEEDS = {
    "set_online": (1, "a host: set_online [--force] HOST"),
    "set_offline": (1, "a host: set_offline HOST"),
    "move_role": (2, "a role and a host: move_role [--dry-run] [--force] ROLE HOST"),
    "exclude_role": (2, "a role and a host: exclude_role ROLE HOST"),
    "include_role": (2, "a role and a host: include_role ROLE HOST"),
    "rejoin": (1, f"a host: rejoin {_REJOIN} HOST, or rejoin --abort HOST"),
    TAKE_LEAD: (0, "--force: take_lead --force"),
    "set_ip": (2, "an IP and a host: set_ip IP HOST"),
    PROXY: (1, f"the name of one: proxy {'|'.join(PROXIES)}"),
}


def incomplete(words: Sequence[str]) -> str:
    """Return what the command lacks, empty where it has all that it needs or is not known here."""
    count, needs = _NEEDS.get(words[0], (0, ""))
    if words[0] == TAKE_LEAD and words[1:] != ["--force"]:
        return f"{words[0]} needs {needs}"
    given = [word for word in words[1:] if not word.startswith("-")]
    return f"{words[0]} needs {needs}" if len(given) < count else ""


def options_first(words: Sequence[str]) -> list[str]:
    """Return a command as monitors know it: with the options that people may type anywhere before the names."""
    if words[0] not in _OPTIONS_ANYWHERE:
        return list(words)
    return [words[0], *sorted(words[1:], key=lambda word: not word.startswith("--"))]


def encode_command(words: Sequence[str]) -> bytes:
    """Return what the client sends for the command in `words`; raises WireError if it cannot be said."""
    line = " ".join(words)
    if LINE_END.search(line) or "\0" in line:
        raise WireError(f"command {line[:60]!r} holds a line end")
    sent = line.encode("utf-8", "surrogateescape")
    if len(sent) >= MAX_LINE:
        raise WireError(f"a command of {len(sent)} bytes is longer than {MAX_LINE}")
    return sent + f"\n{QUIT}\n".encode()
