-- The newest snapshot of an execution that runs: a cache beside its steps, outside of the chain.
-- `digest` is the SHA-256 of the hash of its step, the layout as 8 bytes, and the body.
CREATE TABLE snapshots (
    execution INTEGER PRIMARY KEY,
    step      INTEGER NOT NULL,
    layout    INTEGER NOT NULL,
    body      BLOB NOT NULL,
    digest    BLOB NOT NULL
) STRICT;
