-- What became of an event for a trigger, where that is not simply that it started at once. Ids grow in
-- the order in which the events came. The chain does not cover these rows, since they change.
CREATE TABLE deliveries (
    id           INTEGER PRIMARY KEY,
    event_source TEXT NOT NULL,
    event_id     TEXT NOT NULL,
    trigger      TEXT NOT NULL,
    status       TEXT NOT NULL,
    reason       TEXT NOT NULL,
    attempts     INTEGER NOT NULL,
    since_ms     INTEGER NOT NULL,
    due_ms       INTEGER,
    decided_ms   INTEGER,
    execution    TEXT,
    dedup_key    TEXT,
    content_key  TEXT,
    content      TEXT,
    UNIQUE (event_source, event_id, trigger)
) STRICT;

-- The id is the row id, so each of these also orders by it.
CREATE INDEX deliveries_by_status ON deliveries (status);
CREATE INDEX deliveries_by_trigger ON deliveries (trigger, status);
CREATE INDEX deliveries_due ON deliveries (due_ms) WHERE status = 'WAITING';
CREATE INDEX deliveries_by_key ON deliveries (trigger, dedup_key) WHERE dedup_key IS NOT NULL;
CREATE INDEX deliveries_by_content ON deliveries (trigger, content_key)
WHERE content_key IS NOT NULL;
