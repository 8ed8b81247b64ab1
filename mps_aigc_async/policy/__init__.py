"""Decisions without effects: what follows from an ending, how long to wait, when to poll."""
