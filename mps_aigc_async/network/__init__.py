"""The network: an exchange, a call with its retries, a result to its file."""
