"""Turns the text of a conf file into a value of the kind that its key has, or says what is wrong with it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from mmm.config.files import BLANKS
from mmm.config.key import Key
from mmm.config.names import UNLIMITED, is_name
from mmm.config.tree import Fault

MOST = 1_000_000_000
"""Largest number in a conf file; as seconds, thirty years."""


_COMMAS = dict.fromkeys(map(ord, "\uff0c\u3001"), ",")
_OCTET = re.compile(r"0|[1-9][0-9]{0,2}")
_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_WITH_PORT = re.compile(r"[^:]+:[0-9]+")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
_NOTE = re.compile(f"[{BLANKS}]+(#|//|;|[(\\[{{])")
"""Begins a note behind a value; no user name and no path on a server goes on like this."""
_NO_COMMAS = re.compile(f"[{BLANKS}]*;[{BLANKS}]*|[{BLANKS}]+")
_TRUE = frozenset(("1", "yes", "on", "true"))
_FALSE = frozenset(("0", "no", "off", "false"))


class UnfitError(ValueError):
    """A text that is no value of its kind."""

    def __init__(self, code: str, fields: Mapping[str, Any]) -> None:
        super().__init__()
        self.fault = Fault(code, fields)

    def __str__(self) -> str:
        return str(self.fault)


def convert(key: Key, text: str) -> object:
    """Return the value that `text` stands for; raises UnfitError."""
    if not text and not _may_be_empty(key):
        raise UnfitError("no_value", {"key": key.name, "sample": sample(key)})
    if text.startswith("= ") and not key.secret:
        raise UnfitError("equals_sign", {"key": key.name, "rest": text[1:].strip(BLANKS)})
    try:
        return _CONVERT[key.kind](key, text)
    except UnfitError as error:
        fault, about = error.fault, {"key": key.name, "comment": "#" in text}
        raise UnfitError(fault.code, {**about, **fault.fields}) from None


def _may_be_empty(key: Key) -> bool:
    """Tell whether a key without a value says something, as that of an account that there is none."""
    return key.kind in {"text", "ignored"} or (key.kind == "user" and key.required not in {"A", "M"})


def sample(key: Key) -> str:
    """Return what the value of a key looks like, for error messages and the reference."""
    if key.choices:
        return "|".join(key.choices)
    return _SAMPLES.get(key.kind, "TEXT")


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return what was probably meant by an unknown word, empty when nothing is near."""
    import difflib  # noqa: PLC0415  (only errors need it, and programs start faster without)

    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[near[0]] if near else ""


def words(command: str) -> list[str]:
    """Return the words of a command as a shell would part them; none where its quotes do not match."""
    import shlex  # noqa: PLC0415  (few confs have commands, and programs start faster without)

    try:
        return shlex.split(command)
    except ValueError:
        return []


def note_in(text: str) -> str:
    """Return what looks like a note behind a value, empty where there is none."""
    found = _NOTE.search(text)
    return text[found.start(1) :] if found else ""


def _text(_: Key, text: str) -> str:
    return text


def _plain(_: Key, text: str) -> str:
    """Return a user name or a path, which a note would become part of."""
    note = note_in(text)
    if note:
        raise UnfitError("note_behind_value", {"note": note, "before": _before(text, note), "comment": True})
    return text


def _before(text: str, note: str) -> str:
    return text[: -len(note)].rstrip(BLANKS)


def _word(_: Key, text: str) -> str:
    if any(blank in text for blank in BLANKS):
        raise UnfitError("not_a_word", {"text": text})
    return text


def _name(_: Key, text: str) -> str:
    if not is_name(text):
        raise UnfitError("not_a_name", {"text": text})
    return text


def _int(key: Key, text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or not key.least <= int(text) <= MOST:
        raise UnfitError("not_a_number", {"text": text, "least": key.least, "most": MOST})
    return int(text)


def _port(_: Key, text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise UnfitError("not_a_port", {"text": text})
    return int(text)


def _seconds(key: Key, text: str) -> float:
    if not _NUMBER.fullmatch(text) or not key.least <= float(text) <= MOST:
        raise UnfitError("not_seconds", {"text": text, "least": key.least, "most": MOST})
    return float(text)


def _limit(key: Key, text: str) -> float:
    if text.lower() == UNLIMITED:
        return float("inf")
    try:
        return _seconds(key, text)
    except UnfitError as error:
        raise UnfitError("not_a_limit", {**error.fault.fields, "unlimited": UNLIMITED}) from None


def _bool(_: Key, text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise UnfitError("not_yes_or_no", {"text": text})
    return text.lower() in _TRUE


def _choice(key: Key, text: str) -> str:
    if text not in key.choices:
        todo = did_you_mean(suggestion(text, key.choices), Fault("write_one"))
        raise UnfitError("not_a_choice", {"text": text, "choices": _one_of(key.choices), "todo": todo})
    return text


def _one_of(words: Sequence[str]) -> str:
    return " or ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]


def did_you_mean(near: str, otherwise: Fault) -> Fault:
    """Return the question, or what to do when nothing is near."""
    return Fault("meant", {"near": near}) if near else otherwise


def _ip(_: Key, text: str) -> str:
    octets = text.split(".")
    if len(octets) != 4 or not all(_OCTET.fullmatch(octet) and int(octet) < 256 for octet in octets):
        raise _no_ip(text)
    return text


def _no_ip(text: str) -> UnfitError:
    """Return what is said of a text that is no IPv4 address."""
    if _WITH_PORT.fullmatch(text):
        return UnfitError("ip_with_port", {"text": text})
    if ":" in text:
        return UnfitError("ip_of_ipv6", {"text": text})
    clean = _ZEROS.sub("", text)
    if clean != text and all(_OCTET.fullmatch(octet) and int(octet) < 256 for octet in clean.split(".")):
        return UnfitError("ip_with_zeros", {"text": text, "clean": clean})
    return UnfitError("ip_with_prefix" if "/" in text else "not_ipv4", {"text": text})


def _items(text: str, *, words: bool = False) -> list[str]:
    """Return what stands between commas; `words`: none of it holds a blank or a semicolon."""
    items = [item.strip(BLANKS) for item in text.translate(_COMMAS).split(",")]
    if items[-1] == "":
        items.pop()
    if not items or "" in items:
        raise UnfitError("empty_entry", {"text": text})
    if words and not note_in(text) and any(_NO_COMMAS.search(item) for item in items):
        parts = tuple(part for item in items for part in _NO_COMMAS.split(item) if part)
        raise UnfitError("not_a_list", {"text": text, "items": parts})
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
            raise UnfitError("not_choices", {"text": text, "choices": key.choices[1:]})
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
        raise UnfitError("not_ipv6", {"text": text}) from None
    if address.ipv4_mapped or address.is_link_local or address.scope_id:
        raise UnfitError("not_reached_by_clients", {"text": text})
    return str(address)


def _networks(key: Key, text: str) -> tuple[str, ...]:
    return tuple(_network(key, item) for item in _items(text, words=True))


def _network(_: Key, text: str) -> str:
    import ipaddress  # noqa: PLC0415  (few confs have networks, and programs start faster without)

    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        code = "not_a_network"
        with suppress(ValueError):
            ipaddress.ip_network(text, strict=False)
            code = "bits_behind_prefix"
        raise UnfitError(code, {"text": text}) from None
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
