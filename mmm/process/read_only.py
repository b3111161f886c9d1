"""Why a file of a daemon cannot be written, where its unit keeps the folder from it."""

import errno
import os
from pathlib import Path


def reason(error: OSError, path: Path) -> str:
    """Return why `path` could not be written; under a unit that keeps the folder read-only with what to do."""
    why, unit = error.strerror or str(error), os.environ.get("MMM_UNIT", "")
    if error.errno != errno.EROFS or not unit:
        return why
    return f"{why}: {unit} keeps it so; 'systemctl edit {unit}', in [Service] ReadWritePaths={path.parent}"
