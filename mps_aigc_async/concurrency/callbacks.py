"""The default of an optional callback."""


def ignore(*_: object) -> None:
    """Do nothing: the caller does not want to hear of it."""
