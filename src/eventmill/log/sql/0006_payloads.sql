-- Large payloads by the SHA-256 of their text. Steps refer to them (eventmill/codec.py), so the chain
-- covers them through their digests.
CREATE TABLE payloads (
    digest TEXT NOT NULL UNIQUE,
    body   BLOB NOT NULL
) STRICT;

-- Which executions have steps that refer to a payload: it goes with the last of them.
CREATE TABLE payload_uses (
    execution INTEGER NOT NULL,
    digest    TEXT NOT NULL,
    PRIMARY KEY (execution, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX payload_uses_by_digest ON payload_uses (digest);

-- The bodies of steps may have references to payloads at their end, which are null in the events:
-- [at_ms, fact, events, [[event, field, digest, before, after], …]]. The view fills them in.
DROP VIEW history_events;
CREATE VIEW history_events AS
SELECT
    executions.arn,
    steps.step,
    json_extract(CAST(steps.body AS TEXT), '$[0]') AS at_ms,
    json_extract(event.value, '$[0]') AS id,
    json_extract(event.value, '$[1]') AS previous_id,
    json_extract(event.value, '$[2]') AS type,
    json_extract(event.value, '$[3]') AS frame,
    CASE
        WHEN json_array_length(CAST(steps.body AS TEXT)) = 3
            OR json_type(event.value, '$[4]') = 'null'
        THEN json_extract(event.value, '$[4]')
        ELSE (
            SELECT json_group_object(detail.key, json(coalesce(
                json_extract(reference.value, '$[3]')
                    || CAST(payloads.body AS TEXT)
                    || json_extract(reference.value, '$[4]'),
                CASE detail.type
                    WHEN 'object' THEN detail.value
                    WHEN 'array' THEN detail.value
                    WHEN 'true' THEN 'true'
                    WHEN 'false' THEN 'false'
                    ELSE json_quote(detail.value)
                END
            )))
            FROM json_each(event.value, '$[4]') AS detail
            LEFT JOIN json_each(CAST(steps.body AS TEXT), '$[3]') AS reference
                ON json_extract(reference.value, '$[0]') = event.key
                AND json_extract(reference.value, '$[1]') = detail.key
            LEFT JOIN payloads ON payloads.digest = json_extract(reference.value, '$[2]')
        )
    END AS details,
    json_extract(event.value, '$[5]') AS internal
FROM steps
JOIN executions ON executions.id = steps.execution
JOIN json_each(CAST(steps.body AS TEXT), '$[2]') AS event;
