"""The documented JSON and the environment, as values."""

from .config import ENVIRONMENT, PLACEHOLDER_BUCKET, Config

__all__ = ["ENVIRONMENT", "PLACEHOLDER_BUCKET", "Config"]
