"""A batch as a page to look at: `write` makes `index.html` from a folder's ledger, beside the files it shows.

The page is one file without a network: pictures and videos are shown from where they were saved, lazily. Needs the
extra `report`.
"""

from .page import write

__all__ = ["write"]
