"""Ranked rows as Markdown, CSV, JSON and tables in a terminal."""
