-- What waits for one trigger, in order: found at once, however many wait for it or for others.
DROP INDEX deliveries_due;
CREATE INDEX deliveries_waiting ON deliveries (trigger, due_ms) WHERE status = 'WAITING';
