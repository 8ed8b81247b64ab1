"""What an open client is made of."""
