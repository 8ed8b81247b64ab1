"""The time until a new interpreter has the package, and until the command line has answered `--help`.

The yardsticks are an empty interpreter, the two great dependencies alone, and typer alone.
"""

import compileall
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Final

import mps_aigc_async

from .record import keep
from .table import show

RUNS: Final = 15

_NOTHING: Final = "nothing"
_COMMAND: Final = "import sys; from mps_aigc_async.__main__ import main; sys.argv = {}; main()"
_CODES: Final = {
    _NOTHING: "pass",
    "import aiohttp, pydantic": "import aiohttp, pydantic",
    "from mps_aigc_async import AigcClient": "from mps_aigc_async import AigcClient",
    "import typer": "import typer",
} | {
    " ".join(words): _COMMAND.format(words)
    for words in (["mps-aigc", "--version"], ["mps-aigc", "--help"], ["mps-aigc", "run", "--help"])
}


async def main() -> None:
    # As an installer leaves it. Where nobody writes bytecode, a checkout would be compiled anew by each of the runs.
    compileall.compile_dir(Path(mps_aigc_async.__file__).parent, quiet=1)
    costs: dict[str, list[float]] = {name: [] for name in _CODES}
    for _ in range(RUNS):
        for name, code in _CODES.items():
            costs[name].append(_milliseconds(code))
    _show(costs)
    keep("startup", {"ms": costs})


def _milliseconds(code: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 — our own code
    return 1000 * (time.monotonic() - began)


def _show(costs: dict[str, list[float]]) -> None:
    empty = median(costs[_NOTHING])
    rows = [
        (name, f"{median(figures):.0f}", f"{min(figures):.0f}", f"{median(figures) - empty:.0f}")
        for name, figures in costs.items()
    ]
    show(f"From the start of an interpreter, ms: {RUNS} runs", ("", "median", "least", "beyond nothing"), rows)
