"""The page in a browser: what it shows decodes and plays, and everybody can reach it."""

import asyncio
import shutil
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from mps_aigc_async import AigcClient, Config, ImageRequest, ImageToVideo, VideoRequest
from mps_aigc_async.emulator import Emulator
from mps_aigc_async.model.requests import Request
from mps_aigc_async.report import write

from .batches import NOW, big_batch, sounding, write_ledger
from .browser import AXE, ask, chromium, console, require_chromium, show


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    with chromium() as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_complaints(browser: WebDriver) -> Iterator[None]:
    """Nothing in the console and nothing from the network, in any test."""
    console(browser)
    yield
    assert console(browser) == []
    asked = ask(browser, "performance.getEntriesByType('resource').map(entry => new URL(entry.name).protocol)")
    assert set(asked) <= {"file:", "data:"}


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a real run: two chains, an image, a video, and three that did not end well."""
    require_chromium()
    folder = tmp_path_factory.mktemp("batch")
    asyncio.run(run_batch(folder))
    return write(folder)


async def run_batch(folder: Path) -> None:
    keys = {"secretId": "AKIDEXAMPLE", "secretKey": "KEYEXAMPLE"}
    moving = VideoRequest(prompt="ripples spread · 涟漪散开", duration=1)
    requests: list[Request] = [
        ImageToVideo(id="wide", image=ImageRequest(prompt="a lake 湖", aspect_ratio="16:9"), video=moving),
        ImageToVideo(id="tall", image=ImageRequest(prompt="a tower", aspect_ratio="9:16"), video=moving),
        ImageRequest(id="two images", prompt="a <cat> & a dog", output_count=2),
        VideoRequest(id="video", prompt="waves at dawn", duration=1),
        ImageToVideo(id="late", image=ImageRequest(prompt="a road"), video=VideoRequest(prompt="fail-later")),
        ImageRequest(id="blocked", prompt="forbidden-content"),
    ]
    async with Emulator(speed=1000) as emulator:
        config = {"tencentCloud": {**keys, "endpoint": emulator.url}, "concurrency": {"pollIntervalMs": 100}}
        async with AigcClient(Config.parse(config), ledger=folder / "ledger.db") as client:
            emulator.faults.add(action="CreateAigcImageTask", fault="reset_after")
            lost = [one async for one in client.run([ImageRequest(id="lost", prompt="?")], save_to=folder)]
            outcomes = [one async for one in client.run(requests, save_to=folder)]
    assert sorted(outcome.job_id for outcome in [*lost, *outcomes] if outcome.ok) == [
        "tall",
        "two images",
        "video",
        "wide",
    ]


def test_images_decode_and_videos_play(browser: WebDriver, batch: Path) -> None:
    show(browser, batch)
    images = ask(
        browser,
        """await Promise.all([...document.images].map(async image => {
            image.scrollIntoView(); await image.decode(); return [image.naturalWidth, image.naturalHeight] }))""",
    )
    assert len(images) == 5
    assert all(width > 100 and height > 100 for width, height in images)
    played = ask(
        browser,
        """await [...document.querySelectorAll('video')].reduce(async (before, video) => {
            const seen = await before; video.scrollIntoView(); video.muted = true; await video.play();
            await new Promise(resolve => video.addEventListener('timeupdate', resolve));
            return [...seen, [video.videoWidth, video.duration]] }, [])""",
    )
    assert len(played) == 3
    assert all(width > 100 and 0.9 < duration < 1.2 for width, duration in played)


def test_a_video_shows_its_image_until_it_plays(browser: WebDriver, batch: Path) -> None:
    show(browser, batch)
    posters = ask(
        browser,
        """await [...document.querySelectorAll('video')].reduce(async (before, video) => {
            const seen = await before; video.scrollIntoView();
            await until(() => video.poster || video.preload === 'metadata');
            return [...seen, video.poster] }, [])""",
    )
    assert sorted(Path(poster).name for poster in posters) == ["", "tall.png", "wide.png"]


def test_failures_stand_above_with_what_to_do(browser: WebDriver, batch: Path) -> None:
    show(browser, batch)
    text = browser.find_element(By.CSS_SELECTOR, ".reasons").text
    assert "InvalidParameter.ViolationContent" in text
    assert "→ change the prompt or the input" in text
    assert "they are retried only if their message says so" in text
    browser.find_element(By.LINK_TEXT, "late").click()
    assert ask(browser, "document.querySelector(':target h3').textContent.trim()").startswith("late")


def shown(browser: WebDriver) -> list[str]:
    names = "document.querySelectorAll('.shots > li:not([hidden]) h3 span:first-child')"
    return [str(name) for name in ask(browser, f"[...{names}].map((name) => name.textContent)")]


def test_filters_and_search(browser: WebDriver, batch: Path) -> None:
    show(browser, batch)
    assert len(shown(browser)) == 7
    browser.find_element(By.CSS_SELECTOR, "input[value=failed]").click()
    assert shown(browser) == ["late", "blocked"]
    assert browser.find_element(By.ID, "found").text == "2 of 7 shots"
    browser.find_element(By.CSS_SELECTOR, "input[value='']").click()
    search = browser.find_element(By.CSS_SELECTOR, "input[type=search]")
    search.send_keys("涟漪 TALL")
    assert shown(browser) == ["tall"]
    search.clear()
    search.send_keys("violationcontent")
    assert shown(browser) == ["blocked"]
    search.clear()
    search.send_keys(Keys.ENTER)
    browser.find_element(By.CSS_SELECTOR, "select option[value=video]").click()
    assert sorted(shown(browser)) == ["late", "tall", "video", "wide"]


def test_a_bar_of_the_timeline_leads_to_its_shot_whatever_is_filtered(browser: WebDriver, batch: Path) -> None:
    show(browser, batch)
    browser.find_element(By.CSS_SELECTOR, "input[value=unknown]").click()
    assert shown(browser) == ["lost"]
    bar = browser.find_element(By.CSS_SELECTOR, ".bar[data-shot='index.html#s2']")
    assert ask(browser, "document.querySelector(\".bar[data-shot='index.html#s2'] title\").textContent").startswith(
        "wide/"
    )
    bar.click()
    assert ask(browser, "document.querySelector(':target h3').textContent.trim()").startswith("wide")
    assert len(shown(browser)) == 7


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_axe_finds_no_fault(browser: WebDriver, batch: Path, width: int, *, dark: bool) -> None:
    show(browser, batch, width=width, dark=dark)
    # Everything opened and rendered, so that everything is judged.
    ask(browser, "document.querySelectorAll('details').forEach(one => { one.open = true })")
    ask(browser, "document.styleSheets[0].insertRule('li { content-visibility: visible !important }', 0)")
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    found = ask(
        browser, "(await axe.run()).violations.map(one => [one.impact, one.id, one.nodes.map(node => node.html)])"
    )
    assert found == []


@pytest.fixture(scope="module")
def scored(batch: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a chain of three with its sound, by itself and on the video."""
    folder = tmp_path_factory.mktemp("scored")
    for made, name in (("wide.png", "a.png"), ("wide.mp4", "a.mp4"), ("tall.mp4", "a+sound.mp4")):
        shutil.copy(batch.parent / made, folder / name)
    with wave.open(str(folder / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * 8000 * 2))
    write_ledger(folder, sounding("a", folder, "wav"))
    return write(folder, wall=NOW)


