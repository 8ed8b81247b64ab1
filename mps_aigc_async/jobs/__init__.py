"""One job's life, and chains of jobs."""
