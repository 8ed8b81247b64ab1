"""The report, a batch as a page: `write` makes `index.html` from a folder's ledger, beside the files that it shows.

The page is a single file and needs no network. Pictures and videos are loaded from their saved files, lazily. Needs
the extra `report`.
"""

from .page import write

__all__ = ["write"]
