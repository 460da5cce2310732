"""The documentation as a site: pages of `docs/`, references that are made of the code, and a check of every link.

`make docs` runs `python -m local.docs`. What it makes is in `build/docs/` alone; nothing of it is committed.
"""
