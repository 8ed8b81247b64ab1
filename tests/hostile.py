"""Texts that attack their reader's terminal, and how to find the rest of such a text."""

import re
from typing import Final

STEERS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1 with CSI and OSC
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction
    "\u2028\u2029"
    "\u00ad\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"  # without width
    "\U000e0000-\U000e007f"  # tags
    "\ud800-\udfff]"
)
"""Finds a character that steers a terminal or is hidden; a search of the tests' own, not the package's."""

ATTACK: Final = "\x1b[31mA\x1b]0;B\x07\x9b2JC\u202eD\u2066E\u061cF\u200bG\U000e0041H\x7fI\x85J\u2028K[red]L[/red]"
"""Each sort of them but the C0 line ends, around letters by which it is found again; rich's markup at its end."""
