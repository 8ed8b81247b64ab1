"""Records of benchmarks, `measured/NAME.json`: the source of the plots and of README's figures."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

MEASURED: Final = Path(__file__).parent / "measured"


def keep(name: str, figures: Mapping[str, Any]) -> None:
    """Write the figures of a run of the benchmark `name`, with the day and the machine."""
    MEASURED.mkdir(exist_ok=True)
    text = json.dumps({"measured": _today(), "machine": _machine(), **figures}, indent=1, ensure_ascii=False)
    (MEASURED / f"{name}.json").write_text(f"{text}\n")


def kept(name: str) -> dict[str, Any]:
    """Read the last run's record."""
    figures: dict[str, Any] = json.loads((MEASURED / f"{name}.json").read_text())
    return figures


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _machine() -> str:
    return f"{os.cpu_count()} virtual cores, Python {platform.python_version()}, {platform.system()}"
