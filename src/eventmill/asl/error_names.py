"""The error names that the language reserves (developer guide, "Handling errors")."""

from typing import Final

ALL: Final = "States.ALL"
TIMEOUT: Final = "States.Timeout"
HEARTBEAT_TIMEOUT: Final = "States.HeartbeatTimeout"
TASK_FAILED: Final = "States.TaskFailed"
RUNTIME: Final = "States.Runtime"
DATA_LIMIT_EXCEEDED: Final = "States.DataLimitExceeded"
INTRINSIC_FAILURE: Final = "States.IntrinsicFailure"
REFERENCE_PATH_CONFLICT: Final = "States.ReferencePathConflict"
PARAMETER_PATH_FAILURE: Final = "States.ParameterPathFailure"
ITEM_READER_FAILED: Final = "States.ItemReaderFailed"
RESULT_WRITER_FAILED: Final = "States.ResultWriterFailed"
EXCEED_TOLERATED_FAILURE_THRESHOLD: Final = "States.ExceedToleratedFailureThreshold"
QUERY_EVALUATION_ERROR: Final = "States.QueryEvaluationError"
