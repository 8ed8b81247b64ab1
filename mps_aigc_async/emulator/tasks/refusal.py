"""The one exception of the core: a refusal with a code. `Service.handle` catches it."""


class Refused(Exception):
    """A refusal for the envelope: `code` from the service's published list, `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
