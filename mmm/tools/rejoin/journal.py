"""What a rejoin has done and is about to do, so that the same command goes on after a crash. Pure.

The journal is written before and after every step. What is done before the swap is done again, because nothing of the
host's data has changed until then; the swap is finished by its list; what comes after it goes on where it was.

A rewind needs no copy: when it is done, the steps from the copy to the start are left out. It is tried once. Where it
was broken off nobody knows whether the transactions are undone, and a second time would undo others: a copy is made.

Where a copy has no room beside the old data these are removed first, with permission. From then on nothing is taken
back, and the job goes on behind what was saved.
"""

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from mmm.tools.rejoin.old_server import OldServer
from mmm.wire.job import Kind
from mmm.wire.json_text import parsed
from mmm.wire.rejoin import CLONE, REWIND
from mmm.wire.typed import built

_FORMAT = 1


class Step(StrEnum):
    """The steps in their order; each looks at what is there before it acts."""

    FREEZE = "freeze"
    SAVE = "save"
    PROVE = "prove"
    UNDO = "undo"
    ROOM = "room"
    EMPTY = "empty"
    FETCH = "fetch"
    STOP = "stop"
    SWAP = "swap"
    START = "start"
    NUMBERS = "numbers"
    FOLLOW = "follow"
    CATCH_UP = "catch_up"


ORDER = tuple(Step)
IN_PLACE = frozenset({Step.ROOM, Step.EMPTY})
"""Steps of a job that may remove the old data."""
COPYING = IN_PLACE | {Step.FETCH, Step.STOP, Step.SWAP, Step.START}
"""Steps that a rewind does not need."""

_WITHOUT_SOURCE = frozenset({Step.SAVE, Step.NUMBERS, Step.FOLLOW, Step.CATCH_UP})
_OF_A_REWIND = frozenset({Step.PROVE, Step.UNDO})
_TOWARDS = frozenset({Step.NUMBERS, Step.FOLLOW, Step.CATCH_UP})
"""Steps that are done towards the active master of that moment."""
_OF_A_NEW_HOST = frozenset({Step.FREEZE, Step.SAVE, Step.NUMBERS})


