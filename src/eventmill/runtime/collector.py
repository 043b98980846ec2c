"""The garbage collector, set for a server."""

import gc


def spare_the_collector() -> None:
    """Keep the garbage collector from walking what lives as long as the server does.

    Call it once, when everything is set up. Executions are freed by counting references; a full
    collection for every few thousand of them costs a tenth of the throughput and finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