def test_a_sound_plays_and_a_video_that_is_played_next_stops_it(browser: WebDriver, scored: Path) -> None:
    show(browser, scored)
    audio, video = "document.querySelector('audio')", "document.querySelector('video')"
    ask(browser, f"{audio}.scrollIntoView()")
    ask(browser, f"await until(() => {audio}.preload === 'metadata')")
    browser.find_element(By.TAG_NAME, "h1").click()  # no sound before a visitor has done something
    ask(browser, f"({audio}.muted = true, await {audio}.play(), 0)")
    assert ask(browser, f"[{audio}.paused, {audio}.duration]") == [False, 2]
    ask(browser, f"({video}.muted = true, await {video}.play(), 0)")
    assert ask(browser, f"{audio}.paused")
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    assert ask(browser, "(await axe.run()).violations.map(one => [one.id, one.nodes.map(node => node.html)])") == []
    assert ask(browser, "document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def test_everything_is_reached_by_the_keyboard(browser: WebDriver, batch: Path) -> None:
    show(browser, batch)
    focusable = """[...document.querySelectorAll('a[href], input, select, summary, video, [tabindex="0"]')]"""
    ask(browser, "(window.reached = new Set(), addEventListener('focusin', ({ target }) => reached.add(target)), 0)")
    browser.switch_to.active_element.send_keys(Keys.TAB * 150)
    reached = set(ask(browser, f"[...reached].map(one => {focusable}.indexOf(one))"))
    # Of radio buttons, Tab reaches the one chosen, and the arrows the others.
    expected = ask(browser, f"{focusable}.map((e, i) => e.type === 'radio' && !e.checked ? -1 : i)")
    assert reached >= set(expected) - {-1}
    summary = browser.find_element(By.TAG_NAME, "summary")
    summary.send_keys(Keys.ENTER)
    assert ask(browser, "document.querySelector('details').open")
    browser.find_element(By.CSS_SELECTOR, "input[value='']").send_keys(Keys.ARROW_LEFT)
    assert ask(browser, "document.querySelector('input[type=radio]:checked').value") == "failed"


@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_narrow_screen_scrolls_one_way_only(browser: WebDriver, batch: Path, width: int) -> None:
    show(browser, batch, width=width)
    assert ask(browser, "document.documentElement.scrollWidth") <= width


@pytest.fixture(scope="module")
def thousand(batch: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("thousand")
    big_batch(folder, 1000, (batch.parent / "wide.png").read_bytes(), (batch.parent / "wide.mp4").read_bytes())
    return write(folder, wall=NOW)


def test_a_thousand_shots_scroll_and_load_only_what_is_seen(browser: WebDriver, thousand: Path) -> None:
    show(browser, thousand)
    assert ask(browser, "document.querySelectorAll('.shots > li').length") == 1000
    loaded = "[...document.images].filter(image => image.complete && image.naturalWidth).length"
    ask(browser, f"await until(() => {loaded} > 0)")
    assert ask(browser, loaded) <= 20
    for number in (250, 500, 750, 1000):
        ask(browser, f"document.querySelector('#s{number}').scrollIntoView()")
        assert ask(browser, f"(await document.querySelector('#s{number} img').decode(), true)")
    assert ask(browser, loaded) <= 150
    video = "document.querySelector('#s1000 video')"
    assert ask(browser, f"({video}.muted = true, await {video}.play(), {video}.videoWidth)") > 100
    assert ask(browser, "performance.getEntriesByType('resource').length") <= 400


def test_a_thousand_shots_are_searched_at_once(browser: WebDriver, thousand: Path) -> None:
    show(browser, thousand)
    browser.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys("shot-0777")
    assert shown(browser) == ["shot-0777"]
