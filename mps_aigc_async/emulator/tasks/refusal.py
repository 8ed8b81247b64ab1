"""The one exception of the core: the service says no, with a code. It never leaves `Service.handle`."""


class Refused(Exception):
    """A refusal as the envelope carries it: `code` from the service's published list, `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
