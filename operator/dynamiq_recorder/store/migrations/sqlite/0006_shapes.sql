-- The shapes of runs' inputs by day, row and caller: names and types of top-level fields, and how many runs had them. No values.

CREATE TABLE run_shapes (
    app_key INTEGER NOT NULL,
    at INTEGER NOT NULL, -- seconds: the day's begin
    row_key INTEGER NOT NULL, -- 0: none
    key_name TEXT NOT NULL, -- '': none
    trigger_name TEXT NOT NULL, -- '': none
    runs INTEGER NOT NULL,
    left_out INTEGER NOT NULL, -- runs of which not all names are in field_counts
    field_counts TEXT NOT NULL, -- JSON: runs by name and type
    PRIMARY KEY (app_key, at, row_key, key_name, trigger_name)
) WITHOUT ROWID;
