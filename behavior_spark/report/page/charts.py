"""Charts of the page, by Altair. All are as wide as a phone, so that their text is readable there.

Colours are exchanged for the page's (light, dark, print) by ``page.css``: use those named here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 330
COLOURS = ("#0b7a75", "#d9822b", "#5a67b0", "#b84a62", "#7d8793", "#6f9c3d")
# Browsers write wider than vl-convert measures: room for that on the left, where names stand.
_ROOM = 20
_LONGEST_BESIDE = 16
_SHORT_SERIES = 10
INK, SOFT, GRID, AXIS = "#1d2530", "#59636f", "#e4e6e6", "#7c8690"


def bar_chart(frame: pd.DataFrame, *, name: str, value: str, form: str = ",.0f") -> Any:
    """Horizontal bars in the frame's order, each with its figure; long names stand above them.

    Args:
        frame: One row for each bar.
        name: Column of the bars' names.
        value: Column of their lengths.
        form: d3 format of a figure.
    """
    import altair as alt

    most = max(float(frame[value].max()), 0.0) if len(frame) else 0.0
    least = min(float(frame[value].min()), 0.0) if len(frame) else 0.0
    # A figure stands to the right of its bar, and right of 0 where the bar goes to the left.
    drawn = frame[[name, value]].assign(start=least, figure_at=frame[value].clip(lower=0))
    long = max((len(str(label)) for label in drawn[name]), default=0) > _LONGEST_BESIDE
    room = (most - least) * 0.22
    scale = alt.Scale(domain=[least, most + room or 1.0], nice=False)
    below = alt.YOffset(value=29) if long else alt.YOffset(value=11)
    base = alt.Chart(drawn).encode(
        x=alt.X(f"{value}:Q", axis=None, scale=scale),
        y=alt.Y(f"{name}:N", sort=None, title=None, axis=None if long else _names(125)),
    )
    parts: Any = base.mark_bar(color=COLOURS[0], height=14).encode(yOffset=below)
    parts += base.mark_text(align="left", dx=4, color=INK).encode(
        x=alt.X("figure_at:Q", axis=None, scale=scale),
        text=alt.Text(f"{value}:Q", format=form), yOffset=below,
    )  # fmt: skip
    if long:
        parts += base.mark_text(align="left", color=SOFT, limit=WIDTH).encode(
            x=alt.X("start:Q", axis=None, scale=scale), text=f"{name}:N",
            yOffset=alt.YOffset(value=11),
        )  # fmt: skip
    return _styled(parts, height=(40 if long else 22) * max(len(drawn), 1), beside=not long)


def stacked_chart(
    frame: pd.DataFrame,
    *,
    time: str,
    value: str,
    series: str,
    order: list[str],
    title: str,
    share: bool = False,
) -> Any:
    """Bars over time, stacked by series.

    Args:
        frame: One row for each time and series.
        time: Column of days.
        value: Column of heights.
        series: Column of the series' names.
        order: Names of the series, from below to above; at most six.
        title: Title of the axis of heights.
        share: Whether heights are shares of one.
    """
    import altair as alt

    placed = frame[[time, value, series]].assign(
        place=frame[series].map({name: place for place, name in enumerate(order)})
    )
    chart = (
        alt.Chart(placed)
        .mark_bar()
        .encode(
            x=alt.X(f"{time}:O", title=None, axis=_days(placed[time].nunique())),
            y=alt.Y(f"{value}:Q", title=title, axis=_axis(".0%" if share else ",.0f", ticks=4)),
            color=_colour(alt, series, order),
            order=alt.Order("place:Q"),
        )
    )
    return _styled(chart, height=190)


def line_chart(
    frame: pd.DataFrame,
    *,
    x: str,
    y: str,
    series: str | None = None,
    order: list[str] | None = None,
    x_title: str,
    y_title: str,
    x_form: str = ",.0f",
    y_form: str = ".0%",
    days: bool = False,
    diagonal: bool = False,
) -> Any:
    """Lines with points.

    Args:
        frame: One row for each point.
        x: Column of the horizontal axis.
        y: Column of the vertical axis.
        series: Column of the lines' names; None: one line.
        order: Names of the lines; at most six.
        x_title: Title of the horizontal axis.
        y_title: Title of the vertical axis.
        x_form: d3 format of the horizontal axis.
        y_form: d3 format of the vertical axis.
        days: Whether the horizontal axis is days.
        diagonal: Whether to draw the line where both are equal.
    """
    import altair as alt

    kept = [x, y, *([series] if series else [])]
    across = (
        alt.X(f"{x}:O", title=x_title, axis=_days(frame[x].nunique()))
        if days
        else alt.X(f"{x}:Q", title=x_title, axis=_axis(x_form, ticks=5))
    )
    encoded: dict[str, Any] = {
        "x": across, "y": alt.Y(f"{y}:Q", title=y_title, axis=_axis(y_form, ticks=5))
    }  # fmt: skip
    if series:
        encoded["color"] = _colour(alt, series, order or list(dict.fromkeys(frame[series])))
    lines: Any = alt.Chart(frame[kept]).encode(**encoded)
    drawn: Any = lines.mark_line(**({} if series else {"color": COLOURS[0]})) + lines.mark_point(
        filled=True, size=42, opacity=1, **({} if series else {"color": COLOURS[0]})
    )
    if diagonal:
        import pandas as pd

        end = float(max(frame[x].max(), frame[y].max()))
        equal = alt.Chart(pd.DataFrame({x: [0.0, end], y: [0.0, end]}))
        drawn = (
            equal.mark_line(color=AXIS, strokeDash=[4, 4]).encode(x=f"{x}:Q", y=f"{y}:Q") + drawn
        )
    return _styled(drawn, height=200)


def heat_chart(frame: pd.DataFrame, *, x: str, y: str, value: str, x_title: str) -> Any:
    """Squares, the fuller the larger the share.

    Args:
        frame: One row for each square.
        x: Column of the horizontal place, a number.
        y: Column of the vertical place, a name.
        value: Column of shares, in [0, 1].
        x_title: Title of the horizontal axis.
    """
    import altair as alt

    base = alt.Chart(frame[[x, y, value]]).encode(
        x=alt.X(
            f"{x}:O",
            title=x_title,
            axis=alt.Axis(
                labelAngle=0, domain=False, ticks=False, labelOverlap=True, labelSeparation=6
            ),
        ),
        y=alt.Y(f"{y}:O", sort=None, title=None, axis=_names(90)),
    )
    drawn: Any = base.mark_rect(color=COLOURS[0]).encode(
        opacity=alt.Opacity(
            f"{value}:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.04, 0.9])
        )
    )
    if frame[x].nunique() <= 8:
        drawn = drawn + base.mark_text(color=INK, fontSize=11).encode(
            text=alt.Text(f"{value}:Q", format=".0%")
        )
    return _styled(drawn, height=22 * max(frame[y].nunique(), 1))


def interval_chart(
    frame: pd.DataFrame, *, name: str, title: str, chance: float | None = None
) -> Any:
    """Figures with their intervals (columns value, low, high), one below the other.

    Args:
        frame: One row for each figure.
        name: Column of the figures' names.
        title: Title of the axis.
        chance: What chance gives; drawn as a line.
    """
    import altair as alt
    import pandas as pd

    ends = [float(frame["low"].min()), float(frame["high"].max())]
    ends += [] if chance is None else [chance]
    room = (max(ends) - min(ends)) * 0.06 or 0.05
    scale = alt.Scale(domain=[min(ends) - room, max(ends) + room], zero=False, nice=False)
    across = alt.X("low:Q", title=title, scale=scale, axis=_axis(".2f", ticks=5))
    down = alt.Y(f"{name}:N", sort=None, title=None, axis=_names(150))
    base = alt.Chart(frame[[name, "value", "low", "high"]])
    drawn: Any = base.mark_rule(color=COLOURS[0], strokeWidth=3).encode(
        x=across, x2="high:Q", y=down
    )
    drawn += base.mark_point(filled=True, size=80, opacity=1, color=COLOURS[1]).encode(
        x=alt.X("value:Q", scale=scale), y=down
    )
    if chance is not None:
        drawn += alt.Chart(pd.DataFrame({"value": [chance]})).mark_rule(
            color=AXIS, strokeDash=[4, 4]
        ).encode(x="value:Q")  # fmt: skip
    return _styled(drawn, height=30 * max(len(frame), 1))


def _colour(alt: Any, series: str, order: list[str]) -> Any:
    # As many columns as have room above the plot, by about 6 pixels a letter.
    narrow = max((len(name) for name in order), default=0) <= _SHORT_SERIES
    legend = alt.Legend(
        title=None,
        orient="top",
        columns=3 if narrow else 2,
        labelLimit=88 if narrow else 110,
        columnPadding=20,
        symbolType="square",
    )
    scale = alt.Scale(domain=order, range=list(COLOURS[: len(order)]))
    return alt.Color(f"{series}:N", scale=scale, sort=order, legend=legend)


def _axis(form: str, *, ticks: int) -> Any:
    import altair as alt

    return alt.Axis(format=form, tickCount=ticks, labelOverlap=True, labelSeparation=10)


def _names(limit: int) -> Any:
    import altair as alt

    return alt.Axis(labelLimit=limit, labelPadding=5, domain=False, ticks=False)


def _days(count: int) -> Any:
    """Days as month and day, about six of them named; other names are whole."""
    import altair as alt

    every = max(1, -(-count // 6))
    short = "test(/^\\d{4}-\\d\\d-\\d\\d/, datum.label) ? slice(datum.label, 5) : datum.label"
    named = f"datum.index * {max(count - 1, 1)} % {every} < 0.5 ? ({short}) : ''"
    return alt.Axis(labelExpr=named, labelAngle=0, ticks=False, labelPadding=7, labelOverlap=False)


def _styled(chart: Any, *, height: float, beside: bool = True) -> Any:
    import altair as alt

    padding = {"left": _ROOM if beside else 2, "right": 6, "top": 4, "bottom": 2}
    return (
        chart.properties(
            width=WIDTH,
            height=height,
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
        .configure(aria=False, background="transparent", font="sans-serif", padding=padding)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=SOFT, titleColor=SOFT, gridColor=GRID, domainColor=AXIS, tickColor=AXIS,
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal",
        )
        .configure_text(fontSize=12)
        .configure_legend(labelColor=INK, labelFontSize=12)
    )  # fmt: skip
