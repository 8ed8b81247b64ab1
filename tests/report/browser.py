"""Headless Chromium for the page's tests: Debian's chromium and chromium-driver, by `make system`."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver

AXE: Final = Path(sys.prefix, "axe", "node_modules", "axe-core", "axe.min.js")
"""From npm, by `make .venv/.dev`."""

_ARGUMENTS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


def require_chromium() -> tuple[str, str]:
    """The browser and its driver. Skips where they can't be had; a CI must have them."""
    found = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if found[0] is None or found[1] is None or not AXE.is_file():
        said = "THE REPORT PAGE IS NOT TESTED: no chromium, chromedriver or axe-core: `make system`, then `make test`"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    return found[0], found[1]


@contextmanager
def chromium() -> Iterator[WebDriver]:
    binary, driver = require_chromium()
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    browser.set_script_timeout(30)
    try:
        yield browser
    finally:
        browser.quit()


def show(browser: WebDriver, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
    """Open a page on a screen of this size, with the colours asked for."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    devtools(browser, "Emulation.setDeviceMetricsOverride", **size)
    devtools(browser, "Emulation.setEmulatedMedia", features=[scheme])
    browser.get(page.as_uri())


def devtools(browser: WebDriver, command: str, **parameters: Any) -> None:  # noqa: ANN401 — the protocol's own
    browser.execute("executeCdpCommand", {"cmd": command, "params": parameters})


def console(browser: WebDriver) -> list[object]:
    """What the page complained of since this was last asked."""
    return list(browser.get_log("browser"))  # type: ignore[no-untyped-call]


def ask(browser: WebDriver, script: str, *args: Any) -> Any:  # noqa: ANN401 — what JavaScript answers
    """The value of a JavaScript expression, which may await, `until(condition)` for example."""
    answer = browser.execute_async_script(
        f"""
        const done = arguments[arguments.length - 1];
        const until = (condition) => new Promise((resolve) => {{
          const look = () => (condition() ? resolve(true) : requestAnimationFrame(look));
          look();
        }});
        (async () => ({script}))().then(done, (error) => done('failed: ' + error));
        """,
        *args,
    )
    assert not str(answer).startswith("failed: "), answer
    return answer
