"""The ground on which several processes share a ledger or an account's limits: the members, and PostgreSQL.

The driver is the extra `postgres` (psycopg 3). Only `connection` imports it, once a client uses a `postgresql://` URL.
"""
