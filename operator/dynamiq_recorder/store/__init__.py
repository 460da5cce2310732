"""Where runs are kept: one interface, SQLite and PostgreSQL behind it, one conformance suite for both (tests/unit/recorder/test_store_*.py).

interface: what a store is asked. sql_store: it, on a database of tables. database: what sqlite and postgres each do for that, and no more.
writing, attribution, deleting, retention, rebuilding: the transactions; each leaves runs and rollups in step. tally: what runs add to rollups.
paging, ways, filters, reading: the questions. migrations: the tables.
"""
