"""Tasks with an owner, and a bounded fan-out, without any domain."""
