"""Why there was no talking to somebody, in words, for those who read logs."""

import os
import ssl

_ALERT = " alert "


def reason(error: OSError) -> str:
    """Return what the error says; an error of TLS has a number, too, but that is none of the operating system's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        text = (getattr(error, "reason", "") or str(error)).replace("_", " ").lower()
        _, alert, said = text.rpartition(_ALERT)
        return f"TLS: it answers '{said}' to this host's certificate or TLS" if alert else f"TLS: {text}"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
