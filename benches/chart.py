"""Charts as SVG files that can stand in a page: a panel of bars or a plot for each thing that is compared.

They bring their own background, and colours for light and dark, so that they can be read wherever they are shown.
"""

import math
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, MARGIN, GAP = 880, 20, 18
TOP = 80  # above the first panel: title, subtitle, and where it was measured
STYLE = """
svg { color-scheme: light dark; font: 11px system-ui, -apple-system, "Segoe UI", sans-serif; }
.ground { fill: #fff; stroke: #d8dee4; }
text { fill: #1f2328; }
.title { font-size: 17px; font-weight: 600; }
.head { font-size: 13px; font-weight: 600; }
.soft { fill: #59636e; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.bar { fill: #b3bcc6; }
.own { fill: #0a6fb8; }
.line { stroke: #c3cad2; fill: none; }
.other { stroke: #7a7a7a; stroke-width: 1.5; stroke-dasharray: 5 4; fill: none; }
.curve { stroke: #0a6fb8; stroke-width: 2; fill: none; }
@media (prefers-color-scheme: dark) {
  .ground { fill: #0d1117; stroke: #30363d; }
  text { fill: #e6edf3; }
  .soft { fill: #9198a1; }
  .bar { fill: #57606a; }
  .own { fill: #4aa8f0; }
  .line { stroke: #3d444d; }
  .curve { stroke: #4aa8f0; }
  .other { stroke: #8f8f8f; }
}
"""


class Panel(NamedTuple):
    title: str
    note: str
    bars: list  # of (label, value), the first is the measure of the others


BAR_COLUMNS = 3
RATIO_MAX = 3.0  # a longer bar is cut off there, with a gap that shows it
ROW, BAR_HEIGHT, LABEL_WIDTH, FIGURE_WIDTH = 16, 10, 104, 42


def bars(title, subtitle, where, panels):
    """Groups of horizontal bars, three beside each other, all of the same scale."""
    column_width = (WIDTH - 2 * MARGIN - (BAR_COLUMNS - 1) * GAP) / BAR_COLUMNS
    pieces, y = [], TOP
    for start in range(0, len(panels), BAR_COLUMNS):
        row = panels[start:start + BAR_COLUMNS]
        for column, panel in enumerate(row):
            pieces += bar_panel(panel, MARGIN + column * (column_width + GAP), y, column_width)
        y += 24 + ROW * max(len(panel.bars) for panel in row) + GAP
    told = "; ".join(
        f"{panel.title} ({panel.note}): " + ", ".join(f"{label} {value:.2f}" for label, value in panel.bars)
        for panel in panels)
    return picture(title, subtitle, where, told, pieces, y + MARGIN - GAP)


def bar_panel(panel, x, y, width):
    yield text(x, y + 12, panel.title, "head")
    yield text(x + width, y + 12, panel.note, "soft end")
    y += 20
    room = width - LABEL_WIDTH - FIGURE_WIDTH
    start = x + LABEL_WIDTH
    one = start + room / RATIO_MAX
    yield f'<path class="line" d="M{one:.1f} {y}V{y + ROW * len(panel.bars)}"/>'
    for number, (label, value) in enumerate(panel.bars):
        top = y + number * ROW
        length = max(min(value, RATIO_MAX) / RATIO_MAX * room, 1)
        yield text(start - 6, top + 11, label, "end")
        yield f'<rect class="{"bar" if number else "own"}" x="{start:.1f}" y="{top + 3}" width="{length:.1f}" ' \
              f'height="{BAR_HEIGHT}"/>'
        if value > RATIO_MAX:
            yield f'<rect class="ground" style="stroke: none" x="{start + length - 12:.1f}" y="{top + 3}" width="4" ' \
                  f'height="{BAR_HEIGHT}"/>'
        yield text(start + length + 5, top + 11, f"×{value:.2f}" if value < 10 else f"×{value:.0f}", "")


class Plot(NamedTuple):
    title: str
    x_label: str
    y_label: str
    points: list  # of (x, y), x rising
    is_binary: bool = False  # x counts bytes
    is_log_y: bool = False
    beside: list = []  # the same of something else, for the same x


