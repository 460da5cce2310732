-- Sketches of what runs cost and of their tokens, beside that of their durations; and by what rows are one baseline.
-- NULL in lines that an earlier recorder wrote.

ALTER TABLE rollups ADD COLUMN cost_sketch bytea;
ALTER TABLE rollups ADD COLUMN token_sketch bytea;
ALTER TABLE app_rows ADD COLUMN pair text;
