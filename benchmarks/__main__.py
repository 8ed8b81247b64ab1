"""`python -m benchmarks NAME [NAME …]`: run benchmarks and print their tables; `plots` draws their records."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final

BENCHMARKS: Final[Mapping[str, str]] = {
    "accounts": "a batch in two accounts, beside one, and with one of them refused in the middle",
    "batch": "100 images over HTTP, beside two computed makespans",
    "chaos": "kills, stops, clock steps, lost ledgers, spoilt answers, all at once: what was lost, or made twice?",
    "compare": "the same and 30 chains, beside what a user would write without this package",
    "crashes": "50 chains with 12% lost creates and 12 kills at each service: what was lost, or made twice?",
    "database_cost": "a request at a worker: transactions, rows, log, bytes and CPU of PostgreSQL; how fast `prune` is",
    "detection": "how long after a task's end its result is there, by fixed and adaptive polls",
    "durability": "what the ledger in a file costs",
    "first_create": "how long after `run` begins the first create leaves, whatever the caps",
    "makespan": "300 chains, beside a bound that no schedule can beat",
    "overhead": "the CPU of one create, beside bare aiohttp and the official SDK",
    "pacing": "how much of the documented rates is used and refused, beside other limiters",
    "plots": "draw benchmarks/measured/*.svg from the figures that were kept",
    "queueing": "a million requests queued for workers: how many a second, and in how much memory",
    "scale": "memory and CPU by the length of a batch, the tasks in flight and the jobs in a ledger",
    "shared": "one account in four processes, on the host's limit store and in PostgreSQL, beside other limiters",
    "shared_crashes": "three processes on a ledger in PostgreSQL, killed 200 times: what was lost, or made twice?",
    "soak": "20,000 chains with 2% faults of every sort",
    "startup": "how long an import takes, and `mps-aigc --help`",
    "worker_crashes": "three workers of a queue, killed 200 times: what was lost, or made twice?",
    "worker_trials": "300 chains on four workers, two of them killed: what was lost, how much of the rate was used?",
    "worker_trouble": "the same, with a database restarted, a worker cut off, and one that stands still",
}
"""Modules with a coroutine `main`, imported when asked for: the peers of one need not be there for the others."""

BACKENDS: Final = ("mps", "vod", "relay-trusted", "relay-ignoring")
OPTIONS: Final[Mapping[str, Sequence[str]]] = {
    "chaos": ("seed", "minutes"),
    "crashes": ("backend", "seed", "kills"),
    "shared_crashes": ("seed", "kills"),
    "worker_crashes": ("seed", "kills"),
    "worker_trials": ("seed", "trials"),
}
"""The options that a benchmark takes."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join(f"{name:14}{what}" for name, what in BENCHMARKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="+", choices=BENCHMARKS, metavar="NAME")
    parser.add_argument("--seed", type=int, help="of chaos and all crashes: whose plan to follow")
    parser.add_argument("--minutes", type=float, help="of chaos: how long it takes, but for the last batch's end")
    parser.add_argument("--backend", choices=BACKENDS, help="of crashes: the service; else each in turn")
    parser.add_argument("--kills", type=int, help="of all crashes: how many, of as many batches as they take")
    parser.add_argument("--trials", type=int, help="of worker_trials: how many")
    options = vars(parser.parse_args())
    for name in options.pop("names"):
        try:
            benchmark = import_module(f"{__package__}.{name}")
        except ModuleNotFoundError as missing:
            parser.exit(1, f"{missing}: `make bench` installs what {name} needs\n")
        values = {option: options[option] for option in OPTIONS.get(name, ()) if options[option] is not None}
        asyncio.run(benchmark.main(**values))


if __name__ == "__main__":
    main()
