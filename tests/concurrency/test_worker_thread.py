"""A thread that does one piece of work after another."""

import threading

import pytest

from mps_aigc_async.concurrency.worker_thread import WorkerThread


def test_work_is_done_in_its_order_by_one_thread() -> None:
    worker = WorkerThread("worker of the test")
    order: list[int] = []
    futures = [worker.submit(order.append, number) for number in range(10)]
    threads = {worker.submit(threading.get_ident).result(10) for _ in range(3)}
    assert order == list(range(10))
    assert all(future.done() for future in futures)
    assert len(threads) == 1
    worker.end()


def test_an_error_is_raised_where_the_result_is_taken_and_the_thread_goes_on() -> None:
    worker = WorkerThread("worker of the test")
    failing = worker.submit(int, "no number")
    with pytest.raises(ValueError, match="no number"):
        failing.result(10)
    assert worker.submit(int, "1").result(10) == 1
    worker.end()


def test_cancelled_work_is_not_done_and_the_end_comes_after_the_work_that_waits() -> None:
    worker, goes_on = WorkerThread("worker of the test"), threading.Event()
    done: list[int] = []
    blocking = worker.submit(goes_on.wait, 30)
    assert worker.submit(done.append, 1).cancel()
    last = worker.submit(done.append, 2)
    worker.end()
    with pytest.raises(RuntimeError, match="has ended"):
        worker.submit(done.append, 3)
    goes_on.set()
    last.result(10)
    assert blocking.result(10)
    assert done == [2]
