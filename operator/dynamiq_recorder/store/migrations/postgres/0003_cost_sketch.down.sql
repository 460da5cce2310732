ALTER TABLE rollups DROP COLUMN cost_sketch;
ALTER TABLE rollups DROP COLUMN token_sketch;
ALTER TABLE app_rows DROP COLUMN pair;
