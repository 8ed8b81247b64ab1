"""The pictures in benchmarks/README.md, drawn from the benchmarks' records: `measured/NAME.svg` from NAME.json.

SVG with its text as text: 20 to 60 KiB each, and the same bytes from the same figures.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, Final, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from . import record

Figures: TypeAlias = Mapping[str, Any]
"""The record of a benchmark."""

OURS, PEER, BEST, QUIET = "#1764ab", "#c96a12", "#2f9e5b", "#7b8794"

GOAL_MIB: Final = 40
"""The bound, set beforehand, on the memory of a million requests beyond a thousand's."""

STYLE: Final = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mps_aigc_async",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "grid.color": "#e4e8ec",
    "legend.frameon": False,
}


async def main() -> None:
    for name, draw in PLOTS.items():
        figures = record.kept(name)
        with mpl.rc_context(STYLE):
            figure = draw(figures)
            figure.supxlabel(f"{figures['measured']}, {figures['machine']}", x=1.0, ha="right", color=QUIET, size=7)
            file = record.MEASURED / f"{name}.svg"
            figure.savefig(file, metadata={"Date": None})
        print(f"{file.name}: {file.stat().st_size / 1024:.0f} KiB")


def detection(figures: Figures) -> Figure:
    """Draw the mean delay against the polls per task: each policy's, and the best."""
    lines = {"fixed": (PEER, "o-"), "adaptive": (OURS, "o-"), "best": (BEST, "--")}
    labels = {"best": "the least that is possible"}
    curves = figures["curves"]
    figure, grid = _panels(2, 2, (8.4, 6.2))
    for axes, curve in zip(grid, curves, strict=True):
        for policy, (color, line) in lines.items():
            axes.plot(*zip(*curve[policy], strict=True), line, color=color, ms=4, label=labels.get(policy, policy))
        axes.set(title=curve["scenario"], xscale="log", yscale="log", xlabel="polls for each task")
        axes.set_ylabel("mean delay once 50 tasks were seen, s")
        _plain_numbers(axes)
    grid[0].legend()
    return figure


def pacing(figures: Figures) -> Figure:
    """Draw accepted and refused calls of each limiter, by condition. Ours has the figures of its worst action."""
    all_actions = list(figures["ours"].values())
    peers = {name: peer for name, peer in figures["peers"].items() if name != "ours"}
    figure, panels = _panels(1, len(all_actions[0]), (11.0, 3.2), sharey=True)
    for axes, condition in zip(panels, all_actions[0], strict=True):
        used = {name: peer[condition]["used"] for name, peer in peers.items()}
        used["ours, the worst of 4 actions"] = min(action[condition]["used"] for action in all_actions)
        refused = [peer[condition]["refused"] for peer in peers.values()]
        refused.append(sum(action[condition]["refused"] for action in all_actions))
        axes.barh(list(used), [100 * share for share in used.values()], color=[PEER] * len(peers) + [OURS])
        for row, calls in enumerate(refused):
            axes.text(3, row, f"{calls:,} refused" if calls else "none refused", va="center", color="white", size=8)
        axes.axvline(100, color=QUIET, lw=1)
        axes.set(title=condition, xlim=(0, 104), xlabel="% of the limit accepted")
        axes.grid(visible=False)
    return figure


def makespan(figures: Figures) -> Figure:
    """How far above the bound of any schedule: the median of the draws, and from the least to the most."""
    bound, *_ = figures["models"].values()
    ratios = {
        name: [time / least for time, least in zip(times, bound, strict=True)]
        for name, times in figures["models"].items()
    }
    del ratios["bound of any schedule"]
    ratios |= {name: [one["ratio"] for one in draws] for name, draws in figures["contestants"].items()}
    figure, (axes,) = _panels(1, 1, (8.4, 3.2))
    names = list(ratios)[::-1]
    for row, name in enumerate(names):
        color = OURS if name.startswith("ours") else QUIET if name in figures["models"] else PEER
        of_it = sorted(100 * (ratio - 1) for ratio in ratios[name])
        axes.barh(row, median(of_it), color=color, height=0.6)
        axes.plot([of_it[0], of_it[-1]], [row, row], color="black", lw=1)
        axes.text(of_it[-1] + 0.7, row, f"+{median(of_it):.1f}%", va="center")
    axes.set_yticks(range(len(names)), names)
    axes.set(
        xlim=(0, 58),
        xlabel="longer than any schedule must be, %: the median of 5 draws, and the least to the most",
        title="300 image-to-video chains, 20 images and 10 videos at once",
    )
    return figure


def scale(figures: Figures) -> Figure:
    """By the length of a batch: memory, and CPU; by the tasks in flight: CPU."""
    lengths, crowds = figures["lengths"], figures["in_flight"]
    figure, panels = _panels(1, 3, (10.0, 3.0))
    jobs, tasks = [one["jobs"] for one in lengths], [one["tasks"] for one in crowds]
    least = lengths[0]["rss_mib"]
    _grows(
        panels[0],
        "requests in a batch",
        jobs,
        "MiB over 1,000 requests",
        [one["rss_mib"] - least for one in lengths],
        GOAL_MIB,
    )
    _grows(panels[1], "requests in a batch", jobs, "CPU for each job, ms", [one["cpu_ms"] for one in lengths])
    _grows(panels[2], "tasks in flight", tasks, "CPU for each poll, µs", [one["poll_us"] for one in crowds])
    return figure


def _grows(
    axes: Axes, by: str, sizes: Sequence[int], what: str, values: Sequence[float], goal: float | None = None
) -> None:
    axes.plot(sizes, values, "o-", color=OURS, ms=4)
    if goal is not None:
        axes.axhline(goal, color=BEST, ls="--", lw=1)
        axes.text(sizes[0], goal, "goal", color=BEST, va="bottom", size=8)
    axes.set(title=what, xscale="log", xlabel=by, ylim=(0, max(*values, goal or 0.0) * 1.15))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))


def _panels(rows: int, columns: int, inches: tuple[float, float], *, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=inches, layout="constrained")
    panels: list[Axes] = list(figure.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
    for axes in panels:
        axes.grid(visible=True)
        axes.set_axisbelow(True)
    return figure, panels


def _plain_numbers(axes: Axes) -> None:
    """2 and 0.5 on a logarithmic axis, not 2 × 10⁰."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        axis.set_ticks([tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= tick <= high])
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


PLOTS: Final[Mapping[str, Callable[[Figures], Figure]]] = {
    "detection": detection,
    "makespan": makespan,
    "pacing": pacing,
    "scale": scale,
}
