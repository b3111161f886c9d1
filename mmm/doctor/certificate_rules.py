"""What is said of TLS files that cannot be used, and of certificates that are good for a short time only. Pure."""

from collections.abc import Iterator, Mapping

from mmm.doctor.look import Tls

SOON = 30
"""Days before the end of a certificate from which on it is said."""
_DAY = 86_400


def short_lived(tls: Tls, clock: float) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield a code and its fields for each; `clock` is that of their machine, in seconds since 1970."""
    if tls.unusable:
        yield "tls_files_unusable", {"why": tls.unusable}
    for each in tls.certificates:
        days = (each.ends - clock) / _DAY
        fields = {"key": each.key, "path": each.path, "date": each.date}
        if days < 0:
            yield "certificate_ended", fields
        elif days < SOON:
            yield "certificate_ends", {**fields, "days": str(int(days))}
