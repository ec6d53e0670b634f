"""The figures' Vega specifications, the same for the page and for files.

They hold no data and no colors. The page's script, or `results.page.plots`, fills in `points` or `curves` and sets the
signals named in `THEME` and below.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal

import altair as alt
import vl_convert

from results.page.figures import FONT_SIZE, SCATTERS, WIDE, Scatter

# The colors of print and the light page; the page's script sets those of its style sheet.
THEME = {"ink": "#1b1f24", "muted": "#57606a", "line": "#d8dee4", "accent": "#0b62c4"}

# Ten that keep a contrast of 3 to 1 on white and on near-black alike; the second five are dashed.
PALETTE = (
    "#2f7ed8", "#cf6a12", "#2a9152", "#c8507f", "#8466cf",
    "#12879c", "#a0752a", "#d2504a", "#74852c", "#7a828c",
)  # fmt: skip
_DASHES = [[1, 0]] * 5 + [[5, 3]] * 5
_FONT = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"


@functools.cache
def scatter(figure: Scatter) -> dict[str, Any]:
    """Returns the Vega specification of accuracy against cost.

    Data: `points`, see `figures.points`. Signals: `size` (a `figures.Size.name`), `width`,
    `height`, `y_title`, and the domain as `x_min`, `x_max`, `y_min`, `y_max`.
    """
    x = _axis("x", "x", figure.title, figure.number_format, "log", ("x_min", "x_max"))
    y = _axis("y", "y", "@y_title", "", "linear", ("y_min", "y_max"))
    base = alt.Chart(alt.NamedData("points")).encode(x=x, y=y)
    step: Literal["step-after", "step-before"] = (
        "step-after" if figure.lower_is_better else "step-before"
    )
    front = (
        base.transform_filter("datum.front")
        .mark_line(
            interpolate=step, color=_signal("accent"), opacity=0.55, strokeDash=[2, 2], aria=False
        )
        .encode(order=alt.Order("x:Q"))
    )
    bar: dict[str, Any] = {"color": _signal("muted"), "opacity": 0.7, "clip": True, "aria": False}
    across = base.mark_rule(**bar).encode(x=alt.X("x_low:Q"), x2="x_high:Q")
    upright = base.mark_rule(**bar).encode(y=alt.Y("y_low:Q"), y2="y_high:Q")
    tip = (
        f"datum.name + '\\n' + y_title + ': ' + datum.y_text + '\\n{figure.title}: ' + datum.x_text"
    )
    dots = (
        base.transform_calculate(tip=tip)
        .mark_circle(size=75, opacity=1, cursor="pointer")
        .encode(
            color=alt.condition(
                "datum.front", alt.value(_signal("accent")), alt.value(_signal("muted"))
            ),
            tooltip="tip:N",
            description="tip:N",
        )
    )
    labeled = base.transform_filter("datum[size] != null").encode(text="name:N")
    at: dict[str, Any] = {
        "align": alt.expr("datum[size][2]"),
        "baseline": "middle",
        "dx": alt.expr("datum[size][0]"),
        "dy": alt.expr("datum[size][1]"),
        "fontSize": FONT_SIZE,
        "aria": False,
    }
    paper = _signal("paper")
    halo = labeled.mark_text(color=paper, stroke=paper, strokeWidth=3, strokeJoin="round", **at)
    text = labeled.mark_text(color=_signal("ink"), **at)
    chart = alt.layer(front, across, upright, halo, dots, text)
    return _vega(chart, size="wide", y_title="", x_min=1.0, x_max=10.0, y_min=0.0, y_max=100.0)


# What a learning curve runs over: its axis, and a run's step (counted from 1) in that unit.
OVER = {
    "examples": ("training examples", "~s", "datum.step * datum.examples_per_step"),
    "flops": ("training FLOPs", "~s", "datum.step * datum.flops_per_step"),
    "seconds": ("seconds of training", "~g", "datum.seconds"),
}


@functools.cache
def curves(over: str, loss: bool) -> dict[str, Any]:
    """Returns the Vega specification of learning curves over examples, FLOPs or seconds.

    Data: `curves`, a mapping a run with `name` (of its model), `seed`, `examples_per_step`,
    `flops_per_step` and the lists `step`, `seconds` and `value`. A loss is drawn on a logarithmic
    axis, a fraction as percent. Signals: `width`, `height`, `y_title`, `legend_columns`, and
    `hover`, whether points that can be hovered over are there too.
    """
    title, number_format, position = OVER[over]
    x = _axis("x", "position", title, number_format, "linear" if over == "examples" else "log")
    y = _axis("y", "shown", "@y_title", "~g" if loss else "", "log" if loss else "linear")
    wanted = "isValid(datum.value) && isValid(datum.position) && datum.position > 0"
    legend = alt.Legend(orient="bottom", title=None, columns=_signal("legend_columns"))
    color = alt.Color("name:N", sort=None, scale=alt.Scale(range=list(PALETTE)), legend=legend)
    dash = alt.StrokeDash("name:N", sort=None, scale=alt.Scale(range=_DASHES), legend=legend)
    base = (
        alt.Chart(alt.NamedData("curves"))
        .transform_flatten(["step", "seconds", "value"])
        .transform_calculate(position=position, shown=f"{1 if loss else 100} * datum.value")
        .transform_filter(f"{wanted} && datum.shown > 0" if loss else wanted)
        .encode(x=x, y=y, detail="run:N")
    )
    lines = base.mark_line(strokeWidth=1.4, opacity=0.85, aria=False).encode(
        color=color, strokeDash=dash
    )
    tip = (
        "datum.name + ', seed ' + datum.seed + '\\n' + y_title + ': ' + format(datum.shown, '.4~g')"
        f" + '\\n{title}: ' + format(datum.position, '{'.4~s' if over != 'seconds' else '.4~g'}')"
    )
    dots = (
        base.transform_filter("hover")
        .transform_calculate(tip=tip)
        .mark_circle(size=90, opacity=0, cursor="pointer", aria=False)
        .encode(tooltip="tip:N")
    )
    return _vega(alt.layer(lines, dots), y_title="", legend_columns=3, hover=False)


@functools.cache
def record() -> dict[str, Any]:
    """Returns the Vega specification of a board's record over time.

    Data: `record`, a mapping for each time at which the record was raised, and one for the end, with `at` (milliseconds
    since 1970, UTC), `score` (percent), `name` (of the row; null for the end) and `tip`. Signals: `width`, `height`,
    `y_title`, and the domain as `x_min`, `x_max`, `y_min`, `y_max`.
    """
    time = alt.X(
        "at:T",
        title="accepted, UTC",
        axis=alt.Axis(format="%Y-%m-%d", grid=False, tickCount=5, labelOverlap="greedy"),
        scale=alt.Scale(type="utc", domain=[alt.ExprRef("x_min"), alt.ExprRef("x_max")]),
    )
    score = _axis("y", "score", "@y_title", "", "linear", ("y_min", "y_max"))
    base = alt.Chart(alt.NamedData("record")).encode(x=time, y=score)
    line = base.mark_line(interpolate="step-after", color=_signal("accent"), aria=False)
    dots = (
        base.transform_filter("datum.name != null")
        .mark_circle(size=75, opacity=1, cursor="pointer", color=_signal("accent"))
        .encode(tooltip="tip:N", description="tip:N")
    )
    ends = {"x_min": 0, "x_max": 1, "y_min": 0.0, "y_max": 100.0}
    return _vega(alt.layer(line, dots), y_title="", **ends)


def specifications() -> dict[str, dict[str, Any]]:
    """Returns every specification by name: a scatter's, or `loss-seconds`, `fraction-flops`, ..."""
    named = {figure.name: scatter(figure) for figure in SCATTERS}
    for over in OVER:
        named[f"loss-{over}"] = curves(over, loss=True)
        named[f"fraction-{over}"] = curves(over, loss=False)
    return named


