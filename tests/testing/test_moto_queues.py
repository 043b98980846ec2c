"""moto's queues, mended: nothing is lost between a message that comes and one that goes."""

import threading
import time
from typing import Any

import pytest
from moto.sqs import models

from eventmill.testing.moto_queues import mend

PATIENCE_SECONDS = 0.1


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Any:
    for owner, name in (
        (models.Queue, "delete_message"),
        (models.SQSBackend, "is_message_valid_based_on_retention_period"),
        (models, "unix_time_millis"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # as they are after this test
    mend()
    return models.SQSBackend("us-east-1", "123456789012")


class Sending(list[Any]):
    """The messages of a queue; when all have been looked at, another thread sends one more."""

    def __init__(self, backend: Any, queue: Any) -> None:
        super().__init__(queue._messages)
        self.sender = threading.Thread(
            target=backend.send_message, args=(queue.name, "late"), daemon=True
        )
        self._passings = 0

    def __iter__(self) -> Any:
        yield from super().__iter__()
        self._passings += 1
        if self._passings == 1:
            self.sender.start()
            self.sender.join(PATIENCE_SECONDS)  # it may have to wait until the deletion is done


def test_what_is_sent_while_another_message_is_deleted_is_not_lost(backend: Any) -> None:
    queue = backend.create_queue("q", {})
    backend.send_message("q", "early")
    (early,) = backend.receive_message("q", 10, 0, 30)
    queue._messages = sending = Sending(backend, queue)
    backend.delete_message("q", early.receipt_handle)
    sending.sender.join()
    assert [each.body for each in queue._messages] == ["late"]


def test_receiving_counts_nothing(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = backend.create_queue("q", {})
    backend.send_message("q", "early")

    def count(queue: Any) -> int:
        raise AssertionError("it counts all messages")

    monkeypatch.setattr(models.Queue, "approximate_number_of_messages", property(count))
    assert [each.body for each in backend.receive_message("q", 10, 0, 30)] == ["early"]
    assert queue.messages == []


def test_messages_are_kept_as_long_as_the_queue_says_and_no_longer(backend: Any) -> None:
    backend.create_queue("q", {}, MessageRetentionPeriod="60")
    message = backend.send_message("q", "old")
    message.sent_timestamp -= 59_000
    assert backend.is_message_valid_based_on_retention_period("q", message)
    message.sent_timestamp -= 1_000
    assert not backend.is_message_valid_based_on_retention_period("q", message)


def test_what_is_hidden_comes_again_when_its_time_has_passed(
    backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = backend.create_queue("q", {})
    backend.send_message("q", "early")
    backend.receive_message("q", 10, 0, 30)
    assert queue.messages == []
    later = time.time() * 1000 + 30_001
    monkeypatch.setattr(models, "unix_time_millis", lambda: later)
    assert [each.body for each in queue.messages] == ["early"]
