"""Pictures for notebooks: a small frame as a chart with its numbers, drawn without a browser."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from behavior_spark.errors import ConfigError
from behavior_spark.files import short_digest
from behavior_spark.names import xml_text
from behavior_spark.report.page.blocks import DataChart, DataTable
from behavior_spark.report.page.charts import COLOURS, bar_chart, line_chart, stacked_chart
from behavior_spark.report.page.drawing import draw_chart
from behavior_spark.report.page.rendering import require_page_packages
from behavior_spark.report.page.words import amount

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["bars", "lines", "stacks"]
_STYLE = "background:#fff;color:#1d2530;padding:8px;max-width:370px;font-family:sans-serif"


@dataclass(frozen=True)
class Picture:
    """A chart that notebooks show: Jupyter and Databricks as the last value of a cell.

    Attributes:
        title: What it shows.
        svg: The drawing, an ``<svg>`` element.
        table: Its numbers.
    """

    title: str
    svg: str
    table: DataTable

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.table.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.table.rows
        )
        if not self.table.rows:
            return xml_text(
                f'<figure style="{_STYLE}"><figcaption><b>{escape(self.title)}</b> No rows.'
                "</figcaption></figure>"
            )
        return xml_text(
            f'<figure style="{_STYLE}"><figcaption><b>{escape(self.title)}</b></figcaption>'
            f"{self.svg}<details><summary>The numbers</summary><table><thead><tr>{head}</tr>"
            f"</thead><tbody>{body}</tbody></table></details></figure>"
        )

    def __repr__(self) -> str:
        return f"Picture({self.title!r}, {len(self.table.rows)} rows)"


def draw_picture(
    frame: pd.DataFrame,
    *,
    title: str,
    x: str,
    y: str,
    series: str | None = None,
    kind: Kind = "bars",
    form: str = ",.0f",
) -> Picture:
    """Draw a small frame.

    Args:
        frame: Its rows, in order.
        title: What is shown.
        x: Column of the bars' names; of lines and stacks, days or numbers.
        y: Column of the values.
        series: Column of the names of lines or of the parts of stacks; at most six.
        kind: ``bars`` across, ``lines``, or ``stacks`` of bars over days.
        form: d3 format of the values.

    Raises:
        ConfigError: A column is missing, there are too many series, or ``kind`` does not exist.
        SetupError: The extra ``report`` is not installed.
    """
    import pandas as pd

    _check(frame, x, y, series, kind)
    require_page_packages()
    days = kind == "bars" or frame[x].dtype.kind not in "iuf"
    # Columns of fixed names: Vega-Lite takes count(1), a.b and x:y for more than names.
    columns = {
        "at": frame[x].astype(str if days else float),
        **({"series": frame[series].astype(str)} if series else {}),
        "value": frame[y].astype(float),
    }
    drawn = pd.DataFrame(columns)
    order = sorted(drawn["series"].unique()) if series else []
    chart: Any
    if kind == "bars":
        chart = bar_chart(drawn, name="at", value="value", form=form)
    elif kind == "lines":
        chart = line_chart(
            drawn, x="at", y="value", series="series" if series else None, order=order or None,
            x_title=x, y_title=y, y_form=form, days=days,
        )  # fmt: skip
    else:
        chart = stacked_chart(
            drawn, time="at", value="value", series="series", order=order, title=y
        )
    names = [x, *([series] if series else []), y]
    rows = [[_cell(value) for value in row] for row in drawn.itertuples(index=False)]
    table = DataTable(title, names, rows)
    most: Any = drawn.iloc[int(drawn["value"].to_numpy().argmax())] if len(drawn) else None
    said = "No rows."
    if most is not None:
        said = f"The largest {y}: {amount(most['value'])}, at {most['at']}."
    block = DataChart(title, said, chart, table)
    key = f"picture-{short_digest(xml_text(title).encode())}"
    return Picture(title, draw_chart(block, key=key), table)


def _check(frame: pd.DataFrame, x: str, y: str, series: str | None, kind: str) -> None:
    missing = [name for name in (x, y, series) if name and name not in frame.columns]
    if missing:
        raise ConfigError(
            f"there is no column {missing[0]!r} to draw",
            found=f"columns: {', '.join(map(str, frame.columns))}",
            fix="name columns of the frame",
        )
    names = list(frame.columns)
    twice = [name for name in (x, y, series) if name and names.count(name) > 1]
    if twice:
        raise ConfigError(
            f"two columns are called {twice[0]!r}", fix="give one another name: AS in the query"
        )
    if kind not in ("bars", "lines", "stacks"):
        raise ConfigError(f"kind {kind!r}", fix="give one of bars, lines, stacks")
    if kind == "stacks" and series is None:
        raise ConfigError("stacks need series", fix="name the column of their parts")
    if series and frame[series].nunique() > len(COLOURS):
        raise ConfigError(
            f"too many {series} for one picture",
            found=f"{frame[series].nunique()}, at most {len(COLOURS)} have a colour",
            fix="keep the largest, or draw bars",
        )


def _cell(value: Any) -> str:
    return amount(value) if isinstance(value, float) else str(value)
