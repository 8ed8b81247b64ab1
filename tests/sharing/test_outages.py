"""The log's lines about a database that is lost, comes back, or comes and goes."""

import asyncio
import logging

import pytest

from mps_aigc_async.ledger.postgres.patience import PatientConnection
from mps_aigc_async.limits.shared.availability import Availability
from mps_aigc_async.limits.shared.store import LimitsLost
from mps_aigc_async.sharing.connection import Connection, Lost, Row, Step
from mps_aigc_async.sharing.database_url import database_url
from mps_aigc_async.sharing.outages import QUIET_S, Outages
from mps_aigc_async.testing import run as in_virtual_time


def test_a_loss_is_told_once_and_its_end_once() -> None:
    outages = Outages()
    assert [outages.is_news(float(second)) for second in range(100)] == [True] + 99 * [False]
    assert [outages.ends_told(), outages.ends_told()] == [True, False]


def test_a_loss_that_lasts_is_told_again() -> None:
    outages = Outages(again_s=60.0)
    assert [second for second in range(150) if outages.is_news(float(second))] == [0, 60, 120]


def test_a_loss_that_was_not_told_at_once_is_told_if_it_lasts() -> None:
    outages = Outages()
    assert outages.is_news(0.0)
    assert outages.ends_told()
    assert [second for second in range(1, 20) if outages.is_news(float(second))] == [QUIET_S]


class Flapping(Connection):
    """A connection that breaks at every second transaction."""

    def __init__(self) -> None:
        super().__init__(database_url("postgresql://nowhere/media"))
        self._is_there = True

    async def run(self, *steps: Step) -> list[list[Row]]:
        self._is_there = not self._is_there
        if not self._is_there:
            raise Lost("the database cannot be reached")
        return [[] for _ in steps]


def test_a_ledger_tells_of_a_flapping_database_every_10_s(caplog: pytest.LogCaptureFixture) -> None:
    async def flap() -> None:
        connection = PatientConnection(Flapping())
        for _ in range(250):
            await connection.run(("SELECT 1", {}))
            await asyncio.sleep(0.1)

    in_virtual_time(flap())
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert ["again" in line for line in told] == 5 * [False, True]  # in 50 s


def test_a_limit_store_tells_of_a_flapping_database_every_10_s(caplog: pytest.LogCaptureFixture) -> None:
    async def flap() -> None:
        availability = Availability()
        for _ in range(25):
            availability.note_lost(LimitsLost("the database cannot be reached"))
            assert availability.is_lost
            await asyncio.sleep(1.0)
            availability.note_back()
            assert not availability.is_lost
            await asyncio.sleep(1.0)
        assert availability.losses == 25

    in_virtual_time(flap())
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert ["back: creates go on" in line for line in told] == 5 * [False, True]