PLOT_COLUMNS = 2
PLOT_HEIGHT, AXIS_WIDTH = 150, 46


def plots(title, subtitle, where, figures):
    """Curves over a logarithmic axis, two beside each other."""
    column_width = (WIDTH - 2 * MARGIN - (PLOT_COLUMNS - 1) * GAP) / PLOT_COLUMNS
    pieces, y = [], TOP
    for start in range(0, len(figures), PLOT_COLUMNS):
        for column, figure in enumerate(figures[start:start + PLOT_COLUMNS]):
            pieces += plot_panel(figure, MARGIN + column * (column_width + GAP), y, column_width)
        y += PLOT_HEIGHT + 78 + GAP
    def in_words(name, points):
        return f"{name}: " + ", ".join(f"{short(x)}: {short(y)}" for x, y in points)

    told = "; ".join(in_words(name, points) for figure in figures
                     for name, points in ((figure.title, figure.points), ("dashed", figure.beside)) if points)
    return picture(title, subtitle, where, told, pieces, y + MARGIN - GAP)


def plot_panel(figure, x, y, width):
    yield text(x, y + 12, figure.title, "head")
    yield text(x, y + 28, figure.y_label, "soft")
    left, right, top, bottom = x + AXIS_WIDTH, x + width - 12, y + 40, y + 40 + PLOT_HEIGHT
    across = Scale([point[0] for point in figure.points], left, right, is_log=True)
    up = Scale([point[1] for point in [*figure.points, *figure.beside]], bottom, top, is_log=figure.is_log_y)
    for value in up.ticks():
        yield f'<path class="line" d="M{left:.1f} {up(value):.1f}H{right:.1f}"/>'
        yield text(left - 6, up(value) + 4, short(value), "soft end")
    for value, _ in figure.points:
        name = binary(value) if figure.is_binary else short(value)
        yield text(across(value), bottom + 15, name, "soft middle")
    for points, style in ((figure.beside, "other"), (figure.points, "curve")):
        if points:
            path = "L".join(f"{across(a):.1f} {up(b):.1f}" for a, b in points)
            yield f'<path class="{style}" d="M{path}"/>'
    for a, b in figure.points:
        yield f'<circle class="own" cx="{across(a):.1f}" cy="{up(b):.1f}" r="3"/>'
    yield text((left + right) / 2, bottom + 31, figure.x_label, "soft middle")


class Scale:
    """From values to places. A linear one begins at 0; a logarithmic one has 0 a step before its lowest value."""

    def __init__(self, values, start, end, is_log):
        self.is_log, self.start, self.end = is_log, start, end
        if is_log:
            known = [value for value in values if value > 0]
            self.low, self.high = math.log10(min(known)), math.log10(max(known))
            if min(values) == 0:
                self.low -= 1
            if start > end:  # upwards, from one power of ten to another
                self.low, self.high = math.floor(self.low), math.ceil(self.high)
            self.high = max(self.high, self.low + 1)
        else:
            self.low, self.high = 0, rounded_up(max(values))

    def __call__(self, value):
        at = value
        if self.is_log:
            at = math.log10(value) if value > 0 else self.low
        return self.start + (at - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self):
        if self.is_log:
            return [10.0**power for power in range(self.low, self.high + 1)]
        return [self.high * part / 4 for part in range(5)]


def rounded_up(value):
    """The next round number, of which a quarter is round as well."""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * power >= value)


def short(value):
    """A number for an axis: 1000 as 1k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def binary(size):
    """A number of bytes: 1048576 as 1 MiB."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} B"


def picture(title, subtitle, where, told, pieces, height):
    """`told` says in words what is drawn, for those who don't see it."""
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}, {escape(subtitle)}</title>',
        f'<desc id="desc">{escape(where)}. {escape(told)}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="8"/>',
        text(MARGIN, 30, title, "title"), text(MARGIN, 48, subtitle, "soft"), text(MARGIN, 64, where, "soft"),
        *pieces, "</svg>\n"])


def text(x, y, words, classes):
    return f'<text class="{classes}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'