def _signal(name: str) -> alt.ExprRef:
    return alt.expr(name)


def _axis(
    channel: Literal["x", "y"],
    field: str,
    title: str,
    number_format: str,
    scale: Literal["linear", "log"],
    domain: Sequence[str] | None = None,
) -> Any:
    kind = alt.X if channel == "x" else alt.Y
    ends = alt.Undefined if domain is None else [alt.ExprRef(end) for end in domain]
    zero = False if scale == "linear" and channel == "y" else alt.Undefined
    return kind(
        f"{field}:Q",
        title=title,
        axis=alt.Axis(
            format=number_format or alt.Undefined,
            grid=channel == "y",
            tickCount=5,
            labelOverlap="greedy",
        ),
        scale=alt.Scale(type=scale, domain=ends, nice=False, zero=zero),
    )


def _vega(chart: alt.LayerChart | alt.FacetChart, **signals: Any) -> dict[str, Any]:
    """Returns the chart as Vega, with `signals` and the theme's colors as its signals."""
    parameters = {**THEME, "paper": "white", **signals}
    chart = (
        chart.add_params(*(alt.param(name=name, value=v) for name, v in parameters.items()))
        .properties(width=WIDE.width, height=WIDE.height, background=alt.ExprRef("paper"))
        .configure(font=_FONT, padding=6, autosize="pad")
        .configure_axis(
            labelColor=_signal("muted"),
            titleColor=_signal("ink"),
            domainColor=_signal("muted"),
            tickColor=_signal("muted"),
            gridColor=_signal("line"),
            labelFontSize=11,
            titleFontSize=12,
            titleFontWeight="normal",
            titlePadding=8,
        )
        .configure_legend(
            labelColor=_signal("ink"), labelFontSize=11, symbolType="stroke", symbolStrokeWidth=2.5
        )
        .configure_view(stroke=None)
    )
    return _resolved(vl_convert.vegalite_to_vega(chart.to_dict()))


def _resolved(value: Any) -> Any:
    """Returns the specification with titles such as "@y_title" read from the signal of that name.

    Vega can do so and Vega-Lite cannot say it.
    """
    if isinstance(value, dict):
        return {key: _resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item) for item in value]
    if isinstance(value, str) and value.startswith("@"):
        return {"signal": value[1:]}
    return value
