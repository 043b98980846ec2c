"""State machines to draw: random ones, and those that the tests name."""

from typing import Any

from hypothesis import strategies as st

Definition = dict[str, Any]
FUNCTION = "arn:aws:lambda:local:000000000000:function:work"


def row(count: int) -> Definition:
    """So many states in a row."""
    states: Definition = {
        f"s{index}": {"Type": "Pass", "Next": f"s{index + 1}"} for index in range(count - 1)
    }
    states[f"s{count - 1}"] = {"Type": "Pass", "End": True}
    return {"StartAt": "s0", "States": states}


def choice(*targets: str, default: str | None = None) -> Definition:
    rules = [
        {"Variable": "$.n", "NumericEquals": index, "Next": target}
        for index, target in enumerate(targets)
    ]
    fallback = {} if default is None else {"Default": default}
    return {"Type": "Choice", "Choices": rules, **fallback}


def task(next: str | None = None, *, catch: str | None = None) -> Definition:
    goes_on: Definition = {"End": True} if next is None else {"Next": next}
    caught = {} if catch is None else {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": catch}]}
    return {"Type": "Task", "Resource": FUNCTION, **goes_on, **caught}


@st.composite
def machines(draw: st.DrawFn, depth: int = 2, prefix: str = "") -> Definition:
    """Any graph of states, with loops, dead ends and unreachable states; nested twice at most."""
    count = draw(st.integers(1, 9))
    names = [f"{prefix}{index}" for index in range(count)]
    some_name = st.sampled_from(names)
    states = {}
    for name in names:
        kinds = ["Pass", "Task", "Choice", "Succeed", "Fail", "Wait"]
        kinds += ["Parallel", "Map"] if depth else []
        states[name] = draw(_states(draw(st.sampled_from(kinds)), name, some_name, depth))
    return {"StartAt": draw(some_name), "States": states}


@st.composite
def _states(
    draw: st.DrawFn, kind: str, name: str, some_name: st.SearchStrategy[str], depth: int
) -> Definition:
    state: Definition = {"Type": kind}
    if kind in ("Succeed", "Fail"):
        return state
    if kind == "Choice":
        targets = draw(st.lists(some_name, min_size=1, max_size=4))
        return choice(*targets, default=draw(st.none() | some_name))
    state |= draw(st.just({"End": True}) | some_name.map(lambda next: {"Next": next}))
    if kind in ("Task", "Parallel", "Map"):
        state["Catch"] = [
            {
                "ErrorEquals": [draw(st.sampled_from(["States.ALL", "A", "Some.LongerName"]))],
                "Next": target,
            }
            for target in draw(st.lists(some_name, max_size=2))
        ]
        state["Retry"] = [{"ErrorEquals": ["States.ALL"]}] * draw(st.integers(0, 1))
    if kind == "Parallel":
        branches = range(draw(st.integers(0, 3)))
        state["Branches"] = [draw(machines(depth - 1, f"{name}.{each}.")) for each in branches]
    if kind == "Map":
        state["ItemProcessor"] = draw(machines(depth - 1, f"{name}.p."))
    return state
