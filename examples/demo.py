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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import Progress
from rich.table import Table

from eventmill.errors import EventmillError, LogError
from eventmill.log.lock import held
from examples.arrivals import run_arrivals

REPOSITORY: Final = Path(__file__).resolve().parents[1]
WEATHER: Final = REPOSITORY / "examples" / "weather"
PARTS: Final = ("workflows", "triggers", "handlers", "schemas")
USUAL_FOLDER: Final = REPOSITORY / "build" / "demo"
# Lies in a folder that this program made, and may therefore remove.
MARK: Final = ".made-by-the-demo"
PATIENCE_SECONDS: Final = 60
ARRIVALS: Final = 20  # messages, and as many objects
EVENTS_SHOWN: Final = 4  # of a history, on either side of the crash

BROKEN: Final = "seattle-broken.csv"
BROKEN_TEXT: Final = """date,precipitation,temp_max,temp_min,wind,weather
2012/01/01,0.0,12.8,5.0,4.7,drizzle
2012/01/02,plenty,10.6,2.8,4.5,rain
"""
LATE: Final = "sf-late.csv"

Document = dict[str, Any]

console: Final = Console(highlight=False)


class Disappointed(Exception):
    """Something is not as it should be; the message says what."""


def main() -> int:
    """Run the demo; 0 when every claim held."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--folder", type=Path, default=USUAL_FOLDER, help="where it works")
    arguments.add_argument("--copies", type=int, default=4, help="how often each file is dropped")
    options = arguments.parse_args()
    if not console.is_terminal:
        console.width = 112  # what is piped is not cut to 80 columns
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # the server must not be left behind
    began = time.monotonic()
    project = Project(options.folder.resolve())
    try:
        run(project, max(1, options.copies))
    except Disappointed as error:
        console.print(f"\n[bold red]The demo failed:[/] {escape(str(error))}", soft_wrap=True)
        console.print(f"What there is to look at: {project.shown}", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped, and the server with it.")
        return 130
    console.print(f"\n[dim]That took {time.monotonic() - began:.0f} seconds.[/]")
    return 0


def run(project: "Project", copies: int) -> None:
    """Tell the story, step by step."""
    say(1, f"A project of its own: a copy of this repository's example in {project.shown}")
    make_folder(project)
    say(2, "Start the server: eventmill up")
    with server(project) as process:
        say(3, f"Drop {copies * 3} real weather files into data/inbox/, and one broken one")
        names = drop_files(project, copies)
        until(lambda: in_the_middle(project, process, names), "no execution got to its months")
        say(4, "Pull the plug: kill -9, in the middle of the work")
        process.kill()
        process.wait()
    survivor = look_at_the_wreck(project)
    say(5, f"Drop one more file, {LATE}, while nobody looks")
    shutil.copy(WEATHER / "sf-temps.csv", project.inbox / LATE)
    names.append(LATE)
    say(6, "Start it again: it takes up what was under way, and finds the late file")
    with server(project) as process:
        wait_for_the_end(project, process, len(names))
    check_executions(project, names)
    show_results(project, names)
    prove(project, survivor)
    say(11, "Kafka and S3, on this machine: messages and objects, and a kill -9 in between")
    show_arrivals(project)
    show_what_next(project, survivor.name)


class Project:
    """The folder that the demo works in, and the command line on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inbox = folder / "data" / "inbox"
        self.shown = shown(folder)

    def command(self, *words: str) -> list[str]:
        """`eventmill` with these words, for this project."""
        return [sys.executable, "-m", "eventmill", *words, "--project", str(self.folder)]

    def run(self, *words: str) -> str:
        """What a command writes.

        Raises:
            Disappointed: It ends with another exit code than 0.
        """
        try:
            done = subprocess.run(
                self.command(*words),
                capture_output=True,
                encoding="utf-8",
                timeout=PATIENCE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Disappointed(f"eventmill {' '.join(words)} does not end") from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise Disappointed(f"eventmill {' '.join(words)}: {said}")
        return done.stdout

    def ask(self, *words: str) -> Document:
        """What a command answers to programs."""
        answer: Document = json.loads(self.run(*words, "--json"))
        return answer

    def executions(self) -> list[Document]:
        """All executions, the newest first."""
        listed: list[Document] = self.ask("executions", "list", "--limit", "1000")["executions"]
        return listed

    def results(self) -> dict[str, Document]:
        """What data/results/ holds, by the name of the file it was made from."""
        paths = sorted((self.folder / "data" / "results").glob("*.json"))
        found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        return {result["file"]: result for result in found}


@dataclass(frozen=True)
class Survivor:
    """An execution that was under way when the server was killed, and its history up to there."""

    name: str
    events: Sequence[Document]


# The story


def show_arrivals(project: Project) -> None:
    """See that each message and each object has started one execution.

    Raises:
        Disappointed: One is missing, or came twice.
    """
    try:
        sent, got = run_arrivals(project.folder / "arrivals", ARRIVALS)
    except (EventmillError, TimeoutError, RuntimeError) as error:
        raise Disappointed(str(error)) from error
    claim(
        sent == got,
        f"{ARRIVALS} messages, {ARRIVALS} objects, {got.total()} executions: each exactly once",
    )


def make_folder(project: Project) -> None:
    """Replace what an earlier demo has left.

    Raises:
        Disappointed: The folder is in use, is not the demo's, or cannot be made.
    """
    folder = project.folder
    try:
        if folder.exists() and any(folder.iterdir()):
            if folder != USUAL_FOLDER and not (folder / MARK).exists():
                raise Disappointed(f"{folder} is not empty, and was not made by the demo")
            if (folder / ".eventmill").exists():
                with held(folder / ".eventmill" / "log.db"):
                    pass
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
        for part in PARTS:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / part, folder / part, ignore=ignored)
        project.inbox.mkdir(parents=True)
    except LogError as error:
        raise Disappointed(f"{error}: stop that server first") from error
    except OSError as error:
        raise Disappointed(f"the folder cannot be made: {error}") from error


