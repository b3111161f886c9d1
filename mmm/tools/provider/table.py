"""The table of providers, in the order in which they are tried, and the choice. Pure, but for what `fetch` does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmm.tools.fetch.values import Failed, Fetched
from mmm.tools.provider import clone, mariadb_backup
from mmm.tools.provider.job import Job
from mmm.tools.provider.sides import Side


@dataclass(frozen=True, slots=True)
class Provider:
    """One way to get a full copy."""

    name: str
    unfit: Callable[[Side | None, Side], str]
    """Returns why it is not the way from the donor to here, empty where it is; None: no server runs here."""
    fetch: Callable[[Job], Fetched | Failed]
    """Makes the copy; never raises for a failure, which leaves no folder."""


PROVIDERS = (
    Provider("clone-plugin", clone.unfit, clone.fetch),
    Provider("mariadb-backup", mariadb_backup.unfit, mariadb_backup.fetch),
)
NAMES = tuple(provider.name for provider in PROVIDERS)


@dataclass(frozen=True, slots=True)
class Choice:
    """The ways that are fit, the best first, and why the others are not."""

    fit: tuple[Provider, ...]
    reasons: tuple[tuple[str, str], ...]
    """Name and reason of each that is not."""

    @property
    def provider(self) -> Provider | None:
        """Return the way to take; None: there is none."""
        return self.fit[0] if self.fit else None


def choose(here: Side | None, donor: Side, order: Sequence[str] = ()) -> Choice:
    """Return which providers are fit, in the conf's order where it names one; others than it names are left out."""
    known = {provider.name: provider for provider in PROVIDERS}
    fit, reasons = [], []
    for name in order or NAMES:
        provider = known.get(name)
        why = (
            provider.unfit(here, donor)
            if provider
            else f"there is no such provider; there are {', '.join(NAMES)}"
        )
        if provider is None or why:
            reasons.append((name, why))
        else:
            fit.append(provider)
    return Choice(tuple(fit), tuple(reasons))
