"""Rows of the table made ready: files opened and standardised, with their geometry."""
