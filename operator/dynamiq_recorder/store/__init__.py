"""Keeps runs: one interface, SQLite and PostgreSQL behind it, one conformance suite for both (tests/unit/recorder/test_store_*.py).

- interface: the calls of a store. sql_store: its implementation on a database of tables.
- database: what sqlite and postgres each do for that, and no more.
- writing, attribution, deleting, retention, rebuilding: the transactions; each keeps runs and rollups in step.
- tally: the additions of runs to rollups.
- paging, ways, filters, reading: the queries. migrations: the tables.
"""
