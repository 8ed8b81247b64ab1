"""The scene that an audio is sent with, and the models that take lyrics: as data, with the source of each row.

Sources: CreateAigcAudioTask of MPS and of VOD, official SDK 3.1.194 (2026-10), and facts reported as tested on MPS in
2026-08. MPS refuses an audio without a scene, though its documents mark none as required. VOD's page marks the scene
as optional.
"""

from typing import Final, NamedTuple

from .errors import FieldFault, InvalidRequest
from .requests import AudioRequest, Step

MUSIC: Final = "music"
SOUND: Final = "sfx"

LYRICS: Final = "lyrics"
"""The key of lyrics in AdditionalParameters (MPS, SDK 3.1.194: MiniMaxMusic and Mureka)."""
LYRIC: Final = "lyric"
"""GL's key on MPS: no document has one, and a client that tested GL 3.0-pro with and without names this (2026-08)."""


class _Scenes(NamedTuple):
    """The only scene of a model with and without a video as its input; None where more than one fits."""

    with_video: str | None
    without_video: str | None


_NO_MODEL: Final = ""
_SCENES: Final[dict[tuple[str, str], _Scenes]] = {
    # (model, version), an empty version for all others. The service chooses the model of a request without one: there
    # the request itself decides, and a request with a video asks for the video's sound.
    (_NO_MODEL, ""): _Scenes(SOUND, None),
    ("kling", ""): _Scenes(SOUND, SOUND),  # "Kling takes sfx only" (reported, 2026-08); sound of a video (SDK)
    ("gl", ""): _Scenes(MUSIC, MUSIC),  # a music model (SDK); "music models take music only" (reported, 2026-08)
    ("minimaxmusic", ""): _Scenes(MUSIC, MUSIC),  # as GL
    ("mureka", ""): _Scenes(MUSIC, MUSIC),  # as GL
    ("tme", ""): _Scenes(MUSIC, MUSIC),  # song covers (reported, 2026-08)
    # EL is in the list of music models and makes a video's background music (SDK); its other version makes sounds from
    # text. No document says which version is the default, nor whether the version for sounds takes a video.
    ("el", ""): _Scenes(MUSIC, None),
    ("el", "compose_v2"): _Scenes(MUSIC, MUSIC),
    ("el", "sound_t2s_v2"): _Scenes(None, SOUND),
}

_NO_LYRICS: Final = ("kling", "el")
"""Models whose documented parameters (SDK 3.1.194) have no lyrics."""
_INSTRUMENTAL: Final = ("mureka", "instrumental")
"""The model and the prefix of its versions that take no lyrics: "the versions other than instrumental support lyrics"
(SDK 3.1.194)."""


def with_scene(step: Step, *, has_video: bool) -> Step:
    """Fill in the scene of an audio that leaves it open, if only one fits. A chain's audio has the chain's video.

    >>> with_scene(AudioRequest(prompt="rain", model_name="Kling"), has_video=True).scene_type
    'sfx'
    """
    if not isinstance(step, AudioRequest) or step.scene_type:
        return step
    scene = _only_scene(step, has_video=has_video)
    return step if scene is None else step.model_copy(update={"scene_type": scene})


def _only_scene(audio: AudioRequest, *, has_video: bool) -> str | None:
    model, version = _names(audio)
    scenes = _SCENES.get((model, version)) or _SCENES.get((model, ""))
    if scenes is None:
        return None
    return scenes.with_video if has_video else scenes.without_video


def require_scene(audio: AudioRequest) -> None:
    """Raise InvalidRequest for an audio without a scene."""
    if not audio.scene_type:
        why = (
            "is missing, and more than one fits the request: write `sfx` for a sound or a video's sound (Kling), "
            "`music` for music (GL, MiniMaxMusic, Mureka, Tme, EL) or `tts` for speech"
        )
        raise InvalidRequest.of_fields("AudioRequest", [FieldFault("scene_type", why)])


def require_lyrics_taken(audio: AudioRequest) -> None:
    """Raise InvalidRequest for lyrics that the documents of the request's model do not have."""
    if audio.lyrics is None:
        return
    model, version = _names(audio)
    if model in _NO_LYRICS or (model == _INSTRUMENTAL[0] and version.startswith(_INSTRUMENTAL[1])):
        label = f"{audio.model_name} {audio.model_version or ''}".rstrip()
        why = f"{label} takes none by its documents: leave them out, or choose GL, MiniMaxMusic or a Mureka song"
        raise InvalidRequest.of_fields("AudioRequest", [FieldFault("lyrics", why)])


def with_lyrics_of_gl(audio: AudioRequest, backend: str) -> AudioRequest:
    """Move GL's lyrics to the place where GL takes them: a key of its own on MPS, the prompt's end on VOD (as other
    clients quote VOD's access guide).

    >>> audio = AudioRequest(prompt="a waltz", model_name="GL", lyrics="la la")
    >>> with_lyrics_of_gl(audio, "mps").additional_parameters, with_lyrics_of_gl(audio, "vod").prompt
    ({'lyric': 'la la'}, 'a waltz\\n\\nLyrics:\\nla la')
    """
    if audio.lyrics is None or _names(audio)[0] != "gl":
        return audio
    if backend == "vod":
        return audio.model_copy(
            update={"lyrics": None, "prompt": f"{audio.prompt}\n\nLyrics:\n{audio.lyrics}".lstrip()}
        )
    parameters = {**(audio.additional_parameters or {}), LYRIC: audio.lyrics}
    return audio.model_copy(update={"lyrics": None, "additional_parameters": parameters})


def _names(audio: AudioRequest) -> tuple[str, str]:
    """The names of model and version for comparison: no document says whether the service minds letter case."""
    return (audio.model_name or _NO_MODEL).casefold(), (audio.model_version or "").casefold()
