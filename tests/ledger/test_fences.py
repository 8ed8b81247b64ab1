"""The table of fences: its text, its states against MOVES, and who may move a job out of which state."""

import re
from collections.abc import Iterator

from mps_aigc_async.ledger import fences
from mps_aigc_async.ledger.fences import FENCES, HELD, Writer
from mps_aigc_async.model.states import MOVES, JobState


def rows() -> Iterator[tuple[str, str, str, str, str, str]]:
    """The rows of the table in the module's text: writer, to, from, driver before, driver after, token."""
    for line in re.findall(r"^\| (.*) \|$", fences.__doc__ or "", flags=re.MULTILINE)[1:]:
        writer, to, origins, before, after, token = line.split(" | ")
        yield writer, to, origins, before, after, token


def test_the_text_has_the_writers_and_states_of_the_code() -> None:
    written = {(writer, to): re.split(r"[,:]", origins) for writer, to, origins, *_ in rows()}
    assert set(written) == {(writer, to) for writer, origins in FENCES.items() for to in origins}
    for (writer, to), words in written.items():
        states = {word.strip().removesuffix(" if dropped") for word in words} & set(JobState)
        origins = {str(state) for state in FENCES[Writer(writer)][JobState(to)]}
        if "failed if dropped" in ",".join(words):  # the statement looks at the error as well
            origins |= {"failed"}
        assert states == origins, (writer, to)


def test_the_text_says_who_drives_the_job_afterwards() -> None:
    for writer, to, _, _, after, token in rows():
        assert after == ("the writer" if JobState(to) in HELD else "nobody"), (writer, to)
        assert token == ("new" if writer in ("claim", "replace") else "the same")


def test_no_writer_makes_a_move_that_the_states_lack() -> None:
    for writer, moves in FENCES.items():
        for to, origins in moves.items():
            beyond = {state for state in origins - {to} if to not in MOVES[state]}
            assert not beyond, (writer, to)


def test_the_driver_may_make_every_move_of_the_states() -> None:
    for state, following in MOVES.items():
        for to in following:
            assert state in FENCES[Writer.DRIVER][to]


def test_a_late_answer_creates_nothing_that_the_user_has_decided_about() -> None:
    """A dropped job is *failed*: only a TaskId moves it; "never went out" does not plan it again."""
    for to in (JobState.PLANNED, JobState.UNKNOWN):
        assert JobState.FAILED not in FENCES[Writer.ANSWER][to]
    assert JobState.PLANNED not in FENCES[Writer.ANSWER][JobState.SUBMITTED]
