"""The scene and the lyrics of an audio: filled in where one scene fits, else asked for by name."""

import json
from typing import Any

import pytest

from mps_aigc_async import AudioRequest, ImageRequest, ImageToVideo, InvalidRequest, VideoRequest, VideoToAudio
from mps_aigc_async.model.audio_models import require_lyrics_taken, require_scene, with_scene
from mps_aigc_async.model.contents import beyond, content, digest
from mps_aigc_async.model.defaults import AudioDefaults, Defaults
from mps_aigc_async.model.requests import steps_of

FILM = "https://a/film.mp4"
DEFAULTS = Defaults()


def audio(model: str = "", *, film: bool = False, **fields: Any) -> AudioRequest:  # noqa: ANN401 — any field
    name, _, version = model.partition(" ")
    names = {"model_name": name or None, "model_version": version or None}
    return AudioRequest(prompt="rain", videos=(FILM,) if film else (), **names, **fields)


ONLY: list[tuple[str, str | None, str | None]] = [
    # model, the scene with a video, the scene without one
    ("", "sfx", None),
    ("Kling", "sfx", "sfx"),
    ("kling 3.0", "sfx", "sfx"),
    ("GL 3.0-pro", "music", "music"),
    ("MiniMaxMusic", "music", "music"),
    ("minimaxmusic 3.0", "music", "music"),
    ("Mureka song_9", "music", "music"),
    ("Mureka instrumental_9", "music", "music"),
    ("Tme", "music", "music"),
    ("EL", "music", None),
    ("EL compose_v2", "music", "music"),
    ("EL sound_t2s_v2", None, "sfx"),
    ("EL of-tomorrow", "music", None),
    ("Tomorrow", None, None),
]


@pytest.mark.parametrize(("model", "with_video", "without_video"), ONLY)
def test_the_scene_is_filled_in_where_one_fits(model: str, with_video: str | None, without_video: str | None) -> None:
    assert getattr(DEFAULTS.apply(audio(model, film=True)), "scene_type", "") == with_video
    assert getattr(DEFAULTS.apply(audio(model)), "scene_type", "") == without_video


@pytest.mark.parametrize(("model", "with_video", "without_video"), ONLY)
def test_a_chains_audio_has_the_chains_video_before_there_is_one(
    model: str, with_video: str | None, without_video: str | None
) -> None:
    del without_video
    video = VideoRequest(prompt="a parade")
    chains = (
        VideoToAudio(video=video, audio=audio(model)),
        ImageToVideo(image=ImageRequest(prompt="x"), video=video, audio=audio(model)),
    )
    for chain in chains:
        step = steps_of(DEFAULTS.complete(chain))[-1]
        assert step.scene_type == with_video
        linked = step.model_copy(update={"videos": (FILM,), "scene_type": None})
        assert DEFAULTS.apply(linked).scene_type == with_video, "as it is sent, once the video is there"


@pytest.mark.parametrize("scene", ["tts", "music", "sfx", "of-tomorrow"])
def test_the_users_own_scene_wins(scene: str) -> None:
    own = audio("Kling", film=True, scene_type=scene)
    assert DEFAULTS.apply(own) is own
    chain = VideoToAudio(video=VideoRequest(prompt="x"), audio=audio("Kling", scene_type=scene))
    assert steps_of(DEFAULTS.complete(chain))[-1].scene_type == scene


def test_the_configs_model_decides_too() -> None:
    defaults = Defaults(audio=AudioDefaults(model_name="GL", model_version="3.0-clip"))
    assert defaults.apply(audio()).scene_type == "music"


def test_a_scene_that_is_filled_in_is_no_content_and_is_in_the_row() -> None:
    """Otherwise an upgrade would give an old request another id, and make it a second time."""
    own = audio("Kling", film=True)
    sent = DEFAULTS.apply(own)
    assert beyond(sent, content(own)) == {"scene_type": "sfx"}
    assert "scene_type" not in json.loads(content(own))
    assert digest(AudioRequest(prompt="a cat")) == "audio-ff620f84a724"


def test_other_steps_have_no_scene_filled_in() -> None:
    for step in (ImageRequest(prompt="x"), VideoRequest(prompt="x", model_name="Kling")):
        assert with_scene(step, has_video=True) is step


def test_a_scene_that_is_missing_is_asked_for_with_its_values() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        require_scene(audio("EL"))
    assert refusal.value.where == "scene_type"
    for word in ("AudioRequest", "`sfx`", "`music`", "`tts`", "speech"):
        assert word in str(refusal.value)
    require_scene(audio("EL", scene_type="music"))


@pytest.mark.parametrize("model", ["Kling", "EL", "EL compose_v2", "Mureka instrumental_8", "mureka Instrumental_9.5"])
def test_lyrics_are_refused_by_name_for_a_model_without_them(model: str) -> None:
    with pytest.raises(InvalidRequest, match=f"lyrics: {model} takes none by its documents"):
        require_lyrics_taken(audio(model, lyrics="la"))
    require_lyrics_taken(audio(model))


@pytest.mark.parametrize("model", ["", "GL 3.0-pro", "MiniMaxMusic 3.0", "Mureka", "Mureka song_9", "Tme", "Tomorrow"])
def test_lyrics_pass_for_every_other_model(model: str) -> None:
    require_lyrics_taken(audio(model, lyrics="la"))


def test_lyrics_are_written_once() -> None:
    with pytest.raises(InvalidRequest, match="lyrics: are in `additional_parameters` too"):
        AudioRequest(prompt="x", lyrics="la", additional_parameters={"lyrics": "lo"})
    both = AudioRequest(prompt="x", lyrics="la", additional_parameters={"is_instrumental": False})
    assert both.lyrics == "la"


@pytest.mark.parametrize("seconds", [-1, 61, 2.5, True])
def test_a_length_is_within_the_documented_bounds(seconds: object) -> None:
    with pytest.raises(InvalidRequest, match="duration"):
        AudioRequest(prompt="x", duration=seconds)
