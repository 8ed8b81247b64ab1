"""Prices of requests by the user's list; lengths by the request, else by the documents."""

import pytest

from mps_aigc_async import AudioRequest, Config, ConfigError, ImageRequest, Kind, VideoRequest
from mps_aigc_async.catalog.prices import Price, PriceList
from mps_aigc_async.model.requests import Step

LIST = PriceList(
    {
        Kind.IMAGE: [Price(each=0.5), Price(model="Hunyuan", version="3.0", resolution="720P", each=0.2)],
        Kind.VIDEO: [
            Price(model="H2", second=0.3),
            Price(model="h2", sound=True, second=0.32),
            Price(model="Kling", resolution="720P", second=0.4),
            Price(model="Kling", resolution="1080P", second=0.6),
            Price(model="Film", each=9),
        ],
    }
)


@pytest.mark.parametrize(
    ("request_", "number", "cost"),
    [
        (ImageRequest(prompt="x"), 1, 0.5),
        (ImageRequest(prompt="x", model_name="hunyuan", model_version="3.0", resolution="720p"), 1, 0.2),
        (ImageRequest(prompt="x", model_name="Hunyuan", model_version="3.0", output_count=4), 4, 2.0),
        (VideoRequest(prompt="x", model_name="H2", duration=10), 10, 3.0),
        (VideoRequest(prompt="x", model_name="H2", enable_audio=True, duration=10), 10, 3.2),
        # The documents name Kling's defaults: 5 s, 720P.
        (VideoRequest(prompt="x", model_name="Kling", model_version="2.6"), 5, 2.0),
        (VideoRequest(prompt="x", model_name="Kling", model_version="2.6", resolution="1080P"), 5, 3.0),
        (VideoRequest(prompt="x", model_name="Film"), None, 9),
        (VideoRequest(prompt="x", model_name="Film", duration=3), 3, 9),
        (VideoRequest(prompt="x", model_name="H2x"), None, None),
        (VideoRequest(prompt="x"), None, None),
        (AudioRequest(prompt="x", model_name="GL", duration=7), 7, None),
    ],
)
def test_the_most_specific_row_that_matches_is_the_price(
    request_: Step, number: float | None, cost: float | None
) -> None:
    estimate = LIST.estimate(request_)
    assert (estimate.number, estimate.cost) == (number, None if cost is None else pytest.approx(cost))


def test_of_two_rows_that_say_as_much_the_later_one_counts() -> None:
    prices = PriceList({Kind.IMAGE: [Price(model="A", each=1), Price(model="a", each=2)]})
    assert prices.estimate(ImageRequest(prompt="x", model_name="A")).cost == 2


def test_the_config_has_the_list() -> None:
    config = Config.parse(
        {
            "prices": {
                "currency": "CNY",
                "image": [{"model": "Hunyuan", "version": "3.0", "resolution": "720P", "each": 0.2}],
                "video": [{"model": "H2", "version": "1.0", "resolution": "720P", "sound": True, "second": 0.32}],
            }
        }
    )
    h2 = VideoRequest(
        prompt="x", model_name="H2", model_version="1.0", resolution="720P", enable_audio=True, duration=3
    )
    assert config.price_list().estimate(h2).cost == pytest.approx(0.96)
    assert config.price_list().currency == "CNY"


@pytest.mark.parametrize(
    ("prices", "fault"),
    [
        ({"video": [{"model": "H2"}]}, "names one price"),
        ({"video": [{"second": 1, "each": 2}]}, "names one price"),
        ({"image": [{"second": 1}]}, "second"),
        ({"image": [{"model": "H2"}]}, "each"),
        ({"image": [{"each": -1}]}, "each"),
        ({"image": [{"each": 1, "modell": "H2"}]}, "modell"),
    ],
)
def test_a_faulty_row_is_refused_by_its_key(prices: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        Config.parse({"prices": prices})
