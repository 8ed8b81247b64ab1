"""How far a chain's first steps may run ahead of the next ones, whose URLs must live until then."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from ..concurrency.callbacks import ignore
from ..limits import Slot, Slots
from ..model.requests import Step
from ..model.states import Kind

NEAR_END_S: Final = 600.0
"""The URL of a chain's image or video must live this much longer when the next step is created: the task may wait at
the service before it is fetched."""

USUAL_S: Final[Mapping[Kind, float]] = {Kind.VIDEO: 300.0, Kind.AUDIO: 300.0}
"""The longest that the guide of 2026-05-29 calls usual for a video (3 to 5 minutes). No document tells an audio's."""


def chains_ahead(kind: Kind, slots: Mapping[Kind, int], confirmed: int, url_life_s: float) -> int:
    """How many chains of the same models may have their steps before the one of this kind begun or done, and that one
    not created yet.

    Enough to keep all their slots busy, and no more than are `usable`. What counts are not the config's slots, which
    the service may not grant, but as many as it is `confirmed` to run at once.

    >>> chains_ahead(Kind.VIDEO, {Kind.IMAGE: 2, Kind.VIDEO: 1, Kind.AUDIO: 1}, confirmed=1, url_life_s=12 * 3600)
    3
    >>> chains_ahead(Kind.VIDEO, {Kind.IMAGE: 1000, Kind.VIDEO: 100, Kind.AUDIO: 1}, confirmed=1, url_life_s=12 * 3600)
    71
    >>> chains_ahead(Kind.VIDEO, {Kind.IMAGE: 1000, Kind.VIDEO: 100, Kind.AUDIO: 1}, confirmed=1, url_life_s=inf)
    1100
    """
    kinds = list(Kind)
    busy = sum(slots[one] for one in kinds[: kinds.index(kind) + 1])
    return max(1, min(busy, usable(kind, confirmed, url_life_s)))


def usable(kind: Kind, confirmed: int, url_life_s: float) -> int:
    """How many chains may be ahead of this kind's step, if `confirmed` of its tasks run at once: half of what they can
    use while the first URL that waits for them lives. With one video slot, 144 five-minute videos outlive a
    12-hour URL."""
    if url_life_s == inf:
        return sys.maxsize
    return max(1, int(confirmed * (url_life_s - NEAR_END_S) / USUAL_S[kind] / 2))


class Lookahead:
    """How far chains may run ahead of their steps of one kind, by what is known of the slots.

    Chains of the same models have places of their own: those that wait for a crowded model's room let others pass. The
    places of all of them are bounded by the URLs' life.
    """

    def __init__(self, kind: Kind, slots: Mapping[Kind, Slots], url_life_s: float) -> None:
        self._kind = kind
        self._slots = slots
        self._url_life_s = url_life_s
        self._places = Slots(1)
        self._crowded: frozenset[str] = frozenset()
        """The models of which the service takes few tasks at once."""

    async def acquire(self, models: Sequence[str], held_up: Callable[[], None] = ignore) -> Slot:
        """A place for one chain of these models, up to the one of this kind, from before its first step is begun until
        its step of this kind is created.

        `held_up` is called if the wait may be one for a crowded model's chains: others may pass then.
        """
        self.refresh()
        if not self._crowded.isdisjoint(models):
            held_up()
        return await self._places.acquire(model=_BETWEEN.join(models), held_up=held_up)

    def refresh(self) -> None:
        """Go by what is known now: a task that was accepted may prove a place more, a refusal that there are less."""
        limits = {kind: slots.effective_limit for kind, slots in self._slots.items()}
        confirmed, learnt = self._slots[self._kind].confirmed_capacity, self._slots[self._kind].learned_model_caps

        def of_same_models(models: str) -> int:
            of_last = max(1, learnt.get(models.rpartition(_BETWEEN)[2], confirmed))
            return chains_ahead(self._kind, limits, min(confirmed, of_last), self._url_life_s)

        self._places.resize(usable(self._kind, confirmed, self._url_life_s), of_same_models)
        crowded = frozenset(model for slots in self._slots.values() for model in slots.learned_model_caps)
        if crowded != self._crowded:
            self._crowded = crowded
            self._places.hold_up(lambda models: not crowded.isdisjoint(models.split(_BETWEEN)))


_BETWEEN: Final = " → "
"""Stands between the models of a chain in the name of its places."""


@dataclass(frozen=True, slots=True)
class Lookaheads:
    """How far chains may run ahead of a step, by whether what the step goes on from expires."""

    expiring: Mapping[Kind, Lookahead]
    lasting: Mapping[Kind, Lookahead]
    is_kept: Callable[[Step], bool]
    """Whether a request's results are stored without an end."""

    @classmethod
    def of(cls, slots: Mapping[Kind, Slots], url_life_s: float, is_kept: Callable[[Step], bool]) -> "Lookaheads":
        expiring, lasting = ({kind: Lookahead(kind, slots, life_s) for kind in USUAL_S} for life_s in (url_life_s, inf))
        return cls(expiring, lasting, is_kept)

    def over(self, before: Step, kind: Kind) -> Lookahead:
        """The chains that may have `before` made and their step of this kind not created yet."""
        return (self.lasting if self.is_kept(before) else self.expiring)[kind]
