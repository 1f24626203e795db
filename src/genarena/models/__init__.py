"""The members. One family per folder, one model per file, `base.py` is the contract they all keep."""
