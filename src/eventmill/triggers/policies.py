"""When, and how often, the events of a trigger start something: the policies of its target."""

from typing import Final

from eventmill.events import TriggerEvent
from eventmill.model import Json, encode_json
from eventmill.query.jsonata import QueryTemplate
from eventmill.query.jsonpath import Path
from eventmill.query.template import Template
from eventmill.record import record
from eventmill.triggers.fields import Fields
from eventmill.triggers.input import compile_text, digest, environment_of
from eventmill.triggers.overlap import ALLOW

CONCURRENCY_MAX: Final = 10_000
RATE_MAX: Final = 10_000
BATCH_MAX: Final = 1_000
_DAY_SECONDS: Final = 86_400
_DEDUPLICATION_SECONDS: Final = 300  # as in queues of SQS
# EventBridge's, for the RetryPolicy of a target.
_AGE_SECONDS_LEAST: Final = 60
_RETRIES_MAX: Final = 185

_FIRST_PAUSE_MS: Final = 1_000
_PAUSE_MS_MAX: Final = 300_000


@record
class Keys:
    """What stands for an event where it is compared with others of its trigger."""

    dedup: str | None = None
    content_key: str | None = None  # events with the same are compared by `content`
    content: str | None = None


@record
class RateLimit:
    """So many executions may start within any `per_ms` milliseconds."""

    executions: int
    per_ms: int


@record
class RetryPolicy:
    """How long, and how often, it is tried to start something for an event."""

    age_ms: int = _DAY_SECONDS * 1000
    attempts_max: int = _RETRIES_MAX

    def too_old_ms(self, since_ms: int) -> int:
        """From when on an event that came at `since_ms` is too old."""
        return since_ms + self.age_ms

    def next_ms(self, since_ms: int, failed: int, now_ms: int) -> int | None:
        """When to try again after so many attempts have failed; None if not at all.

        Pauses double, from a second to five minutes, but end when the event is too old.
        """
        if failed > self.attempts_max or now_ms >= self.too_old_ms(since_ms):
            return None
        pause_ms = min(_FIRST_PAUSE_MS << min(failed - 1, 10), _PAUSE_MS_MAX)
        return min(now_ms + pause_ms, self.too_old_ms(since_ms))


@record
class Deduplication:
    """Of events with the same key only the first within `window_ms` starts something."""

    key: Template | QueryTemplate
    window_ms: int

    def key_of(self, event: TriggerEvent) -> str:
        """What stands for the key of an event.

        Raises:
            AuthorError: `Key` leads nowhere in the event.
        """
        return digest(_sorted(self.key.render(environment_of(event)).value), length=32)


@record
class Batching:
    """One execution for `size` events, or for fewer when the first has waited `window_ms`."""

    size: int
    window_ms: int


@record
class Policies:
    """What a trigger says about its deliveries; None where it says nothing."""

    concurrency: int | None = None  # so many executions may run at once
    rate_limit: RateLimit | None = None
    retry: RetryPolicy | None = None
    deduplication: Deduplication | None = None
    skip_unchanged: Path | None = None
    batching: Batching | None = None

    @property
    def holds(self) -> bool:
        """Whether events wait in the log until somebody decides about them."""
        return not (
            self.concurrency is None
            and self.rate_limit is None
            and self.deduplication is None
            and self.skip_unchanged is None
            and self.batching is None
        )

    @property
    def gathering_ms(self) -> int:
        """For how long an event waits for others to start something with."""
        return 0 if self.batching is None else self.batching.window_ms

    def keys_of(self, event: TriggerEvent) -> Keys:
        """What an event is compared by.

        Raises:
            AuthorError: It lacks what it is to be compared by.
        """
        key = None if self.deduplication is None else self.deduplication.key_of(event)
        if self.skip_unchanged is None:
            return Keys(dedup=key)
        content = self.skip_unchanged.select(environment_of(event)).value
        return Keys(dedup=key, content_key=key or "", content=digest(_sorted(content), length=64))


NO_POLICIES: Final = Policies()


def parse_policies(target: Fields, overlap: str) -> Policies:
    """Read the policies of a target whose `Overlap` is given; mistakes are noted in it."""
    concurrency = None
    if target.has("Concurrency"):
        concurrency = target.whole("Concurrency", default=1, least=1, most=CONCURRENCY_MAX)
        if overlap != ALLOW:
            target.note(
                f"says already what overlaps, so Overlap cannot be {overlap}", "Concurrency"
            )
    retry = _parse_retry(target)
    return Policies(
        concurrency=concurrency,
        rate_limit=_parse_rate_limit(target),
        retry=retry,
        deduplication=_parse_deduplication(target),
        skip_unchanged=target.path("SkipUnchanged"),
        batching=_parse_batching(target, overlap, retry),
    )


def _parse_rate_limit(target: Fields) -> RateLimit | None:
    if not target.has("RateLimit"):
        return None
    fields = target.object("RateLimit")
    for name in ("Executions", "PerSeconds"):
        if not fields.has(name):
            fields.miss(name)
    executions = fields.whole("Executions", default=1, least=1, most=RATE_MAX)
    seconds = fields.whole("PerSeconds", default=1, least=1, most=_DAY_SECONDS)
    fields.refuse_others()
    return RateLimit(executions=executions, per_ms=seconds * 1000)


def _parse_retry(target: Fields) -> RetryPolicy | None:
    if not target.has("RetryPolicy"):
        return None
    fields = target.object("RetryPolicy")
    seconds = fields.whole(
        "MaximumEventAgeInSeconds",
        default=_DAY_SECONDS,
        least=_AGE_SECONDS_LEAST,
        most=_DAY_SECONDS,
    )
    attempts_max = fields.whole(
        "MaximumRetryAttempts", default=_RETRIES_MAX, least=0, most=_RETRIES_MAX
    )
    fields.refuse_others()
    return RetryPolicy(age_ms=seconds * 1000, attempts_max=attempts_max)


def _parse_deduplication(target: Fields) -> Deduplication | None:
    if not target.has("Deduplication"):
        return None
    fields = target.object("Deduplication")
    if not fields.has("Key"):
        fields.miss("Key")
    key = compile_text(fields, "Key")
    seconds = fields.whole(
        "WindowSeconds", default=_DEDUPLICATION_SECONDS, least=1, most=30 * _DAY_SECONDS
    )
    fields.refuse_others()
    return None if key is None else Deduplication(key=key, window_ms=seconds * 1000)


def _parse_batching(target: Fields, overlap: str, retry: RetryPolicy | None) -> Batching | None:
    if not target.has("Batching"):
        return None
    fields = target.object("Batching")
    for name in ("Size", "WindowSeconds"):
        if not fields.has(name):
            fields.miss(name)
    size = fields.whole("Size", default=1, least=1, most=BATCH_MAX)
    window_ms = round(fields.seconds("WindowSeconds", default=1, least=0.1) * 1000)
    fields.refuse_others()
    if retry is not None and window_ms >= retry.age_ms:
        fields.note("is as long as MaximumEventAgeInSeconds, or longer", "WindowSeconds")
    if target.has("ExecutionName"):
        target.note("cannot name an execution of several events (Batching)", "ExecutionName")
    if overlap != ALLOW:
        target.note(f"cannot be {overlap} with Batching", "Overlap")
    return Batching(size=size, window_ms=window_ms)


def _sorted(value: Json) -> str:
    """A value as JSON, the same for objects whose fields stand in another order."""
    return encode_json(_in_order(value)).decode()


def _in_order(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _in_order(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_in_order(each) for each in value]
    return value
