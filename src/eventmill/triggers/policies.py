"""When, and how often, the events of a trigger start something: the policies of its target."""

from typing import Final

from eventmill.model import record
from eventmill.triggers.fields import Fields
from eventmill.triggers.overlap import ALLOW

CONCURRENCY_MAX: Final = 10_000
RATE_MAX: Final = 10_000
_DAY_SECONDS: Final = 86_400


@record
class RateLimit:
    """So many executions may start within any `per_ms` milliseconds."""

    executions: int
    per_ms: int


@record
class Policies:
    """What a trigger says about its deliveries; None where it says nothing."""

    concurrency: int | None = None  # so many executions may run at once
    rate_limit: RateLimit | None = None

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
    return Policies(concurrency=concurrency, rate_limit=_parse_rate_limit(target))


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
