"""Builds the documentation as a site: pages of `docs/`, references generated from the code, and a check of every link.

`make docs` runs `python -m local.docs`. It writes only to `build/docs/`; none of it is committed.
"""
