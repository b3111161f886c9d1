"""The transactions that only this host's server has, saved before anything is changed.

    home = server.ask(look_at_log_home(server))      # of a dead server: as it was kept while it lived
    extras = find(home, there=executed(master), here=executed(server))
    if extras.problem is None and extras.transactions:
        program = binlog_program.find(host.mysqlbinlog, os.environ["PATH"], mariadb=home.mariadb)
        saved = save(extras, Target(saved_dir, "db1", "db2"), Sources(program, server, master))
        print(saved.folder, saved)

`find` raises NoLogError, `binlog_program.find` ProgramError, `save` SaveError: one line each that an admin can read.
Nobody may write to the server meanwhile. The same `save` after a crash finds what was saved, and returns that with
`again`.

`extras` names every transaction, its place in the log, the files that hold them, and `highest()`: the numbers of
MariaDB's GTIDs that must not be used again. `problem` says why there may be more of them.

`saved.rows` is `INSERT shop.o 1, UPDATE shop.o 2; 1 of these rows has changed on db2 since`, `saved.tables` the same in
numbers, `saved.as_json()` all of it. Accounts need `tables.NEEDS`.
"""