def drop_files(project: Project, copies: int) -> list[str]:
    """Copy the files in, each under names of its own, and say which."""
    (project.inbox / BROKEN).write_text(BROKEN_TEXT)
    names = [BROKEN]
    for number in range(1, copies + 1):
        names += drop_copies(project, number)
    return names


def drop_copies(project: Project, number: int) -> list[str]:
    """Copy each weather file in once, and say under which names."""
    names = []
    for path in sorted(WEATHER.glob("*.csv")):
        names.append(f"{path.stem}-{number}.csv")
        shutil.copy(path, project.inbox / names[-1])
    return names


def in_the_middle(project: Project, process: "subprocess.Popen[str]", names: list[str]) -> bool:
    """Whether the oldest execution under way has done some of its months, and not all."""
    require_alive(process)
    found = project.executions()
    under_way = [each["name"] for each in found if each["status"] == "RUNNING"]
    if under_way:
        return is_among_its_months(project.ask("executions", "show", under_way[-1]))
    if len(found) == len(names):
        console.print("   They were too quick to be interrupted: three files more.")
        names += drop_copies(project, len(names))
    return False


def is_among_its_months(execution: Document) -> bool:
    maps = (state for state in execution["states"] if state["type"] == "Map")
    return any(0 < state["finished"] < state["length"] for state in maps)


def look_at_the_wreck(project: Project) -> Survivor:
    """Say what the log holds after the crash, and choose an execution to follow.

    Raises:
        Disappointed: All had ended before the server died, or the log is not whole.
    """
    show_status(project)
    under_way = [each["name"] for each in project.executions() if each["status"] == "RUNNING"]
    shown = [project.ask("executions", "show", name) for name in under_way[::-1]]
    chosen = next(filter(is_among_its_months, shown), None)
    if chosen is None:
        raise Disappointed("nothing was under way when the server died; try more: --copies 8")
    (months,) = (state for state in chosen["states"] if state["type"] == "Map")
    tasks = sum("task" in state for state in chosen["states"])
    events = project.ask("history", chosen["name"])["events"]
    say_so(
        f"{dropped_file(chosen)} had {months['finished']} of {months['length']} months done, "
        f"{len(events)} events recorded, and {tasks} tasks at work"
    )
    log = project.ask("audit", "verify")
    claim(log["whole"], f"The log is whole, up to its last row: {log['steps']} steps")
    return Survivor(name=chosen["name"], events=events)


