"""The trigger event: a fact from outside, in EventBridge's envelope."""

from typing import Final

from eventmill.instant import format_instant
from eventmill.model import Json
from eventmill.record import record

AGAIN: Final = ".again-"
"""Stands in the id of an event that was sent again, after the id of the first one."""


@record
class TriggerEvent:
    """One event on the bus; `(source, id)` identifies it, whatever brought it.

    The fields are those of an EventBridge event, so that definitions ported from AWS can read
    `$.detail.bucket.name` and the like.
    """

    id: str
    source: str
    detail_type: str
    at_ms: int
    account: str
    region: str
    detail: dict[str, Json]
    resources: tuple[str, ...] = ()
    sensor: str = ""  # which published it, `bus` without one; empty before it is published

    def published_by(self, sensor: str) -> "TriggerEvent":
        """The same event, with the sensor that publishes it."""
        # Spelled out, since `dataclasses.replace` takes three times as long, for every event.
        return TriggerEvent(
            id=self.id,
            source=self.source,
            detail_type=self.detail_type,
            at_ms=self.at_ms,
            account=self.account,
            region=self.region,
            detail=self.detail,
            resources=self.resources,
            sensor=sensor,
        )

    def envelope(self) -> dict[str, Json]:
        """The event as EventBridge writes it: what patterns match and targets receive."""
        return {
            "version": "0",
            "id": self.id,
            "detail-type": self.detail_type,
            "source": self.source,
            "account": self.account,
            # EventBridge gives whole seconds.
            "time": format_instant(self.at_ms)[:19] + "Z",
            "region": self.region,
            "resources": list(self.resources),
            "detail": self.detail,
        }
