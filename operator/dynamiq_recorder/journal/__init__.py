"""Keeps background runs from their acceptance to their end, and gives them to pods that claim them.

- model: what its calls take and refuse. records: the records of runs that no pod ends.
- question: questions to persons, and how answers are checked.
- run: the states of a run and their changes, which decide without a database.
- tables, operations, waiting, reading: the transactions and the queries. committer: commits many operations at once.
- store: the calls of the journal's store. outbox, upkeep: the work beside requests. http: the routes. serve: one process.
"""
