"""Turns the text of a conf file into a value of the kind that its key has, or says what is wrong and what to do."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress

from mmm.config.files import BLANKS
from mmm.config.keys import Key

MOST = 1_000_000_000
"""Largest number in a conf file; as seconds, thirty years."""

UNLIMITED = "unlimited"

_COMMAS = dict.fromkeys(map(ord, "\uff0c\u3001"), ",")
_OCTET = re.compile(r"0|[1-9][0-9]{0,2}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_NOTE = re.compile(f"[{BLANKS}]+(#|//|;|[(\\[{{])")
"""Begins a note behind a value; no user name and no path on a server goes on like this."""
_NO_COMMAS = re.compile(f"[{BLANKS}]*;[{BLANKS}]*|[{BLANKS}]+")
_TRUE = frozenset(("1", "yes", "on", "true"))
_FALSE = frozenset(("0", "no", "off", "false"))


def convert(key: Key, text: str) -> object:
    """Return the value that `text` stands for; raises ValueError with `what is wrong; what to do`."""
    if not text and key.kind not in {"text", "user", "ignored"}:
        raise ValueError(f"{key.name} has no value; write {key.name} {sample(key)}")
    if text.startswith("= ") and not key.secret:
        raise ValueError(f"`=` behind {key.name}; write {key.name} {text[1:].strip(BLANKS)}")
    try:
        return _CONVERT[key.kind](key, text)
    except ValueError as e:
        comment = "; comments go on lines by themselves" if "#" in text else ""
        raise ValueError(f"{key.name} {e}{comment}") from None


def sample(key: Key) -> str:
    """Return what the value of a key looks like, for error messages and the reference."""
    if key.choices:
        return "|".join(key.choices)
    return _SAMPLES.get(key.kind, "TEXT")


def is_name(text: str) -> bool:
    """Tell whether hosts, roles and the like may be called so."""
    return _NAME.fullmatch(text) is not None


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return what was probably meant by an unknown word, empty when nothing is near."""
    import difflib  # noqa: PLC0415  (only errors need it, and programs start faster without)

    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[near[0]] if near else ""


def note_in(text: str) -> str:
    """Return what looks like a note behind a value, empty where there is none."""
    found = _NOTE.search(text)
    return text[found.start(1) :] if found else ""


def _text(_: Key, text: str) -> str:
    return text


def _plain(key: Key, text: str) -> str:
    """Return a user name or a path, which a note would become part of."""
    note = note_in(text)
    if note:
        end = "" if "#" in note else "; comments go on lines by themselves"
        raise ValueError(
            f"has the note `{note}` behind its value; write {key.name} {_before(text, note)}{end}"
        )
    return text


def _before(text: str, note: str) -> str:
    return text[: -len(note)].rstrip(BLANKS)


def _word(_: Key, text: str) -> str:
    if any(blank in text for blank in BLANKS):
        raise ValueError(f"is one word, not `{text}`; delete what follows it")
    return text


def _name(_: Key, text: str) -> str:
    if not is_name(text):
        raise ValueError(f"is a name, not `{text}`; names are letters, digits, `_`, `-` and `.`")
    return text


