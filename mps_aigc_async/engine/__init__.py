"""The parts of an open client."""
