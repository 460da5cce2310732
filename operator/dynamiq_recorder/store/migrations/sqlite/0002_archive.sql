-- Rows that left the cluster, as they were stored there, with the flows that they name. They are written once. Times are microseconds.

CREATE TABLE archived_rows (
    key INTEGER PRIMARY KEY,
    app_key INTEGER NOT NULL,
    uid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    digest TEXT, -- of a row that was pinned
    outcome_digest TEXT NOT NULL,
    flow_hash TEXT,
    ended INTEGER NOT NULL,
    went_live INTEGER, -- of a row that succeeded
    archived_at INTEGER NOT NULL,
    content TEXT NOT NULL -- the row, JSON
);
CREATE INDEX archived_rows_app ON archived_rows (app_key, sequence, key);
CREATE INDEX archived_rows_ended ON archived_rows (app_key, ended);
CREATE INDEX archived_rows_live ON archived_rows (app_key, went_live) WHERE went_live IS NOT NULL;
CREATE INDEX archived_rows_name ON archived_rows (app_key, name);

CREATE TABLE archived_flows (
    app_key INTEGER NOT NULL,
    hash TEXT NOT NULL,
    content TEXT NOT NULL, -- a JSON string
    PRIMARY KEY (app_key, hash)
);

CREATE TABLE archived_blocks ( -- how many rows of an App are in each thousand sequences: so any place of a long archive is near
    app_key INTEGER NOT NULL,
    block INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    PRIMARY KEY (app_key, block)
);

CREATE TABLE archived_apps (
    app_key INTEGER PRIMARY KEY,
    row_count INTEGER NOT NULL,
    gone_at INTEGER -- since when the App is missed
);
