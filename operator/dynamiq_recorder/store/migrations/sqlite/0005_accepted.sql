-- When each background run was accepted: its row is the one of that time. `started_at` is its end less `duration`, what pods spent on it.
-- Beside `runs`, since a new column would have to be indexed, and be removed from every line by the downgrade.

CREATE TABLE accepted (
    run_key INTEGER PRIMARY KEY,
    app_key INTEGER NOT NULL,
    pins TEXT,
    at INTEGER NOT NULL
);
CREATE INDEX accepted_pins ON accepted (app_key, pins, at);
