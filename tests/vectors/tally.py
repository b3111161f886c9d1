"""Counts how the recordings came out, for the last line of `make vectors`."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.vectors.compare import Difference
from tests.vectors.recordings import elsewhere

_SHOWN = 12
_KEPT = Path(__file__).with_name("counts.json")


@dataclass
class Tally:
    """What became of recordings; `wrong` holds a text for each that no rule explains."""

    agree: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    by_rule: int = 0
    wrong: list[str] = field(default_factory=list)

    def agrees(self) -> None:
        """Count a recording that came out as recorded."""
        self.agree += 1

    def differs(self, rules: Iterable[str]) -> None:
        """Count a recording that differs by these rules."""
        self.by_rule += 1
        self.rules.update(set(rules))

    def take(self, name: str, explained: list[tuple[Difference, str | None]]) -> None:
        """Count a recording by its differences and the rules that explain them."""
        unexplained = [difference for difference, rule in explained if rule is None]
        if unexplained:
            self.wrong.append(f"{name}: {unexplained}")
        elif explained:
            self.differs(rule for _, rule in explained if rule is not None)
        else:
            self.agrees()

    def add(self, other: "Tally") -> None:
        """Add another family's counts."""
        self.agree += other.agree
        self.by_rule += other.by_rule
        self.rules += other.rules
        self.wrong += other.wrong

    @property
    def counts(self) -> dict[str, int]:
        """Return how many recordings agree, and how many differ by each rule."""
        return {"agree": self.agree, **dict(sorted(self.rules.items(), key=_order))}

    def check(self, family: str) -> None:
        """Fail if a recording is wrong, if there was none, or if a kept one came out otherwise than before.

        Rules explain much. So a recording that begins to differ, or to differ by another rule, is to be looked at:
        where that is meant, counts.json takes the new figures.
        """
        assert self.agree + self.by_rule + len(self.wrong), "no recordings"
        assert not self.wrong, "\n".join([f"{len(self.wrong)} wrong, the first:", *self.wrong[:_SHOWN]])
        if not elsewhere():
            assert self.counts == json.loads(_KEPT.read_text("utf-8"))[family]

    def __str__(self) -> str:
        rules = ", ".join(f"{rule}: {count}" for rule, count in sorted(self.rules.items(), key=_order))
        return (
            f"vectors: {self.agree} agree, {self.by_rule} differ by rule ({rules}), {len(self.wrong)} wrong"
        )


def _order(item: tuple[str, int]) -> tuple[int, ...]:
    return tuple(int(part) for part in item[0].split(".") if part.isdigit())
