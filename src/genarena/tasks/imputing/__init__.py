"""Imputation: the rows of a table with holes, classical methods that fill them, one per file, and scores."""
