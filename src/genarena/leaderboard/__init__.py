"""Rows of finished runs to tables: HTML, Markdown, CSV, JSON, LaTeX, terminal. No torch here."""
