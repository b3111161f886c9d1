"""How many files this process may have open (setrlimit(2)): systemd gives 1024 where nobody says more."""

import resource


def allow_files(number: int) -> None:
    """Allow that many open files, or as many as possible; never fewer than before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
