"""The table of providers, in the order in which they are tried, and the choice. Pure, but for what `fetch` does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmm.tools.fetch.values import Failed, Fetched
from mmm.tools.provider import clone, dump, mariadb_backup
from mmm.tools.provider.job import Job
from mmm.tools.provider.sides import Side
from mmm.wire.rejoin import REWIND


@dataclass(frozen=True, slots=True)
class Provider:
    """One way to get a full copy."""

    name: str
    unfit: Callable[[Side | None, Side], str]
    """Returns why it is not the way from the donor to here, empty where it is; None: no server runs here."""
    fetch: Callable[[Job], Fetched | Failed]
    """Makes the copy; never raises for a failure, which leaves no folder."""
    largest: int = 0
    """Bytes of data up to which it is taken where the conf does not name it; 0: any."""
    tried: Callable[[Job], Failed | None] = lambda _: None
    """Returns why a copy could not be begun now, as far as that can be told without one; nothing is left of it."""


PROVIDERS = (
    Provider("clone-plugin", clone.unfit, clone.fetch),
    Provider("mariadb-backup", mariadb_backup.unfit, mariadb_backup.fetch, tried=mariadb_backup.tried),
    Provider("dump", dump.unfit, dump.fetch, dump.LARGEST, dump.tried),
)
GIGABYTE = 1_000_000_000
NAMES = tuple(provider.name for provider in PROVIDERS)


@dataclass(frozen=True, slots=True)
class Choice:
    """The ways that are fit, the best first, and why the others are not."""

    fit: tuple[Provider, ...]
    reasons: tuple[tuple[str, str], ...]
    """Name and reason of each that is not."""
    size: int = 0
    """Bytes of the donor's data."""

    @property
    def provider(self) -> Provider | None:
        """Return the way to take; None: there is none."""
        return self.fit[0] if self.fit else None


def rewinds(order: Sequence[str]) -> bool:
    """Tell whether what only the host has is undone, where that is proved to be right, before a copy is made."""
    return not order or REWIND in order


def choose(here: Side | None, donor: Side, order: Sequence[str] = ()) -> Choice:
    """Return which providers are fit, in the conf's order where it names one; others than it names are left out."""
    known = {provider.name: provider for provider in PROVIDERS}
    fit, reasons = [], []
    for name in (each for each in order or NAMES if each != REWIND):
        provider = known.get(name)
        why = _unfit(provider, here, donor, named=bool(order))
        if provider is None or why:
            reasons.append((name, why))
        else:
            fit.append(provider)
    return Choice(tuple(fit), tuple(reasons), donor.size)


def _unfit(provider: Provider | None, here: Side | None, donor: Side, *, named: bool) -> str:
    if provider is None:
        return f"there is no such provider; there are {', '.join((REWIND, *NAMES))}"
    if provider.largest and donor.size > provider.largest and not named:
        size, most = donor.size / GIGABYTE, provider.largest / GIGABYTE
        return f"{size:,.1f} GB are more than {most:g} GB, and `providers` does not name it"
    return provider.unfit(here, donor)
