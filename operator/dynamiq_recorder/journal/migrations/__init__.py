"""The journal's tables, by numbered files of SQL for each database."""
