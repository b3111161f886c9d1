"""What is said of transactions that are not undone: the sentence of each code. Pure."""

from mmm.tools.rewind.unfit import UnfitError

_SENTENCES = {
    "family": "{family} {version} has no program that undoes what is in a binary log",
    "server_down": "the server does not run",
    "by_position": "it replicates by file and position: nothing would tell where to go on",
    "grants": "tools_user may not do it here: {statements}",
    "nothing": "there are no transactions of its own to undo",
    "log": "the binary log cannot be read from the first of them on: {why}",
    "too_large": "{size} MB of the binary log follow the first of them, and rewind_limit is {limit} MB",
    "statement": "{gtid} holds a statement, not rows alone: DDL, a grant, or what another binlog_format logs",
    "xa": "{gtid} is a part of an XA transaction",
    "event": "{gtid} has an event of kind {kind}, which is not known to be undone",
    "row_image": "{gtid} has rows of {table} that do not have all columns: binlog_row_image was not FULL",
    "stored_column": "{gtid} has rows of {table} without its stored generated columns, as MariaDB 11.8 logs them:"
    " computed anew they could differ",
    "crashed": "the server crashed after the first of them ({file} has no end), and sync_binlog={sync} or"
    " innodb_flush_log_at_trx_commit={flush} lets its log and its data differ then",
    "setting": "{name} is {value}: with that, undoing is not exact",
    "filtered": "binlog_do_db or binlog_ignore_db keeps changes out of the binary log",
    "table_gone": "{table} is not there any more",
    "table_kind": "{table} is a {kind}, whose rows are not known to be undone exactly",
    "engine": "{table} is of the engine {engine}, which takes nothing back",
    "altered": "{table} was made or altered after the first of them, past the binary log",
    "columns": "{table} has {now} columns, and had {then}",
    "cascade": "rows of {table} were {what}, and foreign keys of other tables refer to it with {rule}: what these did"
    " is not in the binary log",
    "place": "where to follow {master} from then on is not proved: domain {domain} was at {before} before {first}",
    "not_there": "{master} does not have {gtid}, which comes before them",
    "no_program": "{why}",
}
"""Each may name what its UnfitError is about."""


def sentence(unfit: UnfitError) -> str:
    """Return it as people read it."""
    return _SENTENCES[unfit.code].format_map(unfit.about)
