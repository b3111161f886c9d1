"""Backups as they lie on a disk: what is in one, what is kept, whether it is whole, and how it is put back.

    DIR/db3-20261129-031500/
        data/                  the data folder; with `--compress zstd` each file as FILE.zst
        _mmm/status.json       what the backup is: host, server, position, how it came (`facts`)
        _mmm/status.txt        the same for the tools of MMM 2.x, in their form (`perl`)
        _mmm/my.cnf            the options that the server was started with
        _mmm/SHA256            of every other file; `sha256sum -c _mmm/SHA256` checks it (`hashes`)

It is made under a name that ends with `.part`, and gets its own only once a server has run on it: what has a name is
whole.
Backups of MMM 1.x and 2.x have `_mmm/status.txt` and the folders of `clone_dirs`.
"""
