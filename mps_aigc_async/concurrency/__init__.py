"""Tasks with an owner, and a bounded fan-out. No domain."""
