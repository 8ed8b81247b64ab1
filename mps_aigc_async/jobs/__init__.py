"""The life of a job, and chains of jobs."""
