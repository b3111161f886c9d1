"""A host that has come apart is wound back: its own last transactions are undone, where that is proved to be right.

    proof = prove(server, master, limit)         Proof, or raises UnfitError: a code, and `texts.sentence` says it
    undo(server, proof, kept)                    undoes them, the log begins anew there; raises NotUndoneError
    compare(server, master, touched(...), wait)  Compared: whether these rows are the active master's again

`mariadb-binlog --flashback` turns the rows in a binary log round. It says nothing and ends well where the log has what
it cannot undo: DDL, statements, what ON DELETE CASCADE did. So what is in the log is read first, and whatever is not
known to be undone exactly is a reason to copy all data instead.
"""
