"""Every target takes its corpus, and what becomes of it when pieces are lost, doubled, swapped or added."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import CORPUS, TARGETS, WORDS

FILES = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_corpus(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_a_corpus() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS) == set(WORDS)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_mutations_of_what_is_valid(name: str, data: st.DataObject) -> None:
    files = [path for path in FILES if path.parent.name == name]
    pieces = _pieces(data.draw(st.sampled_from(files)).read_bytes())
    odd = (
        st.sampled_from([word.encode() for word in WORDS[name]])
        | st.sampled_from(ODD)
        | st.binary(max_size=4)
    )
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, len(pieces)))
        end = at + data.draw(st.integers(0, 2))
        pieces[at:end] = data.draw(st.lists(odd | st.sampled_from(pieces or [b""]), max_size=2))
    TARGETS[name](b"".join(pieces))


ODD = [
    *(
        b"",
        b" ",
        b"\t",
        b"\r",
        b"\n",
        b"\0",
        b"\xff",
        b"\xc2\xa0",
        b"\xe2\x80\xa8",
        b"\xd9\xa3",
        b"-1",
        b"1e999",
    ),
    *(b"9" * 20, b"9" * 5000, b"nan", b"(" * 50, b"|" * 50, b"a" * 300, b"..", b"/", b"%s", b"\x1b[31m"),
]


def _pieces(content: bytes) -> list[bytes]:
    """Return the words of the content and what stands between them."""
    pieces: list[bytes] = []
    word = b""
    for byte in content:
        if chr(byte).isalnum():
            word += bytes([byte])
        else:
            pieces += [word, bytes([byte])]
            word = b""
    return [piece for piece in (*pieces, word) if piece]
