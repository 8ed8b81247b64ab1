"""Names that no source lists: told with the close one, and never refused."""

import pytest

from mps_aigc_async.catalog import findings

from .requests import AudioRequest, image, video


@pytest.mark.parametrize(
    ("backend", "request_misspelt", "text"),
    [
        ("mps", video("Klign", "3.0"), "model_name: Klign is not listed for videos by mps: is Kling meant?"),
        ("mps", image("hunyuann"), "model_name: hunyuann is not listed for images by mps: is Hunyuan meant?"),
        ("vod", image("Hunyaun"), "model_name: Hunyaun is not listed for images by vod: is Hunyuan meant?"),
        (
            "mps",
            AudioRequest("MinimaxMusik"),
            "model_name: MinimaxMusik is not listed for audio by mps: is MiniMaxMusic meant?",
        ),
        ("mps", video("Qwen"), "model_name: Qwen is listed for images by mps, not for videos"),
        ("mps", AudioRequest("Vidu"), "model_name: Vidu is listed for images and videos by mps, not for audio"),
        (
            "mps",
            image("wand-vega-video"),
            "model_name: wand-vega-video is listed for videos by mps, not for images: is wand-vega-image meant?",
        ),
        ("mps", video("Kling", "3.O"), "model_version: 3.O is not a listed version of Kling: is 3.0 meant?"),
        (
            "mps",
            video("Kling", "3.0_omni"),
            "model_version: 3.0_omni is not a listed version of Kling: is 3.0-Omni meant?",
        ),
        ("mps", video("PixVerse", "5.6"), "model_version: 5.6 is not a listed version of PixVerse: is v5.6 meant?"),
        (
            "vod",
            video("Vidu", "q3-drma"),
            "model_version: q3-drma is not a listed version of Vidu: is q3-drama meant?",
        ),
    ],
    ids=lambda value: getattr(value, "model_name", None),
)
def test_a_close_name_is_told(backend: str, request_misspelt: object, text: str) -> None:
    (finding,) = findings(request_misspelt, backend)
    assert str(finding) == f"{text} (sent all the same: the lists drift)"
    assert not finding.refuses


@pytest.mark.parametrize(
    ("backend", "request_of_a_new_model"),
    [
        ("mps", video("Kling", "3.1")),  # another number is another version
        ("mps", video("Kling", "3.0-turbo")),
        ("mps", video("Sora", "2")),
        ("mps", image("SI", "4.0")),
        ("relay", video("Klign")),  # the relay's page lists no videos
        ("another", video("Klign")),
        ("mps", video("", "3.O")),
    ],
)
def test_a_name_without_a_close_one_is_not_judged(backend: str, request_of_a_new_model: object) -> None:
    assert findings(request_of_a_new_model, backend) == ()


def test_a_long_or_odd_name_is_told_short_and_on_one_line() -> None:
    for name in ("Kling\n\x1b[31m", "Kling" + "g" * 2):
        (finding,) = findings(video(name))
        assert str(finding).isprintable()
    assert findings(video("Kling" * 5000)) == ()
