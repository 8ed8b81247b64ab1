"""`python -m benchmarks NAME [NAME …]`: run benchmarks and print their tables."""

import argparse
import asyncio
from collections.abc import Callable, Coroutine

from . import batch, compare, crashes, durability, pacing, soak

BENCHMARKS: dict[str, Callable[[], Coroutine[None, None, None]]] = {
    "batch": batch.main,
    "compare": compare.main,
    "crashes": crashes.main,
    "durability": durability.main,
    "pacing": pacing.main,
    "soak": soak.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="+", choices=sorted(BENCHMARKS), metavar="NAME", help=", ".join(BENCHMARKS))
    for name in parser.parse_args().names:
        asyncio.run(BENCHMARKS[name]())


if __name__ == "__main__":
    main()