def _int(key: Key, text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or not key.least <= int(text) <= MOST:
        raise ValueError(f"is a whole number from {key.least:g} to {MOST}, not `{text}`; correct it")
    return int(text)


def _port(_: Key, text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ValueError(f"is a port from 1 to 65535, not `{text}`; correct it")
    return int(text)


def _seconds(key: Key, text: str) -> float:
    if not _NUMBER.fullmatch(text) or not key.least <= float(text) <= MOST:
        raise ValueError(f"is a number of seconds from {key.least:g} to {MOST}, not `{text}`; correct it")
    return float(text)


def _limit(key: Key, text: str) -> float:
    if text.lower() == UNLIMITED:
        return float("inf")
    try:
        return _seconds(key, text)
    except ValueError as error:
        what, _, todo = str(error).partition("; ")
        raise ValueError(f"{what}; {todo}, or write {UNLIMITED}") from None


def _bool(_: Key, text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(f"is yes or no, not `{text}`; write 1, yes, on, true or 0, no, off, false")
    return text.lower() in _TRUE


def _choice(key: Key, text: str) -> str:
    if text not in key.choices:
        near = suggestion(text, key.choices)
        raise ValueError(
            f"is {' or '.join(key.choices)}, not `{text}`; {did_you_mean(near, 'write one of these')}"
        )
    return text


def did_you_mean(near: str, otherwise: str) -> str:
    """Return the question, or what to do when nothing is near."""
    return f"did you mean {near}?" if near else otherwise


def _ip(_: Key, text: str) -> str:
    octets = text.split(".")
    if len(octets) != 4 or not all(_OCTET.fullmatch(octet) and int(octet) < 256 for octet in octets):
        hint = "write it without prefix length" if "/" in text else "write four numbers such as 10.0.0.1"
        hint = "only virtual IPs may be IPv6, write an IPv4 address" if ":" in text else hint
        raise ValueError(f"is an IP address, not `{text}`; {hint}")
    return text


def _items(text: str, *, words: bool = False) -> list[str]:
    """Return what stands between commas; `words`: none of it holds a blank or a semicolon."""
    items = [item.strip(BLANKS) for item in text.translate(_COMMAS).split(",")]
    if items[-1] == "":
        items.pop()
    if not items or "" in items:
        raise ValueError(f"has an empty entry in `{text}`; delete the extra comma")
    if words and not note_in(text) and any(_NO_COMMAS.search(item) for item in items):
        parts = (part for item in items for part in _NO_COMMAS.split(item) if part)
        raise ValueError(f"is a list, not `{text}`; separate by commas: {', '.join(parts)}")
    return items


def _list(key: Key, text: str) -> tuple[str, ...]:
    return tuple(_plain(key, item) for item in _items(text))


def _ways(key: Key, text: str) -> tuple[str, ...]:
    """Return what is to be tried, in that order; nothing for `no`."""
    if text.lower() in _FALSE:
        return ()
    items = tuple(item.lower() for item in _items(text, words=True))
    for item in items:
        if item not in key.choices or item in _FALSE:
            raise ValueError(f"is `no`, or some of {', '.join(key.choices[1:])}, not `{text}`")
    return tuple(dict.fromkeys(items))


def _ips(key: Key, text: str) -> tuple[str, ...]:
    return tuple(_ip(key, item) for item in _items(text, words=True))


def _vips(key: Key, text: str) -> tuple[str, ...]:
    return tuple(_vip(key, item) for item in _items(text, words=True))


def _vip(key: Key, text: str) -> str:
    """Return an IPv6 address in its one short form, by which all parts of a cluster know it."""
    if ":" not in text:
        return _ip(key, text)
    import ipaddress  # noqa: PLC0415  (programs start faster without)

    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(
            f"is an IP address, not `{text}`; write such as fd00::80, without prefix length"
        ) from None
    if address.ipv4_mapped or address.is_link_local or address.scope_id:
        raise ValueError(f"`{text}` cannot be reached by clients; write an address of the network's prefix")
    return str(address)


def _networks(key: Key, text: str) -> tuple[str, ...]:
    return tuple(_network(key, item) for item in _items(text, words=True))


def _network(_: Key, text: str) -> str:
    import ipaddress  # noqa: PLC0415  (few confs have networks, and programs start faster without)

    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        bits = " is no address or network;"
        with suppress(ValueError):
            ipaddress.ip_network(text, strict=False)
            bits = " has bits set behind its prefix;"
        raise ValueError(f"`{text}`{bits} write such as 10.0.0.9 or 10.0.0.0/24") from None
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _hosts(key: Key, text: str) -> tuple[str, ...]:
    return tuple(_name(key, item) for item in _items(text, words=True))


_CONVERT: dict[str, Callable[[Key, str], object]] = {
    "text": _text,
    "user": _plain,
    "word": _word,
    "path": _plain,
    "file": _plain,
    "ignored": _text,
    "int": _int,
    "port": _port,
    "seconds": _seconds,
    "limit": _limit,
    "bool": _bool,
    "choice": _choice,
    "ways": _ways,
    "ip": _ip,
    "ips": _ips,
    "vips": _vips,
    "networks": _networks,
    "list": _list,
    "host": _name,
    "hosts": _hosts,
    "role": _name,
    "copy method": _name,
}
_SAMPLES: dict[str, str] = {
    "user": "USER",
    "word": "WORD",
    "path": "PATH",
    "file": "FILE",
    "int": "NUMBER",
    "port": "PORT",
    "seconds": "SECONDS",
    "limit": "SECONDS|unlimited",
    "bool": "yes|no",
    "ip": "ADDRESS",
    "ips": "ADDRESS, …",
    "vips": "ADDRESS, …",
    "networks": "NETWORK, …",
    "list": "TEXT, …",
    "host": "HOST",
    "hosts": "HOST, …",
    "role": "ROLE",
    "copy method": "COPY_METHOD",
}
