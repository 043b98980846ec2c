"""Definitions that are valid and mostly make sense: strategies for all eight states.

A state leads to later states only, but for loops that count their rounds. So an execution ends
when the world answers, and each definition is worth running. Expressions sometimes lead nowhere:
that is the author's kind of failure, and belongs to what is tested.
"""

from typing import Any, Final

from hypothesis import strategies as st

Definition = dict[str, Any]
Language = str

JSONPATH: Final = "JSONPath"
JSONATA: Final = "JSONata"

LOOP_ROUNDS: Final = 3
ERRORS: Final = ("Flaky", "Broken", "States.Timeout", "States.TaskFailed", "States.ALL")
FUNCTION: Final = "arn:aws:lambda:eu-central-1:123456789012:function:work"
INVOKE: Final = "arn:aws:states:::lambda:invoke"

WHOLE: Final = {"n": 0, "items": [1, 2, 3], "text": "é", "at": "2023-11-14T22:13:50Z"}
INPUTS: Final[tuple[Any, ...]] = (
    WHOLE,
    {**WHOLE, "n": 1, "items": [{"k": 1.0}, [5]], "deep": {"a": [None, True, -0.0, 1e300]}},
    {**WHOLE, "n": 2, "items": [], "text": '["x"]'},
    {**WHOLE, "items": list(range(12))},
    {**WHOLE, "n": -1.5, "at": "later", "text": "x" * 40},
    None,
)

# What a JSONPath state may read, and what is not always there.
PATHS: Final = ("$", "$.n", "$.items", "$.text", "$$.State.Name", "$.items[*]", "$..k",
                "$$.Execution.Input")  # fmt: skip
RISKY_PATHS: Final = ("$.absent", "$.items[0]", "$$.Map.Item.Index", "$.items[?(@ > 1)].a", "$.n.n")
INTRINSICS: Final = (
    "States.Array($.n, $.items)", "States.Format('{} of {}', $.n, $$.State.Name)",
    "States.ArrayLength($.items)", "States.UUID()", "States.MathRandom(1, 100)",
    "States.JsonToString($)", "States.Hash($.text, 'SHA-256')", "States.ArrayUnique($.items)",
)  # fmt: skip
RISKY_INTRINSICS: Final = ("States.StringToJson($.text)", "States.MathAdd($.text, 1)")
# What a JSONata state may read, and what is undefined or an error at times.
QUERIES: Final = (
    "$states.input", "$states.input.n", "$states.input.items", "$states.context.State.Name",
    "$map($states.input.items, function($i) { {'is': $i} })", "$uuid()", "$random()",
    "$exists($states.input.n) ? $states.input.n : 0", "[$states.input.text, null]", "$now()",
    "$string($states.input)", "$states.context", "$states.context.Execution.Input.n ~> $string",
)  # fmt: skip
RISKY_QUERIES: Final = (
    "$states.input.absent", "$states.input.n + 1", "$sum($states.input.items)", "$shuffle([1..3])",
    "$merge([$states.input, {'more': 1.5}])", "$keys($states.input)", "$parse($states.input.text)",
)  # fmt: skip
KEEPING_QUERIES: Final = (
    "{% $states.input %}",
    "{% $merge([$states.input, {'result': $states.context.State.Name}]) %}",
)
RESULTS: Final[tuple[Any, ...]] = (
    {"n": 2, "items": ["a", "b"]}, [], "done", None, 1.0, {"items": [[], {}], "text": "y" * 30}
)  # fmt: skip


class _Scope:
    """Where states stand: names are given once in a definition, variables belong to a scope."""

    def __init__(self, draw: st.DrawFn, outer: "_Scope | None", language: Language) -> None:
        self.draw = draw
        self.depth: int = outer.depth + 1 if outer else 0
        self.machine_language = language  # which states inside have, unless they say otherwise
        self.language = language
        self.counter: list[int] = outer.counter if outer else [0]
        self.own = f"v{self.fresh()}"
        self.readable: list[str] = [*(outer.readable if outer else []), self.own]

    def fresh(self) -> int:
        self.counter[0] += 1
        return self.counter[0]

    def maybe(self, chance: int = 3) -> bool:
        """Once in `chance` draws; never, in the simplest example."""
        return bool(self.draw(st.integers(0, chance - 1)) == chance - 1)

    def one_of(self, values: Any) -> Any:
        return self.draw(st.sampled_from(values))


