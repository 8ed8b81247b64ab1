"""A request's name depends on its content and on how many of the same came before, and on nothing else."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async import ImageRequest, VideoRequest
from mps_aigc_async.engine.request_ids import RequestIds
from mps_aigc_async.model.contents import digest


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=30), st.integers(0, 29))
def test_an_inserted_line_changes_no_other_name(prompts: list[str], position: int) -> None:
    def named(lines: list[str]) -> list[str]:
        ids = RequestIds()
        return [ids.id_for(ImageRequest(prompt=line)) for line in lines]

    with_new = [*prompts[:position], "new", *prompts[position:]]
    assert [name for name, line in zip(named(with_new), with_new, strict=True) if line != "new"] == named(prompts)
    assert len(set(named(with_new))) == len(with_new)


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=60))
def test_occurrences_are_counted_as_by_a_counter(prompts: list[str]) -> None:
    ids, expected = RequestIds(), Counter[str]()
    for prompt in prompts:
        expected[prompt] += 1
        request = ImageRequest(prompt=prompt)
        suffix = "" if expected[prompt] == 1 else f"-{expected[prompt]}"
        assert ids.id_for(request) == f"{digest(request)}{suffix}"


def test_an_image_and_a_video_of_one_prompt_are_two_contents() -> None:
    ids = RequestIds()
    asked = [kind(prompt="a cat") for kind in (ImageRequest, VideoRequest) for _ in range(2)]
    image, video = digest(asked[0]), digest(asked[2])
    assert [ids.id_for(request) for request in asked] == [image, f"{image}-2", video, f"{video}-2"]
