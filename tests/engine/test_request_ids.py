"""A request's name depends on its content and on how many of the same came before, and on nothing else."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async import ImageRequest, VideoRequest
from mps_aigc_async.engine.request_ids import SHELVES, Occurrences, RequestIds
from mps_aigc_async.model.contents import digest

# Few, so that they come again; some on one shelf, and the ends of what a digest can be.
NUMBERS = st.sampled_from([0, 1, SHELVES - 1, SHELVES, 2 * SHELVES, 7 * SHELVES, 2**48 - SHELVES, 2**48 - 1])


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=30), st.integers(0, 29))
def test_an_inserted_line_changes_no_other_name(prompts: list[str], position: int) -> None:
    def named(lines: list[str]) -> list[str]:
        ids = RequestIds()
        return [ids.id_for(ImageRequest(prompt=line)) for line in lines]

    with_new = [*prompts[:position], "new", *prompts[position:]]
    assert [name for name, line in zip(named(with_new), with_new, strict=True) if line != "new"] == named(prompts)
    assert len(set(named(with_new))) == len(with_new)


@given(st.lists(NUMBERS | st.integers(0, 2**48 - 1)))
def test_occurrences_are_counted_as_by_a_counter(numbers: list[int]) -> None:
    seen, expected = Occurrences(), Counter[int]()
    for number in numbers:
        expected[number] += 1
        assert seen.add(number) == expected[number]


def test_an_image_and_a_video_of_one_prompt_are_two_contents() -> None:
    ids = RequestIds()
    asked = [kind(prompt="a cat") for kind in (ImageRequest, VideoRequest) for _ in range(2)]
    image, video = digest(asked[0]), digest(asked[2])
    assert [ids.id_for(request) for request in asked] == [image, f"{image}-2", video, f"{video}-2"]
