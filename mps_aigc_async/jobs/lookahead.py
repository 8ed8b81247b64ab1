"""The number of chains whose first steps may run ahead of a later step: the URLs must live until that step."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import Final

from ..concurrency.callbacks import ignore
from ..concurrency.semaphore import GroupSemaphore, Permit
from ..ledger import JobRecord
from ..limits import Slots
from ..model.requests import Step
from ..model.states import Kind

NEAR_END_S: Final = 600.0
"""Seconds that the URL of a chain's image or video must still live when the next step is created: the task may wait at
the service before the URL is fetched."""

USUAL_S: Final[Mapping[Kind, float]] = {Kind.VIDEO: 300.0, Kind.AUDIO: 300.0}
"""Seconds that a task may usually take. For a video: the longest time that the guide of 2026-05-29 calls usual (3 to 5
minutes). No document gives the time of an audio."""


def chains_ahead(kind: Kind, slots: Mapping[Kind, int], confirmed_capacity: int, url_life_s: float) -> int:
    """The number of chains of the same models that may run ahead of their step of this kind. A chain runs ahead from
    the start of its first step until its step of this kind is created.

    Enough chains to keep the slots of all kinds up to this one busy, and no more than are `usable`. The usable number
    follows `confirmed_capacity`, because the service may not grant all the slots that the config asks for.

    >>> chains_ahead(Kind.VIDEO, {Kind.IMAGE: 2, Kind.VIDEO: 1, Kind.AUDIO: 1}, 1, url_life_s=12 * 3600)
    3
    >>> chains_ahead(Kind.VIDEO, {Kind.IMAGE: 1000, Kind.VIDEO: 100, Kind.AUDIO: 1}, 1, url_life_s=12 * 3600)
    71
    >>> chains_ahead(Kind.VIDEO, {Kind.IMAGE: 1000, Kind.VIDEO: 100, Kind.AUDIO: 1}, 1, url_life_s=inf)
    1100
    """
    kinds = list(Kind)
    busy = sum(slots[one] for one in kinds[: kinds.index(kind) + 1])
    return max(1, min(busy, usable(kind, confirmed_capacity, url_life_s)))


def usable(kind: Kind, confirmed_capacity: int, url_life_s: float) -> int:
    """The number of chains that the steps of this kind can use in time: half of the tasks that fit into a URL's life.
    With one video slot, 144 five-minute videos outlive a 12-hour URL."""
    if url_life_s == inf:
        return sys.maxsize
    return max(1, int(confirmed_capacity * (url_life_s - NEAR_END_S) / USUAL_S[kind] / 2))


class Lookahead:
    """Places for the chains that run ahead of their step of one kind; `refresh` counts the places anew.

    Chains of the same models have places of their own: if they wait for a crowded model's room, other chains pass. The
    URLs' life bounds the places of all chains together.
    """

    def __init__(self, kind: Kind, slots: Mapping[Kind, Slots], url_life_s: float) -> None:
        self._kind = kind
        self._slots = slots
        self._url_life_s = url_life_s
        self._places = GroupSemaphore(1)
        self._crowded_models: frozenset[str] = frozenset()
        """The models with a learned cap: the service takes few of their tasks at once."""

    async def acquire(
        self,
        models: Sequence[str],
        on_hold_up: Callable[[], None] = ignore,
        on_wait: Callable[[], None] = ignore,
    ) -> Permit:
        """Wait for a place for one chain of these models, up to the step of this kind. The chain keeps the place from
        before its first step is begun until its step of this kind is created.

        `on_hold_up` is called if the chain may be waiting for a crowded model: chains of other models may pass then.
        `on_wait` is called before the wait, if there is one.
        """
        self.refresh()
        if not self._crowded_models.isdisjoint(models):
            on_hold_up()
        return await self._places.acquire(_BETWEEN.join(models), on_hold_up, on_wait)

    def take(self, models: Sequence[str]) -> Permit:
        """Take a place at once, for a chain that has begun: its URL ages, and waiting makes it no younger."""
        return self._places.take(_BETWEEN.join(models))

    @property
    def is_bounded(self) -> bool:
        """Whether the URLs' life bounds the chains of all members of a ledger together."""
        return self._url_life_s != inf

    def usable(self) -> int:
        """The most chains of all members together, as far as this client knows the service's capacity."""
        return usable(self._kind, self._slots[self._kind].figures().confirmed_capacity, self._url_life_s)

    def refresh(self) -> None:
        """Count the places anew: an accepted task can raise the confirmed capacity, and a refusal lowers it."""
        figures = {kind: slots.figures() for kind, slots in self._slots.items()}
        limits = {kind: of_kind.effective_limit for kind, of_kind in figures.items()}
        confirmed_capacity = figures[self._kind].confirmed_capacity
        model_caps = figures[self._kind].learned_model_caps

        @cache  # each turn of the queue asks for all groups
        def places_of(models: str) -> int:
            of_last = max(1, model_caps.get(models.rpartition(_BETWEEN)[2], confirmed_capacity))
            return chains_ahead(self._kind, limits, min(confirmed_capacity, of_last), self._url_life_s)

        self._places.resize(usable(self._kind, confirmed_capacity, self._url_life_s), places_of)
        crowded_models = frozenset(model for of_kind in figures.values() for model in of_kind.learned_model_caps)
        if crowded_models != self._crowded_models:
            self._crowded_models = crowded_models
            self._places.hold_up(lambda models: not crowded_models.isdisjoint(models.split(_BETWEEN)))


_BETWEEN: Final = " → "
"""Stands between the models of a chain in the name of its group of places."""


@dataclass(frozen=True, slots=True)
class Lookaheads:
    """The lookaheads by kind, for steps that go on from an expiring result and from a lasting one."""

    expiring: Mapping[Kind, Lookahead]
    lasting: Mapping[Kind, Lookahead]
    is_kept: Callable[[Step], bool]
    """Whether a request's results are stored without an end."""

    @classmethod
    def of(cls, slots: Mapping[Kind, Slots], url_life_s: float, is_kept: Callable[[Step], bool]) -> "Lookaheads":
        expiring, lasting = ({kind: Lookahead(kind, slots, life_s) for kind in USUAL_S} for life_s in (url_life_s, inf))
        return cls(expiring, lasting, is_kept)

    def over(self, before: Step, kind: Kind) -> Lookahead:
        """The places of the chains whose step `before` may be made ahead of their step of this kind."""
        return (self.lasting if self.is_kept(before) else self.expiring)[kind]


def is_near_end(before: JobRecord, now: float) -> bool:
    """Whether a result's URL expires too soon for the next step.

    A job without an `expires_at` is not: its URL never expires, or at an unknown time. The service's own fetch then
    decides, and a failed fetch costs nothing. A file that the service stores has the file's own end, or none, and not
    its URL's.
    """
    return before.expires_at is not None and now > before.expires_at - NEAR_END_S
