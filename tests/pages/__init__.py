"""Tests of the pages that users and contributors read."""
