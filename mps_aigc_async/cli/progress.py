"""A batch on the screen while it runs: bars on a terminal, lines everywhere else. Both are drawn from the tally.

Progress goes to stderr, and the lines of ended requests to stdout.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from ..engine.statistics import Statistics
from ..model.errors import BudgetReached
from ..model.plain_text import visible, visible_line
from ..model.results import AudioResult, StepResult, steps_made
from ..model.states import Word
from ..policy.advice import advice_for
from ..policy.retries import stops_a_batch
from .batch_jobs import Standing
from .screen import IN_JSON, complain, from_here, is_quiet, is_verbose, progress_console, say, say_json
from .summary import EARLIER
from .tally import WORDS, Counts, Tally
from .verdicts import AnyOutcome, standing_of_error

TICK_S: Final = 0.2
"""Seconds between two updates: often enough for an eye, seldom enough to cost nothing."""

SUMMARY_S: Final = 5.0
"""Seconds between two summary lines."""


_ENDINGS: Final[Mapping[Standing | None, str]] = {
    Standing.FAILED: "failed",
    Standing.REFUSED: "failed",
    Standing.UNKNOWN: "unknown",
    Standing.UNSAVED: "not saved",
    Standing.LATE: "not finished",
    None: "not finished",
}
"""The word for a request that did not succeed, by its job's standing."""


class Display(Protocol):
    """Shows a batch during a `with` block."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show_end(self, outcome: AnyOutcome) -> None:
        """Show that a request has ended, or a job of an earlier batch. The tally has counted it already."""
        ...

    def tick(self, statistics: Statistics) -> None:
        """Update the display. Called every TICK_S seconds in the loop, to which the client belongs."""
        ...

    def note(self, text: str) -> None:
        """Print a line for the user above the bars."""
        ...

    def restore(self) -> None:
        """Restore the terminal. Called where the `with` block does not end."""
        ...


def display_for(tally: Tally) -> Display:
    """Bars on a terminal, lines in a file or a pipe; with `-q` nothing but notes."""
    if IN_JSON.get():
        return JsonLines()
    if is_quiet():
        return Silence()
    screen = progress_console()
    if is_verbose():  # the lines of events would run through bars
        return Lines(tally)
    return Bars(tally, screen) if screen.is_terminal and not screen.is_dumb_terminal else Lines(tally)


class Bars(AbstractContextManager["Bars", None]):
    """A bar for each kind; below the bars the counts of saved and failed jobs, and the limits at work."""

    def __init__(self, tally: Tally, screen: Console) -> None:
        self._tally = tally
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            _Left(),
            console=screen,
            expand=True,
        )
        self._tasks = {kind: self._bars.add_task(f"{kind}s", total=total) for kind, total in tally.totals.items()}
        # Only `tick` refreshes the display, in the loop's thread.
        self._live = Live(self._picture(None), console=screen, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.update(self._picture(None))
        self._live.stop()

    def show_end(self, outcome: AnyOutcome) -> None:
        """Print a line for a paid result that is not saved, for its TaskId. The next tick shows all other ends."""
        if standing_of_error(outcome) is Standing.UNSAVED:
            self.note(line_for(outcome))

    def tick(self, statistics: Statistics) -> None:
        self._live.update(self._picture(statistics), refresh=True)

    def note(self, text: str) -> None:
        self._live.console.print(Text(visible(text)))

    def restore(self) -> None:
        self._live.stop()

    def _picture(self, statistics: Statistics | None) -> Group:
        for kind, task in self._tasks.items():
            self._bars.update(task, completed=self._tally.batch.with_result(kind))
        lines = [_in_words(self._tally.batch), *_earlier(self._tally)]
        if statistics is not None:
            lines.append(_limits(self._tally, statistics))
            if self._tally.trouble:
                lines.append(f"retrying: {visible_line(self._tally.trouble)}")
        return Group(self._bars, *(Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in lines))


class _Left(ProgressColumn):
    """The time left at the average speed of the batch. Tasks end in groups, which makes rich's own estimate wrong."""

    def render(self, task: Task) -> Text:
        if not task.completed or task.total is None:
            return Text("-:--:--", style="progress.remaining")
        seconds = (task.total - task.completed) * (task.elapsed or 0.0) / task.completed
        return Text(str(timedelta(seconds=round(seconds))), style="progress.remaining")


