"""The homes of the limits that several processes share: SQLite files on a host, and PostgreSQL."""
