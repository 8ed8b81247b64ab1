"""Credentials: the present keys, their refresh, their files and the official SDK's objects, the masking of secrets."""
