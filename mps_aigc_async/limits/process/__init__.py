"""The process's home of the limits: counted in memory, for all of its clients, loops and threads."""
