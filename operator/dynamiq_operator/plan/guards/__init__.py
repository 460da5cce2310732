"""The guards of a row: its kind, what policies require of it, which approvals count, and what still blocks it. They write nothing."""
