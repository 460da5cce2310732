-- Conversations and callbacks. The version before runs on these tables, too: it knows neither, and its pods keep no conversation.

CREATE TABLE session (
    app_uid TEXT NOT NULL,
    -- the first 16 bytes of the SHA-256 of its id
    id BLOB NOT NULL,
    pins TEXT NOT NULL,
    -- of the row with these pins when it began, if that is known
    sequence INTEGER,
    began_at INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (app_uid, id)
) WITHOUT ROWID;

CREATE INDEX session_seen ON session (app_uid, pins, last_seen);

-- Counts of sessions, so that a look costs no scan.
CREATE TABLE session_tally (
    app_uid TEXT NOT NULL,
    pins TEXT NOT NULL,
    sessions INTEGER NOT NULL DEFAULT 0,
    moved INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (app_uid, pins)
) WITHOUT ROWID;

-- Of each App with sessions: its rows, and the pins that have no conversation any more, as JSON. The epoch rises when conversations move.
CREATE TABLE placement (
    app_uid TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    digest TEXT NOT NULL,
    content BLOB NOT NULL
) WITHOUT ROWID;

-- Turns that wait for a pod of these pins, until a moment.
CREATE TABLE turn (
    app_uid TEXT NOT NULL,
    pins TEXT NOT NULL,
    waits_until INTEGER NOT NULL,
    PRIMARY KEY (app_uid, pins)
) WITHOUT ROWID;

CREATE TABLE callback (
    run INTEGER NOT NULL,
    n INTEGER NOT NULL,
    app_uid TEXT NOT NULL,
    url TEXT NOT NULL,
    token TEXT,
    metadata BLOB,
    -- pending, delivered or failed
    state TEXT NOT NULL,
    -- null: its run has not ended
    due INTEGER,
    -- after which it is not tried again
    gives_up_at INTEGER,
    -- by the time of leases: a pod sends it until then
    lease_until INTEGER,
    tries INTEGER NOT NULL,
    status INTEGER,
    error TEXT,
    last_at INTEGER,
    PRIMARY KEY (run, n)
) WITHOUT ROWID;

CREATE INDEX callback_due ON callback (app_uid, due) WHERE state = 'pending' AND due IS NOT NULL;

-- No statement of the program: the version before deletes runs, too, and their keys are given to later ones.
CREATE TRIGGER callback_ends AFTER DELETE ON run BEGIN DELETE FROM callback WHERE run = OLD.key; END;
