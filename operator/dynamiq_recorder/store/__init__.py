"""Where runs are kept: one interface, SQLite and PostgreSQL behind it, one conformance suite for both (tests/unit/recorder)."""