def definitions() -> st.SearchStrategy[Definition]:
    """Whole definitions."""
    return _definitions()


@st.composite
def _definitions(draw: st.DrawFn) -> Definition:
    language = draw(st.sampled_from([JSONPATH, JSONATA]))
    scope = _Scope(draw, None, language)
    definition: Definition = _branch(scope)
    if language == JSONATA or scope.maybe():
        definition["QueryLanguage"] = language
    if scope.maybe(6):
        definition["TimeoutSeconds"] = draw(st.integers(1, 100))
    return definition


def _branch(scope: _Scope) -> Definition:
    count = scope.draw(st.integers(2, 5) if scope.depth == 0 else st.integers(1, 2))
    names = [f"S{scope.fresh()}" for _ in range(count)]
    states: Definition = {}
    for position, name in enumerate(names):
        later = names[position + 1 :]
        if later and scope.depth < 2 and scope.maybe(8):
            states |= _loop(scope, name, later)
        else:
            states[name] = _state(scope, later)
    return {"StartAt": names[0], "States": states}


def _loop(scope: _Scope, name: str, later: list[str]) -> Definition:
    """Two states that go round each other while a variable is small."""
    look, variable = f"{name} look", f"loop{scope.fresh()}"
    begin = f"{name} begin"
    scope.readable.append(variable)
    if scope.language == JSONATA:
        count: Definition = {"Type": "Pass", "Assign": {variable: f"{{% ${variable} + 1 %}}"}}
        rule: Definition = {"Condition": f"{{% ${variable} < {LOOP_ROUNDS} %}}"}
    else:
        count = {"Type": "Pass", "Assign": {f"{variable}.$": f"States.MathAdd(${variable}, 1)"}}
        rule = {"Variable": f"${variable}", "NumericLessThan": LOOP_ROUNDS}
    turn = f"{name} turn"
    return {
        name: {"Type": "Pass", "Assign": {variable: 0}, "Next": begin},
        begin: {"Type": "Wait", "Seconds": 0, "Next": turn},
        turn: {**count, "Next": look},
        look: {"Type": "Choice", "Choices": [{**rule, "Next": begin}], "Default": later[0]},
    }


def _state(scope: _Scope, later: list[str]) -> Definition:
    simple = ["Pass", "Task", "Wait", "Task", "Task"]
    if later:
        simple.append("Choice")
    else:
        simple += ["Succeed", "Fail"]
    if scope.depth < 2:
        simple += ["Parallel", "Map"]
    kind = scope.one_of(simple)
    local = scope
    if scope.language == JSONPATH and scope.maybe(8):
        local = _in_jsonata(scope)
    state: Definition = {"Type": kind, **_STATES[kind](local, later)}
    if local is not scope:
        state["QueryLanguage"] = JSONATA
    return state


def _in_jsonata(scope: _Scope) -> _Scope:
    """The same scope for a single state in the other language."""
    local = object.__new__(_Scope)
    local.__dict__.update(scope.__dict__, language=JSONATA)
    return local


def _way_on(later: list[str]) -> Definition:
    """To the very next state, so that every state can be reached; others jump further."""
    return {"Next": later[0]} if later else {"End": True}


def _expression(scope: _Scope) -> str:
    jsonata = scope.language == JSONATA
    if scope.maybe(6):
        risky = RISKY_QUERIES if jsonata else RISKY_PATHS + RISKY_INTRINSICS
        text = scope.one_of((*risky, *(f"${name}" for name in scope.readable)))
    else:
        text = scope.one_of(QUERIES if jsonata else PATHS + INTRINSICS)
    return f"{{% {text} %}}" if jsonata else str(text)


def _path(scope: _Scope) -> str:
    if scope.maybe(6):
        return str(scope.one_of((*RISKY_PATHS, *(f"${name}" for name in scope.readable))))
    return str(scope.one_of(PATHS))


def _kept(scope: _Scope) -> Definition:
    """Most of the time a state adds to its input, so that the next one finds what it reads."""
    if scope.maybe(4):
        return {}
    if scope.language == JSONATA:
        return {"Output": scope.one_of(KEEPING_QUERIES)}
    return {"ResultPath": scope.one_of(["$.result", None, "$.deep.made"])}


