"""What programs print: a character that the terminal lacks ends none of them, and loses nothing."""

import codecs
import io
import sys

_ESCAPED = "mmm.escaped"


def prepare() -> None:
    """Have what stdout and stderr cannot encode printed as JSON escapes it."""
    codecs.register_error(_ESCAPED, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPED)


def takes_all() -> bool:
    """Tell whether stdout can encode every character; YAML knows escapes in quotes only, so it has to be told."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    said = "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    return said, error.end
