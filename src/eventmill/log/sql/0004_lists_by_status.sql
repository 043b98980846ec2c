-- The executions of one state machine with one status, newest first, however many others there are.
CREATE INDEX executions_by_state_machine_and_status ON executions (state_machine_arn, status)
WHERE parent IS NULL;
