"""The default of an optional callback."""


def ignore(*_: object) -> None:
    """Do nothing: the caller wants no call."""
