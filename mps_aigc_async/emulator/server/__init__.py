"""The services on loopback."""