def _template(scope: _Scope) -> Definition:
    suffix = "" if scope.language == JSONATA else ".$"
    return {"fixed": [1, {"a": None}], f"made{suffix}": _expression(scope)}


def _io(scope: _Scope, *fields: str) -> Definition:
    """Some of these fields of data flow, where the language has them."""
    chosen: Definition = {}
    for field in fields:
        if not scope.maybe(4):
            continue
        jsonata = scope.language == JSONATA
        if field == "Assign":
            key = scope.own if jsonata or scope.maybe() else f"{scope.own}.$"
            value: Any = _expression(scope) if jsonata or key.endswith("$") else [1.0, {"b": []}]
            chosen[field] = {key: value}
        elif field in ("Output", "Arguments") and jsonata:
            chosen[field] = scope.one_of([_expression(scope), _template(scope)])
        elif field in ("InputPath", "OutputPath") and not jsonata:
            chosen[field] = scope.one_of(["$", "$", "$", None, _path(scope)])
        elif field == "ResultPath" and not jsonata:
            chosen[field] = scope.one_of(["$", None, "$.result", "$.deep.made", "$.items[1]"])
        elif field in ("Parameters", "ResultSelector") and not jsonata:
            chosen[field] = _template(scope)
    return chosen


def _pass(scope: _Scope, later: list[str]) -> Definition:
    state = _io(scope, "InputPath", "Parameters", "ResultPath", "OutputPath", "Assign", "Output")
    if scope.language == JSONPATH and scope.maybe():
        state["Result"] = scope.one_of(RESULTS)
    return {**state, **_kept(scope), **_way_on(later)}


def _task(scope: _Scope, later: list[str]) -> Definition:
    resource = scope.one_of([FUNCTION, INVOKE, f"{INVOKE}.waitForTaskToken"])
    state = _io(
        scope, "InputPath", "ResultSelector", "ResultPath", "OutputPath", "Assign", "Output"
    )
    if resource == FUNCTION:
        state |= _io(scope, "Parameters", "Arguments")
    else:
        jsonata = scope.language == JSONATA
        token = "{% $states.context.Task.Token %}" if jsonata else "$$.Task.Token"
        payload: Definition = {"data" if jsonata else "data.$": _expression(scope)}
        if resource != INVOKE:
            payload["token" if jsonata else "token.$"] = token
        call = {"FunctionName": "work", "Payload": payload}
        state["Arguments" if jsonata else "Parameters"] = call
    state |= _limits(scope)
    state |= _kept(scope)
    return {"Resource": resource, **state, **_handlers(scope, later), **_way_on(later)}


def _limits(scope: _Scope) -> Definition:
    read: Definition = {"TimeoutSecondsPath": "$.n", "HeartbeatSeconds": 1}
    if scope.language == JSONATA:
        read = {"TimeoutSeconds": "{% $states.input.n + 20 %}", "HeartbeatSeconds": 1}
    fixed: Definition = {"TimeoutSeconds": scope.one_of([20, 60])}
    limits: Definition = scope.one_of(
        [{}, {}, {"TimeoutSeconds": 1}, fixed, {"HeartbeatSeconds": 5, **fixed}, read]
    )
    return limits


def _handlers(scope: _Scope, later: list[str]) -> Definition:
    handlers: Definition = {}
    if scope.maybe(2):
        retrier: Definition = {"ErrorEquals": [scope.one_of(ERRORS)]}
        retrier["MaxAttempts"] = scope.one_of([0, 1, 2])
        if scope.maybe():
            retrier["IntervalSeconds"] = scope.one_of([1, 3])
            retrier["BackoffRate"] = 1.5
            retrier["JitterStrategy"] = scope.one_of(["NONE", "FULL"])
        handlers["Retry"] = [retrier]
    if later and scope.maybe(2):
        catcher: Definition = {"ErrorEquals": [scope.one_of(ERRORS)], **_io(scope, "ResultPath")}
        catcher["Next"] = scope.one_of(later)
        if scope.language == JSONATA and scope.maybe():
            catcher["Output"] = "{% $states.errorOutput %}"
        if scope.maybe():
            key, value = (scope.own, "{% $states.errorOutput.Error %}")
            if scope.language == JSONPATH:
                key, value = f"{scope.own}.$", "$.Cause"
            catcher["Assign"] = {key: value}
        handlers["Catch"] = [catcher]
    return handlers


