"""Rows of files, one module a format; `table.py` says which suffix is read by which."""
