"""Parts that all three services share: orders, tasks and their ends, refusals, faults."""
