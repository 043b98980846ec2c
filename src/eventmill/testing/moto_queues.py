"""What moto's queues need to lose nothing, and to be quick with a thousand messages in them.

moto makes a new list of a queue's messages for each that it deletes. What another thread sends in
that time may be in the old list only, and is lost. And for each message that somebody receives it
counts all messages ten times over, by a clock that takes microseconds to read: with a thousand in a
queue, a batch of ten took a second.
"""

import time
from typing import Any

from eventmill.testing.extra import require


def mend() -> None:
    """Let the queues of this process change one at a time, and count only when somebody asks."""
    models = require("moto.sqs.models")
    models.Queue.delete_message = _one_at_a_time(models.Queue.delete_message)
    models.SQSBackend.is_message_valid_based_on_retention_period = _is_kept
    models.unix_time_millis = _now_ms


def _one_at_a_time(delete: Any) -> Any:
    def delete_message(queue: Any, receipt_handle: str) -> None:
        with queue._messages_lock:  # under which messages are added
            delete(queue, receipt_handle)

    return delete_message


def _is_kept(backend: Any, queue_name: str, message: Any) -> bool:
    seconds = backend.get_queue(queue_name).message_retention_period
    return bool(message.sent_timestamp + seconds * 1000 > _now_ms())


def _now_ms() -> float:
    return time.time() * 1000
