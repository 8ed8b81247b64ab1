"""What a benchmark measured, kept as `measured/NAME.json`: the plots come from there, and README's figures of these."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

MEASURED: Final = Path(__file__).parent / "measured"


def keep(name: str, figures: Mapping[str, Any]) -> None:
    """Write what a run of the benchmark `name` measured, with the day and the machine."""
    MEASURED.mkdir(exist_ok=True)
    text = json.dumps({"measured": _today(), "machine": _machine(), **figures}, indent=1, ensure_ascii=False)
    (MEASURED / f"{name}.json").write_text(f"{text}\n")


def kept(name: str) -> dict[str, Any]:
    """What the last run kept."""
    figures: dict[str, Any] = json.loads((MEASURED / f"{name}.json").read_text())
    return figures


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _machine() -> str:
    return f"{os.cpu_count()} virtual cores, Python {platform.python_version()}, {platform.system()}"
