"""`python -m tests.report.screenshot FOLDER PICTURE`: README's picture of a report page, from a real run's folder."""

import os
import sys
import tempfile
from pathlib import Path

import noto_cjk_sans_otc
from PIL import Image

from .browser import ask, chromium, show

SIZE = (1200, 1280)
COLOURS = 255
"""Of the palette: a page has few, and the file stays under 300 KiB."""


def main(folder: Path, picture: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        _know_the_fonts(Path(scratch))
        with chromium() as browser:
            show(browser, folder / "index.html", width=SIZE[0], height=SIZE[1])
            ask(browser, "await Promise.all([...document.images].slice(0, 2).map((image) => image.decode()))")
            # The player's spinner fades out some time after the video knows its first frame; no event tells when.
            ask(browser, "(document.querySelector('video').preload = 'metadata')")
            ask(browser, "await until(() => document.querySelector('video').readyState >= 1)")
            ask(browser, "await new Promise((resolve) => setTimeout(resolve, 1500))")
            taken = Path(scratch, "taken.png")
            browser.save_screenshot(str(taken))
        image = Image.open(taken).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        picture.parent.mkdir(parents=True, exist_ok=True)
        image.save(picture, optimize=True)


def _know_the_fonts(folder: Path) -> None:
    """A server has no Chinese fonts of its own; the emulator's package has."""
    fonts = Path(noto_cjk_sans_otc.__file__).parent
    rules = f"<fontconfig><include>/etc/fonts/fonts.conf</include><dir>{fonts}</dir></fontconfig>"
    (folder / "fonts.conf").write_text(rules, encoding="utf-8")
    os.environ["FONTCONFIG_FILE"] = str(folder / "fonts.conf")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