def wait_for_the_end(project: Project, process: "subprocess.Popen[str]", files: int) -> None:
    """Return when as many executions as files have ended; a terminal shows a bar meanwhile."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("   executions that have ended", total=files)

        def have_ended() -> bool:
            require_alive(process)
            found = project.executions()
            ended = sum(1 for each in found if each["status"] != "RUNNING")
            progress.update(bar, completed=ended)
            return ended == len(found) >= files

        until(have_ended, f"not all of {files} executions have ended")


def check_executions(project: Project, names: Sequence[str]) -> None:
    """Every file has exactly one execution, and it ended as it should."""
    say(7, "Look at every execution: one for each file, each ended once")
    show_status(project)
    found = [each["name"] for each in project.executions()]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        shown = list(threads.map(lambda name: project.ask("executions", "show", name), found))
    count = Counter(dropped_file(each) for each in shown)
    wrong = [f"{name} has {count[name]}" for name in {*names, *count} if count[name] != 1]
    claim(
        not wrong,
        f"{len(names)} files, {len(shown)} executions: none lost, none doubled",
        f"files without exactly one execution: {', '.join(wrong)}",
    )
    by_file = {dropped_file(each): each for each in shown}
    bad = by_file.pop(BROKEN)
    wrong = [name for name, each in by_file.items() if each["status"] != "SUCCEEDED"]
    claim(
        not wrong and set(project.results()) == set(by_file),
        f"{len(by_file)} succeeded, and there is a result of each in data/results/",
        f"without success or result: {', '.join(wrong or by_file.keys() ^ project.results())}",
    )
    claim(
        (bad["status"], bad.get("error")) == ("FAILED", "WeatherFileQuarantined"),
        f"{BROKEN} failed, and is in data/quarantine/ with the reason beside it:",
        f"{BROKEN} is {bad['status']}",
    )
    beside = project.folder / "data" / "quarantine" / f"{BROKEN}.reason.json"
    (problem,) = json.loads(beside.read_text(encoding="utf-8"))["reason"]["problems"]
    say_so(f"  row {problem['row']}, {problem['column']}: {problem['message']}")


def show_results(project: Project, names: Sequence[str]) -> None:
    """A row for each weather file, whose copies must have led to the same result."""
    say(8, "The results, in data/results/")
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for heading in ("file", "rows", "months", "mean temperature", "lowest", "highest"):
        right = heading in ("rows", "months")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    results = project.results()
    for path in sorted(WEATHER.glob("*.csv")):
        copies = [results[name] for name in names if name.startswith(path.stem)]
        table.add_row(path.name, *summary(copies[0]))
        if any(copy["months"] != copies[0]["months"] for copy in copies):
            raise Disappointed(f"copies of {path.name} have different results")
    console.print(Padding(table, (0, 0, 0, 3)))
    say_so("Copies of one file have the same result.")


def summary(result: Document) -> Iterator[str]:
    temperatures = [month["temperature"] for month in result["months"]]
    lowest = min((each["lowest"] for each in temperatures), key=lambda each: each["value"])
    highest = max((each["highest"] for each in temperatures), key=lambda each: each["value"])
    yield f"{result['rows']:,}"
    yield str(len(temperatures))
    yield bars([each["mean"] for each in temperatures][:12])
    for extreme in (lowest, highest):
        yield f"{extreme['value']} {temperatures[0]['unit']} on {extreme['date'][:10]}"


def prove(project: Project, survivor: Survivor) -> None:
    """The log proves itself, and the history of one execution shows no seam at the crash."""
    say(9, "Prove it: the chain of hashes over the whole log, then one execution decided again")
    show(project, "audit", "verify")
    show(project, "replay", survivor.name, "--verify")
    say(10, "The history of that execution around the crash, which it lived through")
    before = len(survivor.events)
    events = project.ask("history", survivor.name)["events"]
    lines = project.run("history", survivor.name).splitlines()
    pause = events[before]["timestamp"] - events[before - 1]["timestamp"]
    for line in [lines[0], *lines[before - EVENTS_SHOWN + 1 : before + 1]]:
        console.print(f"   {line}", markup=False, no_wrap=True, overflow="ellipsis")
    console.print(f"   [red]── killed here; it goes on {pause:.1f} seconds later ──[/]")
    for line in lines[before + 1 : before + EVENTS_SHOWN + 1]:
        console.print(f"   {line}", markup=False, no_wrap=True, overflow="ellipsis")
    claim(
        events[:before] == survivor.events,
        f"Its first {before} events are those from before the crash",
    )
    done = Counter(
        event["mapIterationSucceededEventDetails"]["index"]
        for event in events
        if event["type"] == "MapIterationSucceeded"
    )
    claim(
        done == Counter(range(len(done))) and done.total() > 0,
        f"Each of its {len(done)} months was done exactly once",
    )


def show_what_next(project: Project, name: str) -> None:
    """Commands that work now."""
    eventmill = quote(shown(Path(sys.executable).with_name("eventmill")))
    where = f"--project {quote(project.shown)}"
    console.print("\n[bold]Look around:[/]")
    for words in (
        "executions list",
        f"executions show {name}",
        f"history {name}",
        f"replay {name} --at 100",
        "replay --verify --all",
    ):
        console.print(f"   $ {eventmill} {words} {where}", markup=False, soft_wrap=True)
    console.print("[bold]Go on[/] with the server, and drop files yourself in a second terminal:")
    console.print(f"   $ {eventmill} up {where}", markup=False, soft_wrap=True)
    files = quote(shown(WEATHER / "sf-temps.csv")), quote(shown(project.inbox / "sf-mine.csv"))
    console.print(f"   $ cp {' '.join(files)}", markup=False, soft_wrap=True)


# The server


@contextmanager
def server(project: Project) -> Iterator["subprocess.Popen[str]"]:
    """`eventmill up` for as long as the block lasts; its lines are shown as they come."""
    process = subprocess.Popen(
        project.command("up", "--port", "0"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env={name: value for name, value in os.environ.items() if name != "FORCE_COLOR"},
        start_new_session=True,  # a Ctrl-C is for this program, which then stops the server
    )
    ready = threading.Event()
    teller = threading.Thread(target=tell, args=(process, ready), daemon=True)
    teller.start()
    try:
        if not ready.wait(PATIENCE_SECONDS):
            raise Disappointed("the server was not ready in time")
        require_alive(process)
        yield process
    finally:
        stop(process)
        teller.join()


def tell(process: "subprocess.Popen[str]", ready: threading.Event) -> None:
    """Show what the server says, and take note when it is ready or has ended."""
    assert process.stdout is not None
    for line in process.stdout:
        console.print("   [dim]│[/] " + escape(line.rstrip()), soft_wrap=True)
        if line.startswith("Ready"):
            ready.set()
    process.wait()
    ready.set()


def stop(process: "subprocess.Popen[str]") -> None:
    """End the server if it runs: by asking it, and if that does not help, by force."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def require_alive(process: "subprocess.Popen[str]") -> None:
    """See that the server runs.

    Raises:
        Disappointed: It has ended.
    """
    if process.poll() is not None:
        raise Disappointed(f"the server ended by itself, with exit code {process.returncode}")


