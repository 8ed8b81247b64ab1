"""The services on a loopback port."""
