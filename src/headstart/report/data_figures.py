"""A figure of a dataset: what its episodes returned, and where they went."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import Float

from headstart.core.errors import UsageError
from headstart.core.files import write_atomically
from headstart.data.experience import Experience
from headstart.report.figures import COLORS

ROWS = 50_000
"""Observations that the map of coverage is drawn from at most, evenly spaced."""


def draw_dataset(experience: Experience, path: Path | str, title: str) -> Path:
    """A histogram of episode returns beside a map of where observations lie.

    The map shows the two directions in which standardised observations vary most; of two numbers, themselves.

    Args:
        experience: with at least one complete episode.
        path: the file to write, ending in .svg, .png or .pdf.
        title: set above the figure.

    Raises:
        UsageError: the ending is unknown.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = Path(path)
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise UsageError(f"{path} ends in {path.suffix!r}; figures are written as .svg, .png or .pdf")
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.hist(experience.returns(), bins=40, color=COLORS[0])
    left.set_xlabel("return of an episode")
    left.set_ylabel("episodes")
    places, labels = _places(experience)
    cells = right.hexbin(places[:, 0], places[:, 1], gridsize=45, bins="log", mincnt=1, cmap="Blues", linewidths=0.2)
    figure.colorbar(cells, ax=right, label="transitions")
    right.set_xlabel(labels[0])
    right.set_ylabel(labels[1])
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:], dpi=150)
    write_atomically(path, content.getvalue())
    return path


def _places(experience: Experience) -> tuple[Float[np.ndarray, "rows 2"], tuple[str, str]]:
    step = max(1, len(experience) // ROWS)
    numbers = experience.take("observations", np.arange(0, len(experience), step)).astype(np.float64)
    numbers = numbers.reshape(len(numbers), -1)
    if numbers.shape[1] == 1:
        return np.column_stack([numbers, np.zeros(len(numbers))]), ("observation", "")
    if numbers.shape[1] == 2:
        return numbers, ("first observed number", "second observed number")
    scaled = (numbers - numbers.mean(0)) / (numbers.std(0) + 1e-8)
    directions = np.linalg.svd(scaled[:: max(1, len(scaled) // 5000)], full_matrices=False)[2][:2]
    return scaled @ directions.T, ("first principal direction of observations", "second principal direction")
