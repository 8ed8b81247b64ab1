"""The config and the folder that a command line names, and the client made from them."""

from pathlib import Path

from ..client import AigcClient
from ..config import Config
from ..model.errors import InvalidRequest
from ..sharing.database_url import is_database_url
from .loudness import print_event
from .screen import is_verbose, note, warnings_as_notes


def require_folder(out: Path) -> None:
    """Raise InvalidRequest for a database's URL in the place of a folder. A Path has one slash of the two."""
    if is_database_url(str(out).replace(":/", "://", 1)):
        raise InvalidRequest("--out takes a folder: name the ledger's URL with --ledger")


def config_from(file: Path | None) -> Config:
    """Load the config. Raises ConfigError."""
    with warnings_as_notes():
        return Config.load(file)


def config_for_creates(file: Path | None) -> Config:
    """Load the config of a command that creates, and print the models that it assumes. Raises ConfigError."""
    config = config_from(file)
    if config.assumption:
        note(config.assumption)
    return config


def client_for(config: Config, ledger: str | Path | None = None) -> AigcClient:
    """Make a client, and do not open it yet. Raises ConfigError for missing keys and an unusable endpoint."""
    with warnings_as_notes():
        client = AigcClient(config, ledger=ledger)
    if is_verbose():
        client.on_event(print_event)
    return client
