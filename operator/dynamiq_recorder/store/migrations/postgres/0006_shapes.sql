-- The shapes of runs' inputs by day, row and caller: names and types of top-level fields, and how many runs had them. No values.

CREATE TABLE run_shapes (
    app_key bigint NOT NULL,
    at bigint NOT NULL, -- seconds: the day's begin
    row_key bigint NOT NULL, -- 0: none
    key_name text NOT NULL, -- '': none
    trigger_name text NOT NULL, -- '': none
    runs bigint NOT NULL,
    left_out bigint NOT NULL, -- runs of which not all names are in field_counts
    field_counts text NOT NULL, -- JSON: runs by name and type
    PRIMARY KEY (app_key, at, row_key, key_name, trigger_name)
);
