"""`emulator`: the service on loopback, until Ctrl-C."""

import asyncio
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from ..model.errors import ConfigError
from .interrupts import Interrupted, Interrupts
from .screen import say

if TYPE_CHECKING:
    from ..emulator import Emulator

KEYS: Final = ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY")
PUBLISHED_KEYS: Final = ("AKIDEXAMPLE", "KEYEXAMPLE")
"""The emulator's default key pair. Documents may show it."""

_RENDERING: Final = ("PIL", "av", "noto_cjk_sans_otc")


def emulator(
    *, port: int, cos_port: int, speed: float, seed: int, image_tasks: int | None, video_tasks: int | None
) -> None:
    """Run the service on loopback, with real images, videos and sounds as results, until Ctrl-C."""
    require_rendering()
    secret_id, secret_key = _keys()
    from ..emulator import Emulator  # noqa: PLC0415 — aiohttp's server side, which no other command needs

    caps = {"image": image_tasks, "video": video_tasks}
    service = Emulator(
        port=port,
        cos_port=cos_port,
        speed=speed,
        seed=seed,
        max_running={kind: most for kind, most in caps.items() if most is not None},
        secret_id=secret_id,
        secret_key=secret_key,
    )
    try:
        asyncio.run(_serve(service, speed, shows_keys=(secret_id, secret_key) == PUBLISHED_KEYS))
    except Interrupted:
        say("the emulator has ended")
    except OSError as error:
        ports = " or ".join(str(number) for number in (port, cos_port) if number)
        raise ConfigError(
            f"cannot listen on port {ports}: {error.strerror}; choose another with --port or --cos-port"
        ) from error


def require_rendering() -> None:
    """Raise ConfigError if packages are missing that the rendering of results needs."""
    missing = [name for name in _RENDERING if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the emulator renders its results with packages that are missing ({', '.join(missing)}): "
            "pip install '.[emulator]' in a clone of mps-aigc-async"
        )


def _keys() -> tuple[str, str]:
    secret_id, secret_key = (os.environ.get(name, "") for name in KEYS)
    if bool(secret_id) != bool(secret_key):
        raise ConfigError(f"one of ${KEYS[0]} and ${KEYS[1]} is set without the other: set both, or neither")
    return (secret_id, secret_key) if secret_id else PUBLISHED_KEYS


async def _serve(service: "Emulator", speed: float, *, shows_keys: bool) -> None:
    with Interrupts() as interrupts:
        async with service:
            say(service.url)
            say(f"The emulator runs at speed {speed:g}, until Ctrl-C. To point a client at it:")
            say(f"  export MPS_AIGC_ENDPOINT={service.url}")
            if shows_keys:
                for name, value in zip(KEYS, PUBLISHED_KEYS, strict=True):
                    say(f"  export {name}={value}")
            else:
                say("  (it accepts the keys in your environment)")
            say(f"The buckets of COS are private, at {service.cos_url} (in the config, the `endpoint` of `cosOutput`)")
            say(f"The relay is at {service.url}/tencent-vod/v1/, with the key {service.service.settings.relay_key}")
            await interrupts.stoppable(asyncio.Event().wait())
