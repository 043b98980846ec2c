-- Checkpoints: what the chain had come to at a position. Counts are of all rows up to there, those
-- that were removed since included; `key` and `signature` are those of log/signing.py.
CREATE TABLE checkpoints (
    position   INTEGER PRIMARY KEY,
    hash       BLOB NOT NULL,
    at_ms      INTEGER NOT NULL,
    events     INTEGER NOT NULL,
    executions INTEGER NOT NULL,
    steps      INTEGER NOT NULL,
    key        TEXT,
    signature  BLOB
) STRICT;

-- Rows of the chain (as execution 0, step 1) that state what retention removed.
CREATE TABLE removals (
    position INTEGER PRIMARY KEY,
    body     BLOB NOT NULL,
    hash     BLOB NOT NULL
) STRICT;

-- What is left of rows that were removed: from `first` to `last`, and the hash of the last one. The
-- removal at the position `removal` states the same.
CREATE TABLE gaps (
    last    INTEGER PRIMARY KEY,
    first   INTEGER NOT NULL,
    hash    BLOB NOT NULL,
    removal INTEGER NOT NULL
) STRICT;

CREATE INDEX gaps_by_removal ON gaps (removal);

-- Executions that are removed already but for some of their steps.
CREATE TABLE removing (
    execution INTEGER PRIMARY KEY
) STRICT;

-- When a sensor with state was last one of the project's.
CREATE TABLE sensors (
    sensor  TEXT PRIMARY KEY,
    used_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whether an execution has children that run.
CREATE INDEX executions_running_by_parent ON executions (parent)
WHERE status = 'RUNNING' AND parent IS NOT NULL;
