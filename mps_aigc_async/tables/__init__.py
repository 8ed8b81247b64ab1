"""Batches as people have them: spreadsheets, in the words of their header row."""
