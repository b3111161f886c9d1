"""A full copy of another host's data, beside the old one: fetched whole, prepared, proved by a server that runs on it.

    choice = provider.choose(here, donor, conf.providers)             which way fits, and why each other one does not
    came = fetch(conf, donor, staging, progress, job=…)               Fetched(bytes, seconds, position, server_version)
    found = stage.prove(staging, like, came.position, accounts)       Proved(server_version, gtid, …)

Each returns `Failed(cause, text)` where it went wrong; then the staging folder is gone, and nothing else has changed.
"""
