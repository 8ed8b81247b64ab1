"""Prices of requests, by the user's list: the documents name only two (AIGC guide of 2026-05-29, list prices: Hunyuan
3.0 at 720P 0.2 CNY an image, H2 1.0 at 720P with sound 0.32 CNY a second).

The service bills images and seconds that were made successfully ("计费说明" of the same guide).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..model.requests import ImageRequest, Step, model_label
from ..model.states import Kind
from .facts import fold_case
from .rules import defaults_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A row of the price list: for requests that have all of its values. None matches every value."""

    model: str | None = None
    version: str | None = None
    resolution: str | None = None
    sound: bool | None = None
    each: float | None = None
    """The price of an image, a video or an audio."""
    second: float | None = None
    """The price of a second."""

    @property
    def conditions(self) -> Mapping[str, object]:
        """The values that a request must have."""
        values = {name: getattr(self, name) for name in ("model", "version", "resolution", "sound")}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Estimate:
    """The size and the price of a task before it is made."""

    kind: Kind
    model: str
    number: float | None
    """Images, or seconds; None for a length that neither the request nor a document names."""
    cost: float | None
    """None without a price for the model, or without a length where the price is by the second."""


_FIELDS: Final = ("output_count", "duration", "resolution", "enable_audio")


@dataclass(frozen=True, slots=True)
class PriceList:
    """The user's prices, and the backend whose defaults fill in a request's open fields."""

    rows: Mapping[Kind, Sequence[Price]] = field(default_factory=dict)
    currency: str = "CNY"
    backend: str = "mps"

    def estimate(self, step: Step) -> Estimate:
        """The size and the price of a request's task, with the config's defaults filled in.

        >>> prices = PriceList({Kind.IMAGE: [Price(each=0.3), Price(model="Hunyuan", each=0.2)]})
        >>> prices.estimate(ImageRequest(prompt="a lake", model_name="Hunyuan", output_count=2)).cost
        0.4
        """
        values = self._values(step)
        is_image, price = isinstance(step, ImageRequest), self._price(step, values)
        value = values.get("output_count" if is_image else "duration")
        number = value if isinstance(value, int) else 1 if is_image else None
        cost: float | None = None
        if price is not None and price.each is not None:
            cost = price.each * (number or 1) if is_image else price.each
        elif price is not None and price.second is not None and number is not None:
            cost = price.second * number
        return Estimate(step.kind, model_label(step.model_name, step.model_version), number, cost)

    def _price(self, step: Step, values: Mapping[str, object]) -> Price | None:
        """The most specific row that matches; of two, the later one."""
        matching = [
            price
            for price in self.rows.get(step.kind, ())
            if all(fold_case(values.get(name)) == fold_case(value) for name, value in price.conditions.items())
        ]
        return max(reversed(matching), key=lambda price: len(price.conditions), default=None)

    def _values(self, step: Step) -> Mapping[str, object]:
        """The request's values that sizes and prices go by, or the service's for fields that it leaves open."""
        values = {
            name: getattr(step, name, None) for name in ("output_count", "duration", "resolution", "enable_audio")
        }
        values |= defaults_of(step, [name for name, value in values.items() if value is None], self.backend)
        return {
            **values,
            "model": step.model_name,
            "version": step.model_version,
            "sound": bool(values["enable_audio"]),
        }
