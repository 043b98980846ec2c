"""The colours of a drawing and its style sheet."""

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

Theme: TypeAlias = Literal["auto", "light", "dark"]
"""`auto` follows what the reader prefers; the other two are fixed, for readers of plain SVG."""

_LIGHT: Final[Mapping[str, str]] = {
    "paper": "#ffffff", "box": "#ffffff", "ink": "#1b2430", "muted": "#5c6878",
    "edge": "#b4bdc9", "line": "#8a95a5", "group": "#f4f6f9", "lane": "#ffffff",
    "task": "#d97706", "choice": "#7c3aed", "wait": "#0284c7", "pass": "#64748b",
    "parallel": "#0f766e", "map": "#0f766e", "succeed": "#15803d", "fail": "#b91c1c",
    "catch": "#c2410c",
    "succeeded": "#15803d", "succeeded-fill": "#eaf7ee",
    "failed": "#b91c1c", "failed-fill": "#fdecec",
    "caught": "#c2410c", "caught-fill": "#fef1e6",
    "running": "#1d4ed8", "running-fill": "#e8effe",
    "retried": "#a16207", "retried-fill": "#fdf7dc",
    "aborted": "#6b7280", "aborted-fill": "#eceef1",
}  # fmt: skip
_DARK: Final[Mapping[str, str]] = {
    "paper": "#12171e", "box": "#1c232d", "ink": "#e8edf3", "muted": "#9aa7b6",
    "edge": "#4a5666", "line": "#76849a", "group": "#182029", "lane": "#12171e",
    "task": "#f59e0b", "choice": "#a78bfa", "wait": "#38bdf8", "pass": "#94a3b8",
    "parallel": "#2dd4bf", "map": "#2dd4bf", "succeed": "#4ade80", "fail": "#f87171",
    "catch": "#fb923c",
    "succeeded": "#4ade80", "succeeded-fill": "#14301f",
    "failed": "#f87171", "failed-fill": "#3b1a1d",
    "caught": "#fb923c", "caught-fill": "#3a2413",
    "running": "#7aa2ff", "running-fill": "#192a52",
    "retried": "#facc15", "retried-fill": "#362e10",
    "aborted": "#9ca3af", "aborted-fill": "#2a313b",
}  # fmt: skip
assert _LIGHT.keys() == _DARK.keys(), "every colour has a light and a dark form"

TYPES: Final = ("Task", "Choice", "Wait", "Pass", "Parallel", "Map", "Succeed", "Fail")
_STATUSES: Final = ("succeeded", "failed", "caught", "running", "retried", "aborted")

FONTS: Final = (
    "Inter", "Segoe UI", "Roboto", "Noto Sans", "Liberation Sans", "Arial", "Helvetica",
    "DejaVu Sans", "FreeSans",
)  # fmt: skip

_FONT_FAMILY: Final = ", ".join(
    [*(f"'{name}'" if " " in name else name for name in FONTS), "sans-serif"]
)

# A web page recolours a state or a transition by the class of its group alone.
_RULES: Final = (
    f".em-text {{ font-family: {_FONT_FAMILY}; fill: var(--em-ink); }}",
    ".em-paper { fill: var(--em-paper); }",
    ".em-shape { fill: var(--em-box); stroke: var(--em-edge); stroke-width: 1.25; }",
    ".em-holder .em-shape { fill: var(--em-group); }",
    ".em-lane { fill: var(--em-lane); stroke: var(--em-edge); stroke-dasharray: 2 4; }",
    ".em-name { font-size: 13px; font-weight: 600; }",
    ".em-detail { font-size: 11px; fill: var(--em-muted); }",
    ".em-icon { fill: none; stroke: var(--em-muted); stroke-width: 1.6; stroke-linecap: round;"
    " stroke-linejoin: round; }",
    ".em-mark { fill: none; stroke: var(--em-muted); stroke-width: 1.4; stroke-linecap: round;"
    " stroke-linejoin: round; }",
    ".em-dot { fill: var(--em-ink); }",
    ".em-ring { fill: none; stroke: var(--em-ink); stroke-width: 1.5; }",
    ".em-line { fill: none; stroke: var(--em-line); stroke-width: 1.4; }",
    ".em-head { fill: var(--em-line); }",
    ".em-chip { fill: var(--em-paper); stroke: var(--em-edge); stroke-width: 0.75; }",
    ".em-label { font-size: 11px; fill: var(--em-muted); }",
    ".em-catch .em-line { stroke: var(--em-catch); stroke-dasharray: 5 4; }",
    ".em-catch .em-head { fill: var(--em-catch); }",
    ".em-catch .em-label { fill: var(--em-catch); }",
    ".em-badge { fill: var(--em-muted); }",
    ".em-count { font-size: 10px; font-weight: 700; fill: var(--em-paper); }",
    ".is-taken .em-line { stroke-width: 2.6; stroke: var(--em-ink); }",
    ".is-taken .em-head { fill: var(--em-ink); }",
    ".is-taken.em-catch .em-line { stroke: var(--em-catch); }",
    ".is-taken.em-catch .em-head { fill: var(--em-catch); }",
    ".is-untaken { opacity: 0.5; }",
    ".is-unreached { opacity: 0.5; }",
)
_TYPE_RULE: Final = ".em-{0} .em-icon {{ stroke: var(--em-{0}); }}"
_STATUS_RULES: Final = (
    ".is-{0} .em-shape {{ fill: var(--em-{0}-fill); stroke: var(--em-{0}); stroke-width: 2; }}",
    ".is-{0} .em-badge {{ fill: var(--em-{0}); }}",
)


def style_sheet(theme: Theme) -> str:
    """The CSS of a drawing. With `auto` every colour is a variable that a page may set anew."""
    rules = [
        *_RULES,
        *(_TYPE_RULE.format(name.lower()) for name in TYPES),
        *(rule.format(status) for status in _STATUSES for rule in _STATUS_RULES),
    ]
    if theme != "auto":
        colours = _LIGHT if theme == "light" else _DARK
        return re.sub(r"var\(--em-([a-z-]+)\)", lambda use: colours[use[1]], "\n".join(rules))
    dark = f"@media (prefers-color-scheme: dark) {{ {_variables(_DARK)} }}"
    return "\n".join([_variables(_LIGHT), dark, *rules])


def _variables(colours: Mapping[str, str]) -> str:
    # `:where` weighs nothing, so any rule of a page that sets the variables wins.
    pairs = " ".join(f"--em-{name}: {colour};" for name, colour in colours.items())
    return f":where(.em-graph) {{ {pairs} }}"
