-- Runs, what they are made of, and what they come to. Times and durations are microseconds, cost nano-dollars, `at` of rollups seconds.
-- Names that the SQL of one database or the other keeps for itself end in _key or _name.

CREATE TABLE apps (
    key INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    became INTEGER -- the App that it was restored as
);
CREATE INDEX apps_name ON apps (namespace, name);

CREATE TABLE app_rows (
    key INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    app_key INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    digest TEXT NOT NULL,
    pins TEXT NOT NULL,
    workflow_version TEXT NOT NULL,
    began INTEGER NOT NULL,
    succeeded INTEGER,
    ended INTEGER
);
CREATE INDEX app_rows_app ON app_rows (app_key, sequence);
CREATE INDEX app_rows_digest ON app_rows (app_key, digest);
CREATE INDEX app_rows_pins ON app_rows (app_key, pins, sequence);
CREATE INDEX app_rows_ended ON app_rows (app_key, pins, ended) WHERE succeeded = 1;
CREATE INDEX app_rows_others ON app_rows (app_key, pins) WHERE succeeded IS NULL OR succeeded = 0 OR ended IS NULL;

CREATE TABLE instances (
    key INTEGER PRIMARY KEY,
    instance_id TEXT NOT NULL UNIQUE,
    app_key INTEGER NOT NULL,
    pod_uid TEXT,
    last_seq INTEGER NOT NULL, -- as it says
    highest INTEGER NOT NULL, -- of those stored
    stored INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
);
CREATE INDEX instances_app ON instances (app_key);

CREATE TABLE runs (
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    app_key INTEGER NOT NULL,
    row_key INTEGER,
    instance_key INTEGER,
    seq INTEGER,
    source TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    trigger_name TEXT,
    session_id TEXT,
    user_id TEXT,
    tags TEXT, -- JSON
    models TEXT, -- JSON
    pins TEXT,
    workflow_version TEXT,
    workflow_hash TEXT,
    trace_id TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    first_chunk INTEGER,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    cost INTEGER,
    unpriced INTEGER NOT NULL,
    model_calls INTEGER NOT NULL,
    node_count INTEGER NOT NULL,
    content_kept INTEGER NOT NULL
);
CREATE UNIQUE INDEX runs_id ON runs (id);
CREATE INDEX runs_time ON runs (app_key, started_at);
CREATE INDEX runs_row ON runs (app_key, row_key, started_at) WHERE row_key IS NOT NULL;
CREATE INDEX runs_version ON runs (app_key, workflow_version, started_at) WHERE workflow_version IS NOT NULL;
CREATE INDEX runs_status ON runs (app_key, status, started_at) WHERE status <> 'succeeded';
CREATE INDEX runs_trigger ON runs (app_key, trigger_name, started_at) WHERE trigger_name IS NOT NULL;
CREATE INDEX runs_session ON runs (app_key, session_id, started_at) WHERE session_id IS NOT NULL;
CREATE INDEX runs_user ON runs (app_key, user_id, started_at) WHERE user_id IS NOT NULL;
CREATE INDEX runs_duration ON runs (app_key, duration);
CREATE INDEX runs_cost ON runs (app_key, cost) WHERE cost IS NOT NULL;
CREATE INDEX runs_of_none ON runs (app_key, source, pins, started_at) WHERE row_key IS NULL AND source <> 'sdk';

CREATE TABLE labels (
    app_key INTEGER NOT NULL,
    kind TEXT NOT NULL, -- tag or model
    value TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    run_key INTEGER NOT NULL,
    PRIMARY KEY (app_key, kind, value, started_at, run_key)
) WITHOUT ROWID;

CREATE TABLE errors ( -- folded text of runs' errors, to be searched in order of time
    app_key INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    run_key INTEGER NOT NULL,
    folded TEXT NOT NULL,
    PRIMARY KEY (app_key, started_at, run_key)
) WITHOUT ROWID;

CREATE TABLE spans (
    run_key INTEGER NOT NULL,
    n INTEGER NOT NULL, -- from 1
    span_id TEXT NOT NULL,
    parent_id TEXT,
    node_id TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT,
    model TEXT,
    provider TEXT,
    is_model INTEGER NOT NULL,
    status TEXT NOT NULL,
    error_type TEXT,
    attempts INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    cost INTEGER,
    cost_source TEXT,
    PRIMARY KEY (run_key, n)
) WITHOUT ROWID;

CREATE TABLE contents (
    run_key INTEGER NOT NULL,
    n INTEGER NOT NULL, -- of a span; 0: of the run
    error TEXT,
    input TEXT,
    output TEXT,
    PRIMARY KEY (run_key, n)
);

CREATE TABLE extras (
    run_key INTEGER NOT NULL,
    n INTEGER NOT NULL,
    extra TEXT NOT NULL, -- JSON
    PRIMARY KEY (run_key, n)
);

CREATE TABLE scores (
    run_key INTEGER NOT NULL,
    name TEXT NOT NULL,
    by_whom TEXT NOT NULL,
    value REAL NOT NULL,
    comment TEXT,
    at INTEGER NOT NULL,
    row_key INTEGER, -- the run's
    PRIMARY KEY (run_key, name, by_whom)
) WITHOUT ROWID;
CREATE INDEX scores_row ON scores (row_key, name, value) WHERE row_key IS NOT NULL;

CREATE TABLE deleted ( -- runs that people deleted: whoever sends one again is refused
    id BLOB PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX deleted_at ON deleted (at);

CREATE TABLE rollups (
    app_key INTEGER NOT NULL,
    width INTEGER NOT NULL, -- 60 or 3600 seconds
    at INTEGER NOT NULL,
    row_key INTEGER NOT NULL, -- 0: none
    workflow_version TEXT NOT NULL, -- '': none
    trigger_name TEXT NOT NULL, -- '': none
    status TEXT NOT NULL,
    runs INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    input_known INTEGER NOT NULL, -- how many said so: a sum of none is NULL to the reader
    output_tokens INTEGER NOT NULL,
    output_known INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_read_known INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    cache_write_known INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    cost_known INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    with_tokens INTEGER NOT NULL,
    tokens_squared REAL NOT NULL,
    priced INTEGER NOT NULL,
    priced_cost INTEGER NOT NULL,
    priced_cost_squared REAL NOT NULL,
    sketch BLOB NOT NULL,
    PRIMARY KEY (app_key, width, at, row_key, workflow_version, trigger_name, status)
) WITHOUT ROWID;
CREATE INDEX rollups_row ON rollups (app_key, row_key, at) WHERE width = 3600;

CREATE TABLE node_rollups (
    app_key INTEGER NOT NULL,
    at INTEGER NOT NULL, -- hours
    row_key INTEGER NOT NULL,
    node_id TEXT NOT NULL,
    model TEXT NOT NULL, -- '': none
    name TEXT NOT NULL,
    spans INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    caused INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    own_duration INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    input_known INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    output_known INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_read_known INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    cache_write_known INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    cost_known INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    sketch BLOB NOT NULL,
    PRIMARY KEY (app_key, at, row_key, node_id, model)
) WITHOUT ROWID;
CREATE INDEX node_rollups_row ON node_rollups (app_key, row_key, at);

CREATE TABLE notes ( -- what the store knows of itself
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
