"""`python -m benchmarks NAME [NAME …]`: run benchmarks and print their tables."""

import argparse
import asyncio
from importlib import import_module
from typing import Final

BENCHMARKS: Final = (
    "batch",
    "compare",
    "crashes",
    "detection",
    "durability",
    "makespan",
    "overhead",
    "pacing",
    "plots",
    "scale",
    "soak",
)
"""Modules with a coroutine `main`, imported when asked for: the peers of one need not be there for the others."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="+", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS))
    for name in parser.parse_args().names:
        asyncio.run(import_module(f"{__package__}.{name}").main())


if __name__ == "__main__":
    main()
