"""What goes over the wire: one exchange, a call with its retries, a download."""
