"""When Python's collector looks for garbage that only refers to itself.

By default it looks through all objects every few seconds: with a thousand hosts nothing else happens for 0.15 s then.
"""

import gc

_YOUNG, _MIDDLE, _OLD = 5_000, 20, 20


def collect_seldom() -> None:
    """Never look again through what is there now, and seldom through what has grown old; call it when all is set up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
