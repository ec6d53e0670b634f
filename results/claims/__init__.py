"""Statements of the literature, tested on one's own records."""