def _wait(scope: _Scope, later: list[str]) -> Definition:
    if scope.language == JSONATA:
        length: Definition = scope.one_of(
            [{"Seconds": 0}, {"Seconds": 7}, {"Seconds": "{% $states.input.n %}"},
             {"Timestamp": "{% $states.input.at %}"}, {"Timestamp": "2023-11-14T22:14:00Z"}]
        )  # fmt: skip
    else:
        length = scope.one_of(
            [{"Seconds": 0}, {"Seconds": 7}, {"SecondsPath": "$.n"}, {"TimestampPath": "$.at"},
             {"Timestamp": "2023-11-14T22:14:00Z"}]
        )  # fmt: skip
    io = _io(scope, "InputPath", "OutputPath", "Assign", "Output")
    return {**length, **io, **_way_on(later)}


def _choice(scope: _Scope, later: list[str]) -> Definition:
    if scope.language == JSONATA:
        tests: list[Definition] = [
            {"Condition": "{% $states.input.n > 0 %}"},
            {"Condition": "{% $exists($states.input.items[0]) %}"},
            {"Condition": "{% $states.input.text %}"},
        ]
    else:
        tests = [
            {"Variable": "$.n", "NumericGreaterThan": 0},
            {"Variable": "$.items[0]", "IsPresent": True},
            {"Not": {"Variable": "$.text", "StringMatches": "*x*"}},
            {"And": [{"Variable": "$.n", "IsNumeric": True}, {"Variable": "$", "IsNull": False}]},
        ]
    rules = [
        {**scope.one_of(tests), **_io(scope, "Assign", "Output"), "Next": scope.one_of(later)}
        for _ in range(scope.draw(st.integers(1, 2)))
    ]
    state: Definition = {"Choices": rules, **_io(scope, "InputPath", "OutputPath", "Assign")}
    if scope.maybe(4):
        rules[-1]["Next"] = later[0]
    else:
        state["Default"] = later[0]
    return state


def _succeed(scope: _Scope, later: list[str]) -> Definition:
    return _io(scope, "InputPath", "OutputPath", "Output")


def _fail(scope: _Scope, later: list[str]) -> Definition:
    if scope.language == JSONATA:
        return {"Error": scope.one_of(["Broken", "{% $states.input.text %}"]), "Cause": "why"}
    fail: Definition = scope.one_of(
        [{}, {"Error": "Broken"}, {"Error": "Flaky", "CausePath": "$.text"}]
    )
    return fail


def _parallel(scope: _Scope, later: list[str]) -> Definition:
    branches = [
        _branch(_Scope(scope.draw, scope, scope.machine_language))
        for _ in range(scope.draw(st.integers(1, 3)))
    ]
    io = _io(
        scope, "InputPath", "Parameters", "Arguments", "ResultSelector", "ResultPath",
        "OutputPath", "Assign", "Output",
    )  # fmt: skip
    io |= _kept(scope)
    return {"Branches": branches, **io, **_handlers(scope, later), **_way_on(later)}


def _map(scope: _Scope, later: list[str]) -> Definition:
    processor = _branch(_Scope(scope.draw, scope, scope.machine_language))
    state = _io(
        scope, "InputPath", "ResultSelector", "ResultPath", "OutputPath", "Assign", "Output"
    )
    if scope.language == JSONATA:
        state["Items"] = scope.one_of(
            ["{% $states.input.items %}", "{% [1..5] %}", [1, "{% $states.input.n %}"]]
        )
    elif not scope.maybe(6):
        state["ItemsPath"] = "$.items"
    if scope.maybe():
        state["ItemSelector"] = _template(scope)
    if scope.maybe(2):
        state["MaxConcurrency"] = scope.one_of([1, 2])
    return {
        "ItemProcessor": processor, **state, **_kept(scope), **_handlers(scope, later),
        **_way_on(later),
    }  # fmt: skip


_STATES: Final = {
    "Pass": _pass, "Task": _task, "Choice": _choice, "Wait": _wait, "Succeed": _succeed,
    "Fail": _fail, "Parallel": _parallel, "Map": _map,
}  # fmt: skip
