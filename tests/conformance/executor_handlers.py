"""The handlers that executors are tried on, as the files of a project."""

HANDLERS = {
    "basic.py": """
import asyncio
import threading
from datetime import datetime

async def echo(event, context):
    return event

def in_a_thread(event, context):
    return threading.current_thread() is threading.main_thread()

async def mutate(event, context):
    event["list"].append("changed")
    return event

async def tell_context(event, context):
    return [
        context.function_name, context.execution_arn, context.state_name, context.attempt,
        context.idempotency_key, context.task_token, context.deadline_ms, context.aws_request_id,
        context.function_version, context.remaining_time_ms() > 0,
        context.get_remaining_time_in_millis() > 0,
    ]

async def beat(event, context):
    context.heartbeat()

async def beat_ten_thousand_times(event, context):
    for _ in range(10_000):
        context.heartbeat()

def beat_in_a_thread(event, context):
    context.heartbeat()

VALUES = {
    "nan": float("nan"), "infinity": [float("inf")], "set": {1}, "int key": {1: "one"},
    "surrogate": "\\ud800", "surrogate key": {"\\ud800": 1}, "date": datetime(2020, 1, 1),
    "bytes": b"text", "object": object(), "set inside": {"a": [{"b": {1}}]},
    "tuple": (1, ("two",)), "great": 10**30, "large": "x" * 6_291_556,
}

async def value(event, context):
    return VALUES[event]

async def nested(event, context):
    value = None
    for _ in range(event):
        value = [value]
    return value
""",
    "failing.py": """
import asyncio
import sys
from eventmill import HandlerError

class Custom(Exception):
    pass

class Mute(Exception):
    def __str__(self):
        raise RuntimeError

def check(value):
    raise Custom(f"bad {value}")

async def raise_error(event, context):
    check("Ünïcode")

def raise_in_a_thread(event, context):
    raise Custom()

async def raise_mute(event, context):
    raise Mute()

async def raise_surrogate(event, context):
    raise Custom("\\ud800")

async def choose_error(event, context):
    raise HandlerError("Weather.Missing", "no file")

async def choose_error_without_cause(event, context):
    raise HandlerError("Weather.Missing")

async def leave(event, context):
    sys.exit(event)

def leave_in_a_thread(event, context):
    sys.exit(event)

async def interrupt(event, context):
    raise KeyboardInterrupt

async def cancel_itself(event, context):
    raise asyncio.CancelledError
""",
    "slow.py": """
import asyncio
import time
from pathlib import Path
from eventmill import handler

async def wait(event, context):
    Path(event, "began").touch()
    try:
        await asyncio.sleep(3600)
    finally:
        Path(event, "cleaned").touch()

def wait_in_a_thread(event, context):
    time.sleep(0.4)

async def ignore(event, context):
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            pass
    return "late"

async def swallow(event, context):
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        return "as if nothing had happened"

@handler(name="Slow-Import.v2", timeout_seconds=0.05)
async def named(event, context):
    await asyncio.sleep(3600)
""",
    "weather.py": """
from units import celsius            # as Lambda finds it
from handlers.units import kelvin    # as a project does

async def parse(record, _):
    return [celsius(record), kelvin(record)]

def lambda_handler(anything, whatever):
    return "entry point"

def _private(event, context):
    return None
""",
    "units.py": """
def celsius(value):
    return value

def kelvin(value):
    return value + 273
""",
    "etl/__init__.py": "",
    "etl/clean.py": """
from .words import word

async def tidy(event, context):
    return word
""",
    "etl/words.py": 'word = "relative"\n',
    "broken_import.py": """
import no_such_module

async def needs_module(event, context):
    return 1
""",
    "broken_syntax.py": "async def half(event, context:\n",
    "leaves_at_import.py": """
import sys
sys.exit(1)

async def never_loaded(event, context):
    return 1
""",
    "twice_a.py": "async def twice(event, context): return 'a'\n",
    "twice_b.py": "\nasync def twice(event, context): return 'b'\n",
}
