"""Tables from the rows of finished runs: HTML, Markdown, CSV, JSON, LaTeX, terminal. Imports no torch."""