class Lines(AbstractContextManager["Lines", None]):
    """A line for each request that ends, and a summary line at most every few seconds."""

    def __init__(self, tally: Tally, clock: Callable[[], float] = time.monotonic) -> None:
        self._tally = tally
        self._clock = clock
        self._started_at = self._summary_at = clock()
        self._batch_error_shown = False
        self._summary = ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""

    def show_end(self, outcome: AnyOutcome) -> None:
        if outcome.error is not None and stops_a_batch(outcome.error):  # the same error for all that follow: shown once
            if self._batch_error_shown:
                return
            self._batch_error_shown = True
        if not isinstance(outcome.error, BudgetReached):  # the summary counts those that wait
            say(line_for(outcome))

    def tick(self, statistics: Statistics) -> None:
        now = self._clock()
        if now - self._summary_at < SUMMARY_S:
            return
        self._summary_at = now
        tally = self._tally
        progress = ", ".join(f"{kind}s {tally.batch.with_result(kind)}/{total}" for kind, total in tally.totals.items())
        parts = [progress, _in_words(tally.batch), *_earlier(tally), _limits(tally, statistics)]
        if tally.trouble:
            parts.append(f"retrying: {visible_line(tally.trouble)}")
        text = "; ".join(part for part in parts if part)
        if not (tally.trouble and text == self._summary):  # an outage takes one line, however long it lasts
            complain(f"after {now - self._started_at:.0f} s: {text}")
        self._summary = text

    def note(self, text: str) -> None:
        complain(text)

    def restore(self) -> None:
        """Do nothing."""


class Silence:
    """Notes, and the lines of paid results that are not saved, for their TaskIds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""

    def show_end(self, outcome: AnyOutcome) -> None:
        if standing_of_error(outcome) is Standing.UNSAVED:
            complain(line_for(outcome))

    def tick(self, statistics: Statistics) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        complain(text)

    def restore(self) -> None:
        """Do nothing."""


class JsonLines(Silence):
    """A JSON object for each request that ends, and notes on stderr."""

    def show_end(self, outcome: AnyOutcome) -> None:
        steps, error = steps_made(outcome.result or outcome.partial), outcome.error
        say_json(
            {
                "id": outcome.job_id,
                "state": _word(outcome, steps),
                "files": [str(file) for one in steps for file in one.files],
                "urls": [] if all(one.is_saved for one in steps) else [url for one in steps for url in one.urls],
                "task_ids": [one.task_id for one in steps],
                "models": [origin.model for origin in outcome.origins],
                "kept": outcome.is_kept,
                "error": None
                if error is None
                else {"type": type(error).__name__, "reason": error.reason, "advice": advice_for(error)},
            }
        )


def _word(outcome: AnyOutcome, steps: Iterable[StepResult]) -> Word:
    """The state of a request that has ended: that of its last job."""
    if outcome.error is None:
        return Word.SAVED if all(one.is_saved for one in steps) else Word.DONE
    return WORDS[standing_of_error(outcome) or Standing.OPEN]


def line_for(outcome: AnyOutcome) -> str:
    """An ended request as a line."""
    result = outcome.result
    if result is None:
        assert outcome.error is not None  # noqa: S101 — an outcome has one or the other
        return visible_line(f"{outcome.job_id}: {_ENDINGS[standing_of_error(outcome)]}: {outcome.error}")
    places = ", ".join(place for one in steps_made(result) for place in places_of(one))
    models = ", ".join(dict.fromkeys(origin.model for origin in outcome.origins if origin.model))
    note = f" ({models})" if models else ""
    return visible_line(f"{outcome.job_id}: {'kept' if outcome.is_kept else 'done'}{note}: {places}")


def places_of(result: StepResult) -> list[str]:
    """The places of a result: its files relative to the working directory; its URLs and VOD's ids too, unless all files
    are saved."""
    files = [str(from_here(file)) for file in result.files]
    urls = (*result.urls, *result.videos) if isinstance(result, AudioResult) else result.urls
    return files if result.is_saved else [*files, *urls, *(f"VOD file {one}" for one in result.bare_file_ids)]


def _in_words(counts: Counts) -> str:
    return ", ".join(f"{word} {counts.of(word)}" for word in (Word.SAVED, Word.FAILED, Word.UNKNOWN))


def _earlier(tally: Tally) -> list[str]:
    """The line of earlier batches' jobs, if one of them was unsaved."""
    if not tally.saves_earlier:
        return []
    counts = tally.earlier
    done_count = counts.with_result()
    return [f"{EARLIER}: {done_count}/{counts.total.total()}, {_in_words(counts)}"]


def _limits(tally: Tally, statistics: Statistics) -> str:
    """The limits at work: running tasks by kind, and the rate of each create action in use."""
    slots = [
        f"{kind}s running {statistics.slots[kind].taken}/{statistics.slots[kind].capacity}" for kind in tally.totals
    ]
    paces = [f"{action} ≤{pace.rate:g}/s" for action, pace in statistics.paces.items() if action.startswith("Create")]
    return ", ".join([*slots, *paces])
