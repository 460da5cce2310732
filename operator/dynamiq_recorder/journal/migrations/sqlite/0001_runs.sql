-- Times are microseconds since 1970, sizes bytes. Contents are JSON, compressed if they are large.

CREATE TABLE app (
    uid TEXT PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    -- since when the App is deleted
    missing_since INTEGER
);

CREATE TABLE run (
    key INTEGER PRIMARY KEY,
    app_uid TEXT NOT NULL,
    id BLOB NOT NULL,
    namespace TEXT NOT NULL,
    app TEXT NOT NULL,
    pins TEXT NOT NULL,
    workflow_hash TEXT,
    key_name TEXT NOT NULL,
    idempotency_key TEXT,
    request_hash TEXT,
    user_id TEXT,
    session_id TEXT,
    trigger_name TEXT,
    tags TEXT NOT NULL,
    headers TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    due INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    -- of the last save of this fence
    number INTEGER NOT NULL,
    lease_until INTEGER,
    holder TEXT,
    attempts INTEGER NOT NULL,
    -- 1: interrupted so often that it is claimed alone
    alone INTEGER NOT NULL,
    -- 1: a cancellation is requested, by cancel_by
    canceling INTEGER NOT NULL,
    cancel_by TEXT,
    busy_ms INTEGER NOT NULL,
    node TEXT,
    started_at INTEGER,
    ended_at INTEGER,
    error TEXT,
    last_event INTEGER NOT NULL,
    -- of all that belongs to the run; of its parts
    size INTEGER NOT NULL,
    parts_size INTEGER NOT NULL,
    -- 0: its record waits for the recorder
    recorded INTEGER NOT NULL,
    UNIQUE (app_uid, id)
);

CREATE UNIQUE INDEX run_idempotency ON run (app_uid, key_name, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX run_due ON run (app_uid, pins, alone, due, key) WHERE state = 'queued';
CREATE INDEX run_lease ON run (lease_until) WHERE state = 'running';
CREATE INDEX run_open ON run (app_uid, pins, state, accepted_at) WHERE ended_at IS NULL;
CREATE INDEX run_unrecorded ON run (app_uid, pins, ended_at) WHERE recorded = 0;
CREATE INDEX run_ended ON run (app_uid, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX run_listed ON run (app_uid, accepted_at, key);
CREATE INDEX run_state ON run (app_uid, state, accepted_at, key);
CREATE INDEX run_user ON run (app_uid, user_id, accepted_at, key) WHERE user_id IS NOT NULL;
CREATE INDEX run_session ON run (app_uid, session_id, accepted_at, key) WHERE session_id IS NOT NULL;

-- input, output and record of a run: apart, since a heartbeat rewrites the run's line
CREATE TABLE content (
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (run, name)
);

CREATE TABLE part (
    run INTEGER NOT NULL,
    node TEXT NOT NULL,
    size INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (run, node)
);

CREATE TABLE event (
    run INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    -- none: of the journal's own last event, which the run's line has
    data BLOB,
    PRIMARY KEY (run, sequence)
) WITHOUT ROWID;

-- Counts, so that a limit costs no scan: open runs by App, pins and state, and by Access Key; bytes by namespace.
CREATE TABLE tally (
    app_uid TEXT NOT NULL,
    pins TEXT NOT NULL,
    state TEXT NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (app_uid, pins, state)
) WITHOUT ROWID;

CREATE TABLE key_tally (
    app_uid TEXT NOT NULL,
    key_name TEXT NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (app_uid, key_name)
) WITHOUT ROWID;

CREATE TABLE space (
    namespace TEXT PRIMARY KEY,
    size INTEGER NOT NULL
) WITHOUT ROWID;
