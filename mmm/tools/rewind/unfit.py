"""Why transactions cannot be undone, or are not proved to be: a code, and what the sentence names. Pure."""

from collections.abc import Mapping


class UnfitError(Exception):
    """They are not to be undone; `code` is one of `mmm.tools.rewind.texts`."""

    def __init__(self, code: str, about: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.about = dict(about or {})
