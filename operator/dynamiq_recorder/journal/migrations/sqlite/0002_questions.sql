-- Questions of runs to persons, and what a run waits for. The version before runs on these tables, too: it leaves the new columns as they are.

ALTER TABLE run ADD COLUMN paused_at INTEGER;
-- when a waiting run goes on by itself
ALTER TABLE run ADD COLUMN resume_at INTEGER;
-- when the oldest open question was asked
ALTER TABLE run ADD COLUMN waits_since INTEGER;
ALTER TABLE run ADD COLUMN hold_reason TEXT;
ALTER TABLE run ADD COLUMN open_questions INTEGER NOT NULL DEFAULT 0;
-- answers that no node has used, and that the present claim did not get
ALTER TABLE run ADD COLUMN new_answers INTEGER NOT NULL DEFAULT 0;

CREATE INDEX run_resumes ON run (resume_at) WHERE state = 'waiting' AND resume_at IS NOT NULL;
CREATE INDEX run_expires ON run (app_uid, waits_since) WHERE state = 'waiting' AND waits_since IS NOT NULL;
CREATE INDEX run_asks ON run (app_uid, pins, state, waits_since, open_questions) WHERE ended_at IS NULL AND waits_since IS NOT NULL;

CREATE TABLE question (
    run INTEGER NOT NULL,
    id TEXT NOT NULL,
    app_uid TEXT NOT NULL,
    node TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    -- of all that belongs to it
    size INTEGER NOT NULL,
    asked_at INTEGER NOT NULL,
    answer_by TEXT,
    answered_at INTEGER,
    -- 1: the node that took its answer is saved
    used INTEGER NOT NULL,
    -- the fence of the claim that got its answer
    given INTEGER NOT NULL,
    content BLOB NOT NULL,
    answer BLOB,
    PRIMARY KEY (run, id)
);

CREATE INDEX question_open ON question (app_uid, asked_at, run, id) WHERE answered_at IS NULL;

-- No statement of the program: the version before deletes runs, too, and their keys are given to later ones.
CREATE TRIGGER question_ends AFTER DELETE ON run BEGIN DELETE FROM question WHERE run = OLD.key; END;
