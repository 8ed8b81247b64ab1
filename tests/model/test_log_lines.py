"""The log's records: one line each, steering no terminal."""

import logging

import pytest

from mps_aigc_async import TransportError
from mps_aigc_async.model.log_lines import LOGGER, Lines
from mps_aigc_async.model.states import Ending
from mps_aigc_async.model.unexpected import report

from ..hostile import ATTACK, STEERS

log = logging.getLogger(LOGGER)


@pytest.mark.parametrize(
    "arg", [ATTACK, f"{ATTACK}\nerror: pay again", TransportError(f"{ATTACK}\nb", ending=Ending.UNKNOWN)]
)
def test_what_comes_from_outside_is_on_one_line(arg: object, caplog: pytest.LogCaptureFixture) -> None:
    log.warning("%s at %d and %.1f of %r", arg, 3, 0.5, "a'b")
    (message,) = caplog.messages
    assert "[31mA" in message
    assert " at 3 and 0.5 of " in message
    assert not STEERS.search(message)
    assert "\n" not in message


def test_a_traceback_keeps_its_lines(caplog: pytest.LogCaptureFixture) -> None:
    try:
        int(ATTACK)
    except ValueError as error:
        report(error, f"reading {ATTACK}")
    (message,) = caplog.messages
    assert "    int(ATTACK)\n" in message
    assert not STEERS.search(message)


def test_lines_steer_nothing_either(caplog: pytest.LogCaptureFixture) -> None:
    log.error("%s", Lines(f"a\n{ATTACK}"))
    assert caplog.messages[0].startswith("a\n�[31mA")
    assert not STEERS.search(caplog.messages[0])


def test_a_record_without_arguments_passes(caplog: pytest.LogCaptureFixture) -> None:
    log.warning("100 % of it")
    assert caplog.messages == ["100 % of it"]
