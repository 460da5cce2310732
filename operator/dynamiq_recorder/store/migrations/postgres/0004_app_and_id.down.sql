DROP INDEX runs_id;
CREATE UNIQUE INDEX runs_id ON runs (id);

DELETE FROM deleted d WHERE EXISTS (SELECT 1 FROM deleted o WHERE o.id = d.id AND (o.at, o.app_key) > (d.at, d.app_key));
ALTER TABLE deleted DROP CONSTRAINT deleted_pkey;
ALTER TABLE deleted DROP COLUMN app_key;
ALTER TABLE deleted ADD PRIMARY KEY (id);
