"""The main job on real data, with a crash in the middle: what `make demo` runs.

It uses Eventmill as a user would: the `eventmill` command, a project folder, files dropped into it.
Everything it writes lies in build/demo/, which stays for looking around until the next run.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

REPOSITORY: Final = Path(__file__).resolve().parents[1]
WEATHER: Final = REPOSITORY / "examples" / "weather"
PARTS: Final = ("workflows", "triggers", "handlers", "schemas")
PATIENCE_SECONDS: Final = 60

arguments: Final = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--folder", type=Path, default=REPOSITORY / "build" / "demo")
arguments.add_argument("--copies", type=int, default=4, help="how often each file is dropped")
OPTIONS: Final = arguments.parse_args()
PROJECT: Final[Path] = OPTIONS.folder.resolve()
COPIES: Final[int] = OPTIONS.copies

BROKEN: Final = "seattle-broken.csv"
BROKEN_TEXT: Final = """date,precipitation,temp_max,temp_min,wind,weather
2012/01/01,0.0,12.8,5.0,4.7,drizzle
2012/01/02,plenty,10.6,2.8,4.5,rain
"""

console: Final = Console(highlight=False)
console.width = max(console.width, 112)  # what is piped is not cut to 80 columns
Execution = dict[str, Any]


class Disappointed(Exception):
    """Something is not as it should be; the message says what."""


def main() -> int:
    """Run the demo; 0 when every claim held."""
    began = time.monotonic()
    try:
        run()
    except Disappointed as error:
        console.print(f"\n[bold red]The demo failed:[/] {error}")
        console.print(f"What it left to look at: {PROJECT}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 130
    console.print(f"\n[dim]That took {time.monotonic() - began:.0f} seconds.[/]")
    return 0


def run() -> None:
    """Tell the story, step by step."""
    say(1, f"A project of its own: a copy of this repository's example in {PROJECT}")
    make_project()
    with server(say_first="Start the server: eventmill up") as process:
        say(3, f"Drop {COPIES * 3 + 1} real weather files into data/inbox/, one of them broken")
        names = drop_files()
        until(lambda: in_the_middle(process, names), "no execution got as far as its months")
        say(4, "Pull the plug: kill -9, in the middle of the work")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    interrupted = [each for each in executions() if each["status"] == "RUNNING"]
    if not interrupted:
        raise Disappointed("all had ended before the server died; try more files: --copies 8")
    show_status()
    say(5, "Drop one more file, while nobody looks")
    shutil.copy(WEATHER / "sf-temps.csv", PROJECT / "data/inbox/sf-late.csv")
    names.append("sf-late.csv")
    with server(
        say_first="Start it again: it takes up what was under way, and finds the late file"
    ):
        wait_for_the_end(len(names))
    check(names)
    show_results()
    prove(interrupted[-1]["name"])
    show_what_next(interrupted[-1]["name"])


# The story


def make_project() -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    try:
        if PROJECT.exists():
            shutil.rmtree(PROJECT)
        for part in PARTS:
            shutil.copytree(REPOSITORY / part, PROJECT / part, ignore=ignored)
        (PROJECT / "data/inbox").mkdir(parents=True)
    except OSError as error:
        raise Disappointed(f"the folder cannot be made: {error}") from error


def drop_files() -> list[str]:
    """Copy the files in, each under names of its own, and say which."""
    (PROJECT / "data/inbox" / BROKEN).write_text(BROKEN_TEXT)
    return [BROKEN, *(name for number in range(1, COPIES + 1) for name in drop_copies(number))]


def drop_copies(number: int) -> list[str]:
    names = []
    for path in sorted(WEATHER.glob("*.csv")):
        names.append(f"{path.stem}-{number}.csv")
        shutil.copy(path, PROJECT / "data/inbox" / names[-1])
    return names


def in_the_middle(process: "subprocess.Popen[str]", names: list[str]) -> bool:
    """Whether the oldest execution under way has got as far as its months."""
    if process.poll() is not None:
        raise Disappointed(f"the server ended by itself, with exit code {process.returncode}")
    found = executions()
    under_way = [each["name"] for each in found if each["status"] == "RUNNING"]
    if under_way:
        events = ask("history", under_way[-1])["events"]
        return any(event["type"] == "MapIterationSucceeded" for event in events)
    if len(found) == len(names):
        console.print("   They were too quick to be interrupted: three files more.")
        names += drop_copies(len(names))
    return False


def wait_for_the_end(files: int) -> None:
    def ended() -> bool:
        found = executions()
        return len(found) == files and all(each["status"] != "RUNNING" for each in found)

    until(ended, f"not all of {files} executions have ended")


def check(names: Sequence[str]) -> None:
    """Every file has exactly one execution, and it ended as it should."""
    say(7, "Look at every execution: one for each file, each ended once")
    wrong = []
    files = Counter[str]()
    for execution in executions():
        shown = ask("executions", "show", execution["name"])
        name = json.loads(shown["input"])["name"]
        files[name] += 1
        wanted = "FAILED" if name == BROKEN else "SUCCEEDED"
        if shown["status"] != wanted:
            wrong.append(f"{name} is {shown['status']}, not {wanted}")
    for name in names:
        if files[name] != 1:
            wrong.append(f"{name} has {files[name]} executions, not 1")
    if wrong:
        raise Disappointed("; ".join(wrong))
    show_status()
    console.print(f"   {len(names)} files, {len(names)} executions: none lost, none doubled.")
    reason = json.loads((PROJECT / f"data/quarantine/{BROKEN}.reason.json").read_text())
    problem = reason["reason"]["problems"][0]
    console.print(
        f"   {BROKEN} is in data/quarantine/, the reason beside it: "
        f"row {problem['row']}, {problem['column']}: {problem['message']}",
        soft_wrap=True,
    )


def show_results() -> None:
    say(8, "The results, in data/results/")
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading in ("file", "rows", "months", "temperature", "lowest", "highest"):
        justify: Any = "right" if heading in ("rows", "months") else "left"
        table.add_column(heading, justify=justify, no_wrap=True)
    for path in sorted((PROJECT / "data/results").glob("*-1.json")):
        result = json.loads(path.read_text())
        temperatures = [month["temperature"] for month in result["months"]]
        table.add_row(
            result["file"],
            f"{result['rows']:,}",
            str(len(result["months"])),
            bars([each["mean"] for each in temperatures][:12]),
            extreme(min(temperatures, key=lambda each: each["lowest"]["value"]), "lowest"),
            extreme(max(temperatures, key=lambda each: each["highest"]["value"]), "highest"),
        )
    console.print(table)


def prove(name: str) -> None:
    say(9, "Prove it: the chain of hashes over the whole log, then one execution decided again")
    show("audit", "verify")
    show("replay", name, "--verify")
    say(10, f"What happened to {name}, which lived through the crash")
    show("history", name, lines=8)


def show_what_next(name: str) -> None:
    eventmill = quote(str(Path(sys.executable).with_name("eventmill")))
    console.print(f"\n[bold]Look around[/] in {PROJECT}:", soft_wrap=True)
    for line in (
        f"cd {quote(str(PROJECT))}",
        f"{eventmill} executions list",
        f"{eventmill} history {name}",
        f"{eventmill} replay {name} --at 10",
        f"{eventmill} up          # and drop a file into data/inbox/",
    ):
        console.print(f"   {line}", markup=False, soft_wrap=True)


# The command line, as a user has it


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "eventmill", *words, "--project", str(PROJECT)]


def ask(*words: str) -> Any:
    """What a command answers to programs."""
    done = subprocess.run(command(*words, "--json"), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Disappointed(f"eventmill {' '.join(words)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def show(*words: str, lines: int | None = None) -> None:
    """Run a command and print what it says."""
    console.print(f"   [bold]$ eventmill {' '.join(words)}[/]")
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines()[:lines]:
        console.print(f"   {line}", markup=False, soft_wrap=True)
    if done.returncode:
        raise Disappointed(f"eventmill {' '.join(words)}: {(done.stderr or done.stdout).strip()}")


def executions() -> list[Execution]:
    found: list[Execution] = ask("executions", "list", "--limit", "1000")["executions"]
    return found


@contextmanager
def server(say_first: str) -> Iterator["subprocess.Popen[str]"]:
    """`eventmill up` for as long as the block lasts; its lines are shown as they come."""
    say(6 if "again" in say_first else 2, say_first)
    process = subprocess.Popen(
        command("up", "--port", "0"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    ready = threading.Event()
    teller = threading.Thread(target=tell, args=(process, ready), daemon=True)
    teller.start()
    try:
        if not ready.wait(PATIENCE_SECONDS):
            raise Disappointed("the server was not ready in time")
        if process.poll() is not None:
            raise Disappointed(f"the server did not start: exit code {process.returncode}")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_SECONDS)
        teller.join()


def tell(process: "subprocess.Popen[str]", ready: threading.Event) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        console.print("   [dim]│[/] " + escape(line.rstrip()), soft_wrap=True)
        if line.startswith("Ready"):
            ready.set()
    ready.set()


# Small things


def say(number: int, text: str) -> None:
    console.print(f"\n[bold cyan]{number}[/] [bold]{text}[/]", soft_wrap=True)


def until(condition: Callable[[], bool], otherwise: str) -> None:
    """Wait for something to become true in another process, which can only be asked."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise Disappointed(f"{otherwise}, in {PATIENCE_SECONDS} seconds")
        time.sleep(0.05)


def show_status() -> None:
    status = Counter(each["status"] for each in executions())
    counts = ", ".join(f"{number} {name}" for name, number in sorted(status.items()))
    console.print(f"   $ eventmill executions list → {counts}")


def bars(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return "".join("▁▂▃▄▅▆▇█"[round(7 * (each - low) / ((high - low) or 1))] for each in values)


def extreme(temperature: dict[str, Any], which: str) -> str:
    found = temperature[which]
    return f"{found['value']} {temperature['unit']} on {found['date'][:10]}"


if __name__ == "__main__":
    sys.exit(main())
