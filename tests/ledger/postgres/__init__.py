"""Tests of the ledger in PostgreSQL."""
