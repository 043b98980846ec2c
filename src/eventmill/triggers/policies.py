"""When, and how often, the events of a trigger start something: the policies of its target."""

from typing import Final

from eventmill.model import record
from eventmill.triggers.fields import Fields
from eventmill.triggers.overlap import ALLOW

CONCURRENCY_MAX: Final = 10_000
RATE_MAX: Final = 10_000
_DAY_SECONDS: Final = 86_400
# EventBridge's, for the RetryPolicy of a target.
_AGE_SECONDS_LEAST: Final = 60
_RETRIES_MAX: Final = 185

_FIRST_PAUSE_MS: Final = 1_000
_PAUSE_MS_MAX: Final = 300_000


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
class Policies:
    """What a trigger says about its deliveries; None where it says nothing."""

    concurrency: int | None = None  # so many executions may run at once
    rate_limit: RateLimit | None = None
    retry: RetryPolicy | None = None

    @property
    def holds(self) -> bool:
        """Whether events wait in the log until somebody decides about them."""
        return self.concurrency is not None or self.rate_limit is not None


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
    return Policies(
        concurrency=concurrency,
        rate_limit=_parse_rate_limit(target),
        retry=_parse_retry(target),
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
