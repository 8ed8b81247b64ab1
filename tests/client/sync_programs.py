"""Programs of `test_sync_base`: NAME CONFIG LEDGER. Each prints a line for each finding."""

import json
import multiprocessing
import os
import sys
import threading
from pathlib import Path
from typing import Final

from mps_aigc_async import ClientClosed, ClientError, Config, ImageRequest, SyncClient, SyncTask
from mps_aigc_async.model.results import ImageResult


def say(text: object) -> None:
    print(text, flush=True)  # noqa: T201 — what the test reads


def lake(number: int) -> ImageRequest:
    return ImageRequest(id=f"lake-{number}", prompt="a lake")


def ends(config: Config, ledger: Path) -> None:
    """End while a create is in flight, without closing."""
    client = SyncClient(config, ledger=ledger)
    client.submit(lake(1))
    threading.Thread(target=generate, args=(client,), daemon=True).start()
    sys.stdin.readline()
    say("the program ends")


def generate(client: SyncClient) -> None:
    try:
        client.generate(lake(2))
    except ClientClosed as error:
        say(error)


def ends_twice(config: Config, ledger: Path) -> None:
    """End by an exception, with a client in use by a thread that Python waits for."""
    client = SyncClient(config, ledger=ledger)
    client.counts()
    thread = threading.Thread(target=goes_on, args=(client, config, threading.main_thread()))
    thread.start()
    raise SystemExit(5)


def goes_on(client: SyncClient, config: Config, main_thread: threading.Thread) -> None:
    main_thread.join()
    for late in (client, SyncClient(config)):
        try:
            say(late.counts())
        except ClientError as error:
            say(error)


def forks(config: Config, _: Path) -> None:
    """Use a client in a child, while the parent's goes on."""
    with SyncClient(config) as client:
        task = client.submit(lake(1))
        waiting = threading.Thread(target=task.wait)
        waiting.start()
        with client._guard:  # as if another thread were opening or closing it
            child = os.fork()
        if child == 0:
            used_in_child(client, task)
            return
        status = os.waitpid(child, 0)[1]
        waiting.join()
        say(f"parent {status} {client.generate(lake(1)).task_id == task.task_id} {len(client.generate(lake(3)).urls)}")


def used_in_child(client: SyncClient, task: SyncTask[ImageResult]) -> None:
    try:
        task.status()
    except ClientClosed as error:
        say(error)
    say(f"child {len(client.generate(lake(2)).urls)} {sum(client.counts().values())}")
    client.close()


def forks_by_multiprocessing(config: Config, _: Path) -> None:
    """Leave the closing to the end, in the parent and in the children."""
    client = SyncClient(config)
    client.generate(lake(0))
    children = [FORKING.Process(target=draw, args=(client, number)) for number in (1, 2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0


def draw(client: SyncClient, number: int) -> None:
    say(client.submit(lake(number)).task_id)


FORKING: Final = multiprocessing.get_context("fork")
PROGRAMS: Final = {"ends": ends, "ends_twice": ends_twice, "forks": forks, "multiprocessing": forks_by_multiprocessing}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](Config.parse(json.loads(sys.argv[2])), Path(sys.argv[3]))
