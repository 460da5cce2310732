"""Keeps runs in SQLite or PostgreSQL, with one conformance suite for both (tests/unit/recorder/test_store_*.py).

- sql_store: the calls of a store. results: what they take, return and raise.
- database: what sqlite and postgres each do for that, and no more.
- writing, attribution, deleting, retention, rebuilding: the transactions; each keeps runs and rollups in step.
- tally: the additions of runs to rollups.
- paging, ways, filters, reading: the queries. migrations: the tables.
"""