# Saying things


def say(number: int, text: str) -> None:
    """Begin a step of the story."""
    console.print(f"\n[bold cyan]{number}[/] [bold]{escape(text)}[/]", soft_wrap=True)


def say_so(text: str) -> None:
    """Say something within a step."""
    console.print(f"   {text}", markup=False, soft_wrap=True)


def claim(holds: bool, text: str, otherwise: str = "") -> None:
    """Say that something holds.

    Raises:
        Disappointed: It does not.
    """
    if not holds:
        raise Disappointed(otherwise or f"this does not hold: {text}")
    console.print(f"   [green]✓[/] {escape(text)}", soft_wrap=True)


def show(project: Project, *words: str) -> None:
    """Run a command and show what it says."""
    console.print(f"   [bold]$ eventmill {' '.join(words)}[/]", soft_wrap=True)
    for line in project.run(*words).splitlines():
        say_so(line)


def show_status(project: Project) -> None:
    """Say how many executions have which status."""
    status = Counter(each["status"] for each in project.executions())
    counts = ", ".join(f"{number} {name}" for name, number in sorted(status.items()))
    say_so(f"$ eventmill executions list → {counts}")


def until(condition: Callable[[], bool], otherwise: str) -> None:
    """Wait for something to become true in another process, which can only be asked."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise Disappointed(f"{otherwise}, in {PATIENCE_SECONDS} seconds")
        time.sleep(0.05)


def dropped_file(execution: Document) -> str:
    """The name of the file that started an execution."""
    name: str = json.loads(execution["input"])["name"]
    return name


def shown(path: Path) -> str:
    """A path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def bars(values: Sequence[float]) -> str:
    """A row of bars, as high as the values.

    >>> bars([1, 3, 2])
    '▁█▅'
    """
    low, high = min(values), max(values)
    return "".join("▁▂▃▄▅▆▇█"[round(7 * (each - low) / ((high - low) or 1))] for each in values)


if __name__ == "__main__":
    sys.exit(main())
