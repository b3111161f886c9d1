"""The server whose data are removed before the copy is made, as it was: afterwards nobody can be asked. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OldServer:
    """What the steps of a rejoin in place have to know of it. All but the first two: nothing where it did not run."""

    argv: tuple[str, ...]
    """How a server of this host is started on a copy."""
    control: tuple[str, ...]
    """How this host's server is stopped and started, as `ServerControl` has it."""
    version: str = ""
    """As VERSION() says it."""
    family: str = ""
    page_size: int = 0
    lower_case_table_names: int = 0
    clone_plugin: bool = False
    keys: str = ""
    """The plugin that has the keys of encrypted data."""
    log_index: str = ""
    """The index of its binary log; empty: the option files may tell."""
    state_file: str = ""
    """The file in its data folder that tells a server without any log behind what it goes on."""
    own_files: tuple[str, ...] = ()
    """Keys and certificates in its data folder, which are the host's own."""
