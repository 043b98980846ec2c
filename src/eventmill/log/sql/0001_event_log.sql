-- The event log. One chain of hashes (eventmill/log/chain.py) runs through the rows of inbox,
-- executions and steps; their `position` counts them together, from 1 and without gaps.
-- All times are milliseconds since the Unix epoch.

-- Trigger events. A body that was purged is NULL, and `digest` then holds its SHA-256.
CREATE TABLE inbox (
    position    INTEGER PRIMARY KEY,
    source      TEXT NOT NULL,
    event_id    TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    body        BLOB,
    digest      BLOB,
    hash        BLOB NOT NULL,
    UNIQUE (source, event_id)
) STRICT;

-- Executions. Only status and stop_ms ever change; the chain covers the rest.
CREATE TABLE executions (
    id                INTEGER PRIMARY KEY,
    position          INTEGER NOT NULL UNIQUE,
    arn               TEXT NOT NULL UNIQUE,
    state_machine_arn TEXT NOT NULL,
    name              TEXT NOT NULL,
    definition        TEXT NOT NULL,
    status            TEXT NOT NULL,
    start_ms          INTEGER NOT NULL,
    stop_ms           INTEGER,
    event_source      TEXT,
    event_id          TEXT,
    trigger           TEXT,
    hash              BLOB NOT NULL
) STRICT;

-- The id is the row id, so each of these also orders by it.
CREATE INDEX executions_by_state_machine ON executions (state_machine_arn);
CREATE INDEX executions_by_status ON executions (status);
CREATE INDEX executions_by_event ON executions (event_source, event_id) WHERE event_id IS NOT NULL;

-- The histories, one row for each step. The unique index is the optimistic lock.
CREATE TABLE steps (
    position  INTEGER PRIMARY KEY,
    execution INTEGER NOT NULL,
    step      INTEGER NOT NULL,
    body      BLOB,
    digest    BLOB,
    hash      BLOB NOT NULL,
    UNIQUE (execution, step)
) STRICT;

-- When executions that wait must be woken.
CREATE TABLE timers (
    execution INTEGER PRIMARY KEY,
    due_ms    INTEGER NOT NULL
) STRICT;

CREATE INDEX timers_by_due ON timers (due_ms);

-- What sensors remember.
CREATE TABLE sensor_state (
    sensor TEXT NOT NULL,
    key    TEXT NOT NULL,
    value  BLOB NOT NULL,
    PRIMARY KEY (sensor, key)
) STRICT, WITHOUT ROWID;

-- The texts of definitions by their digest.
CREATE TABLE definitions (
    digest TEXT PRIMARY KEY,
    text   TEXT NOT NULL
) STRICT;

-- The histories for people who read them with SQL: one row for each event of each step. The bodies
-- are as eventmill/codec.py writes them: [at_ms, fact, [[id, previous_id, type, …], …]].
CREATE VIEW history_events AS
SELECT
    executions.arn,
    steps.step,
    json_extract(CAST(steps.body AS TEXT), '$[0]') AS at_ms,
    json_extract(event.value, '$[0]') AS id,
    json_extract(event.value, '$[1]') AS previous_id,
    json_extract(event.value, '$[2]') AS type,
    json_extract(event.value, '$[3]') AS frame,
    json_extract(event.value, '$[4]') AS details,
    json_extract(event.value, '$[5]') AS internal
FROM steps
JOIN executions ON executions.id = steps.execution
JOIN json_each(CAST(steps.body AS TEXT), '$[2]') AS event;