class JournalError(ValueError):
    """A journal that cannot be read; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Journal:
    """One rejoin."""

    job: str
    """`HOST-YYYYMMDD-HHMMSS`."""
    host: str
    donor: str
    source: str
    """The active master, which the host follows afterwards."""
    datadir: str
    staging: str
    """Where the copy is made."""
    old: str
    """What the old data folder is called afterwards; empty: it was removed, and nothing of it is kept."""
    running: bool = False
    """The server ran when the job began."""
    replicated: bool = False
    """Its replication ran then, too."""
    saved: str = ""
    """The folder with the transactions that only this host had; empty: it had none, or they are not saved yet."""
    count: int = 0
    """How many they are."""
    highest: str = ""
    """The last number of each domain among them, as a MariaDB position."""
    position: str = ""
    """What the copy has, by GTID."""
    logged: str = ""
    """The last transaction of each server that is in the copy at least, as MariaDB's gtid_binlog_state has it."""
    moves: tuple[tuple[str, str], ...] = ()
    """The renames of the swap, in order, fixed before the first of them."""
    begun: Step | None = None
    """The last step that was begun."""
    done: tuple[Step, ...] = ()
    result: str = ""
    """How it ended, of `mmm.wire.job.Result`; empty: it has not."""
    seconds: float = 0.0
    """How long its last run took."""
    kind: Kind = Kind.REJOIN
    backup: str = ""
    """The folder with the backup that is restored."""
    version: str = ""
    """Which of the versions in it, of a copy method that keeps such."""
    until: str = ""
    """Up to where the backup is brought, as `Goal.option` has it; empty: it is left as it is."""
    logs: str = ""
    """The folder with the binary logs for that."""
    method: str = ""
    """The only method that is wanted; empty: a rewind where it is proved to be fit, else a copy."""
    way: str = ""
    """The method that is used; empty: that is not known yet."""
    tainted: bool = False
    """What only the host had is undone, or may be, and a copy has to be made all the same."""
    undone: str = ""
    """The first file of the log that has what was undone, and where in it that begins: `FILE:POSITION`."""
    old_log: str = ""
    """The folder that keeps the binary log as it was before a rewind, or of data that it was not in the folder of."""
    expires: str = ""
    """The server whose old data go once their time is over, `IP:PORT`; empty: they are kept for good."""
    in_place: bool = False
    """In this run the old data may be removed where a copy has no room beside them."""
    old_server: OldServer | None = None
    """The server whose data have to go; None: they need not, or that was not looked at."""
    log_moves: tuple[tuple[str, str], ...] = ()
    """The renames that put its binary log aside where that is elsewhere than the data that go."""
    emptied: bool = False
    """The old data are removed, or some of them may be."""

    def begin(self, step: Step) -> "Journal":
        """Return it with the step begun."""
        return replace(self, begun=step)

    def finish(self, step: Step) -> "Journal":
        """Return it with the step done."""
        return replace(self, done=(*self.done, step))

    @property
    def swapped(self) -> bool:
        """Tell whether the copy is in place."""
        return Step.SWAP in self.done

    @property
    def swapping(self) -> bool:
        """Tell whether some of the renames may have been made, and not all."""
        return self.begun is Step.SWAP and not self.swapped

    @property
    def undoing(self) -> bool:
        """Tell whether it was begun to undo transactions, and nothing tells how far that came."""
        return self.begun is Step.UNDO and Step.UNDO not in self.done

    @property
    def rewound(self) -> bool:
        """Tell whether the transactions are undone, so that no copy is needed."""
        return self.way == REWIND and Step.UNDO in self.done

    @property
    def following(self) -> tuple[Step, ...]:
        """Return the steps that are left, in order, for whoever goes on with it."""
        left_out = (
            _OF_A_NEW_HOST if self.kind == Kind.CLONE else frozenset() if self.source else _WITHOUT_SOURCE
        )
        if self.kind != Kind.REJOIN or self.way == CLONE:
            left_out |= _OF_A_REWIND
        return tuple(step for step in self._left if step not in left_out | self._not_in_place)

    @property
    def _not_in_place(self) -> frozenset[Step]:
        """Return which steps of a job in place are not done, or no more."""
        if self.emptied:
            return frozenset({Step.ROOM})
        if not self.in_place:
            return IN_PLACE
        return frozenset() if self.old_server else frozenset({Step.EMPTY})

    @property
    def _left(self) -> tuple[Step, ...]:
        if self.swapped or self.rewound:
            first = Step.START if self.swapped else Step.NUMBERS
            return tuple(step for step in ORDER[ORDER.index(first) :] if step not in self.done)
        if self.swapping:
            return ORDER[ORDER.index(Step.SWAP) :]
        first = Step.FETCH if Step.EMPTY in self.done else Step.EMPTY
        return ORDER[ORDER.index(first) :] if self.emptied else ORDER

    @property
    def ended(self) -> bool:
        """Tell whether nothing is left to do."""
        return not self.following

    def again(self) -> "Journal":
        """Return it as it is gone on with: what was done before the swap is done anew."""
        if self.swapped or self.swapping or self.rewound:
            return self
        if self.undoing:
            return self.by_copy(clean=False)
        way = CLONE if CLONE in {self.way, self.method} else ""
        return replace(self.anew(), way=way)

    def towards(self, master: str) -> "Journal":
        """Return it towards this active master: what was done towards another one is not done any more."""
        if master == self.source:
            return self
        return replace(self, source=master, done=tuple(step for step in self.done if step not in _TOWARDS))

    def for_good(self) -> "Journal":
        """Return it with the old data kept for good: they alone have what is not saved."""
        return replace(self, expires="")

    def putting_back(self) -> "Journal":
        """Return it as the old data are put back: whoever dies meanwhile goes on with the swap."""
        return replace(self, begun=Step.SWAP, done=self.done[: self.done.index(Step.STOP) + 1])

    def anew(self) -> "Journal":
        """Return it as nothing is done of it that is done again.

        The old data are in their place, unless they are removed, and their log unless that has something to tell.
        """
        old_log = self.old_log if self.tainted or self.emptied else ""
        done = (Step.EMPTY,) if Step.EMPTY in self.done else ()
        return replace(self, begun=None, done=done, position="", moves=(), old_log=old_log)

    def by_copy(self, *, clean: bool) -> "Journal":
        """Return it as it begins anew with a copy, and never again with a rewind; `clean`: nothing was undone."""
        return replace(replace(self, tainted=self.tainted or not clean).anew(), way=CLONE)

    @property
    def revocable(self) -> bool:
        """Tell whether a failure puts everything back: until the server has started on the copy, or is rewound.

        Not once the old data are removed.
        """
        gone = self.tainted or self.undoing or self.rewound or self.emptied
        return Step.START not in self.done and not gone

    @property
    def leavable(self) -> bool:
        """Tell whether it can end with the host as it is: a copy is in place, or all is undone that was to be."""
        return (self.swapped or self.rewound) and not self.revocable


def encode(journal: Journal) -> str:
    """Return it as text, one JSON object."""
    return json.dumps({"format": _FORMAT, **asdict(journal)}, indent=1) + "\n"


def decode(text: str) -> Journal:
    """Return the journal in the text; raises JournalError."""
    try:
        found = parsed(text)
        form, journal = found["format"], built(Journal, found)
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError(f"it cannot be read: {error}") from error
    if form != _FORMAT or found.keys() - asdict(journal).keys() != {"format"}:
        raise JournalError("it was written by another version of MMM")
    return journal
