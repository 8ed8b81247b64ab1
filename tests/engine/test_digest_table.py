"""The table of digests holds what a dict would, in fewer bytes."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.engine.digest_table import SHELVES, DigestTable, Width, digest_of

# Few, so that they come again; some on one shelf, and the ends of the range of a digest.
DIGESTS = st.sampled_from([0, 1, SHELVES - 1, SHELVES, 2 * SHELVES, 7 * SHELVES, 2**64 - SHELVES, 2**64 - 1])


@given(st.lists(st.tuples(DIGESTS | st.integers(0, 2**64 - 1), st.integers(0, 255), st.booleans())))
def test_a_table_holds_what_a_dict_would(entries: list[tuple[int, int, bool]]) -> None:
    table, expected = DigestTable(Width.BYTE), dict[int, int]()
    for digest, number, is_change in entries:
        if is_change and digest in expected:
            table.put(digest, number)
            expected[digest] = number
        else:
            assert table.add(digest, number) == (digest not in expected)
            expected.setdefault(digest, number)
        assert table.get(digest) == expected[digest]
    assert {digest: table.get(digest) for digest in expected} == expected


@pytest.mark.parametrize(("width", "largest"), [(Width.BYTE, 2**8 - 1), (Width.INT, 2**32 - 1)])
def test_a_number_beyond_the_width_is_refused(width: Width, largest: int) -> None:
    table = DigestTable(width)
    assert table.add(1, largest)
    assert table.get(1) == largest
    with pytest.raises(OverflowError):
        table.put(1, largest + 1)


def test_a_digest_that_is_not_in_the_table_has_no_number_to_change() -> None:
    table = DigestTable(Width.INT)
    assert table.get(5) is None
    with pytest.raises(KeyError):
        table.put(5, 1)


@pytest.mark.parametrize("text", ["", "shot-001/image", "镜头", "\udcff"])
def test_a_digest_has_64_bits(text: str) -> None:
    assert 0 <= digest_of(text) < 2**64
    assert digest_of(text) != digest_of(f"{text}2")


@pytest.mark.parametrize(("width", "most"), [(Width.BYTE, 13), (Width.INT, 17)])
def test_an_entry_takes_a_few_bytes(width: Width, most: int) -> None:
    number = 20_000
    tracemalloc.start()
    try:
        table = DigestTable(width)
        for one in range(number):
            table.add(one * 0x9E3779B97F4A7C15 % 2**64, 0)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / number < most + SHELVES * 300 / number  # a shelf's own objects take less than 300 bytes
