"""The file below /run in which an agent keeps what it has promised, for its successor."""

from pathlib import Path

from mmm.process.to_disk import settle

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot() -> str:
    """Return what tells this boot of the host from every other."""
    try:
        return _BOOT_ID.read_text("ascii").strip().replace("-", "")[:12]
    except OSError:
        return "0"


def load(file: Path | None) -> str:
    """Return what the file says, empty where it cannot be read."""
    try:
        return file.read_text("utf-8") if file is not None else ""
    except (OSError, UnicodeDecodeError):
        return ""


def store(file: Path | None, text: str, *, settled: bool = False) -> None:
    """Put `text` in the file's place, whose folder may have been removed, as with a wiped /run; raises OSError.

    With `settled` it is on the disk afterwards, whatever becomes of the host.
    """
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(file.name + ".new")
    new.write_text(text, "utf-8")
    if settled:
        settle(new)
    new.replace(file)
    if settled:
        settle(file.parent)
