-- A run's id is of its App alone. What was deleted before says no App, which is 0: its ids stay refused for all until they are too old.

DROP INDEX runs_id;
CREATE UNIQUE INDEX runs_id ON runs (id, app_key);

ALTER TABLE deleted ADD COLUMN app_key bigint NOT NULL DEFAULT 0;
ALTER TABLE deleted ALTER COLUMN app_key DROP DEFAULT;
ALTER TABLE deleted DROP CONSTRAINT deleted_pkey;
ALTER TABLE deleted ADD PRIMARY KEY (id, app_key);
