-- Map Runs: the distributed Map states of executions, each named by the event that started it.
CREATE TABLE map_runs (
    execution            INTEGER NOT NULL,
    map_run              INTEGER NOT NULL,
    arn                  TEXT NOT NULL UNIQUE,
    max_concurrency      INTEGER NOT NULL,
    tolerated_count      INTEGER NOT NULL,
    tolerated_percentage REAL NOT NULL,
    start_ms             INTEGER NOT NULL,
    status               TEXT NOT NULL,
    stop_ms              INTEGER,
    items                INTEGER,
    PRIMARY KEY (execution, map_run)
) STRICT, WITHOUT ROWID;

-- Executions that a Map Run started: its children. The chain covers these columns as well.
ALTER TABLE executions ADD COLUMN parent INTEGER;
ALTER TABLE executions ADD COLUMN map_run INTEGER;
ALTER TABLE executions ADD COLUMN child_index INTEGER;
ALTER TABLE executions ADD COLUMN items INTEGER;

CREATE UNIQUE INDEX executions_by_map_run ON executions (parent, map_run, child_index)
WHERE parent IS NOT NULL;

-- A Map Run may have a million children: lists of executions pass them over, and what recovery
-- looks for lies together.
DROP INDEX executions_by_state_machine;
DROP INDEX executions_by_status;
CREATE INDEX executions_by_state_machine ON executions (state_machine_arn) WHERE parent IS NULL;
CREATE INDEX executions_by_status ON executions (status) WHERE parent IS NULL;
CREATE INDEX executions_without_parent ON executions (id) WHERE parent IS NULL;
CREATE INDEX executions_running ON executions (id) WHERE status = 'RUNNING';
