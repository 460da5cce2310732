-- A run's id is of its App alone. What was deleted before says no App, which is 0: its ids stay refused for all until they are too old.

DROP INDEX runs_id;
CREATE UNIQUE INDEX runs_id ON runs (id, app_key);

CREATE TABLE deleted_before AS SELECT id, at FROM deleted;
DROP TABLE deleted;
CREATE TABLE deleted ( -- runs that people deleted: whoever sends one again is refused
    id BLOB NOT NULL,
    app_key INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (id, app_key)
) WITHOUT ROWID;
CREATE INDEX deleted_at ON deleted (at);
INSERT INTO deleted (id, app_key, at) SELECT id, 0, at FROM deleted_before;
DROP TABLE deleted_before;

-- From here on it is counted what the runs of each App take; those that are there are added later.
INSERT INTO notes (name, value) SELECT 'counted_from', key + 1 FROM runs ORDER BY key DESC LIMIT 1;
