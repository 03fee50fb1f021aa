"""Style, colours, legends and files of all figures, and the amplitude spectrum that some show.

The palette is safe for colour blindness. Matplotlib loads only when a figure is made.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import files
from jaxcorr.errors import InputError

# Okabe and Ito's palette, "Color Universal Design", 2008.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FORMATS = (".png", ".svg", ".pdf")
DATES: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
COLUMN_IN = 3.5  # one column of a journal page, 89 mm
DPI = 300  # of a .png, and of what is dense enough to be drawn as points in a vector file
SCREEN_DPI = 150
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.0,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "svg.fonttype": "none",  # text that an editor can change, in the reader's fonts
    "pdf.fonttype": 42,  # the same: glyphs as outlines of a font, not as drawings
    "svg.hashsalt": "jaxcorr",  # or the names inside of a file would be random
}


def label_decades(axis: Any) -> None:
    """1, 2 and 5 of each decade of a logarithmic x or y axis, which may span little over one."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def spread(axis: Any) -> None:
    """Makes the y axis logarithmic where what is drawn spans more than a factor of two."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in axis.lines])
    if drawn.min() > 0 and drawn.max() > 2 * drawn.min():
        axis.set_yscale("log")
        label_decades(axis.yaxis)


def amplitude_spectrum(
    values: Float[ndarray, " n"], rate_hz: float
) -> tuple[Float[ndarray, " f"], Float[ndarray, " f"]]:
    """One-sided amplitude spectrum by Welch's method; a sine of amplitude A shows as A.

    Source: Welch, "The use of fast Fourier transform for the estimation of power spectra", 1967.
    """
    from scipy.signal import welch

    frequency_hz, power = welch(
        values, rate_hz, window="flattop", nperseg=min(512, len(values)), scaling="spectrum"
    )
    return frequency_hz, np.sqrt(2.0 * power)


def um(value_um: float) -> str:
    """A length in um for a caption: three digits, and never a power of ten."""
    return f"{value_um:,.0f} µm" if abs(value_um) >= 100 else f"{value_um:.3g} µm"


def style() -> Any:
    """A context in which figures are drawn and saved: one font, sizes for one column of print."""
    from matplotlib import rc_context

    return rc_context(STYLE)


def new_figure(num_rows: int, num_columns: int, height_in: float, **options: Any) -> tuple:
    """A figure one column wide and its axes, laid out so that nothing overlaps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(COLUMN_IN, height_in), layout="constrained")
    return figure, figure.subplots(num_rows, num_columns, **options)


def legend_above(axis: Any, num_columns: int) -> None:
    """A legend above the axis, clear of the data."""
    axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=num_columns, borderaxespad=0.2)


def save(figure: Any, *paths: Path, dpi: int = DPI) -> None:
    """Saves one figure to several files, each whole or not at all; its layout is made once."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for path in paths:
        # Without the date, the same figure is the same file.
        metadata = DATES.get(path.suffix)
        with files.write_whole(path) as partial:
            figure.savefig(partial, dpi=dpi, metadata=metadata)


def check_paths(*paths: Path) -> None:
    """Checks that figures can be written there, before the work that they will show.

    Raises:
        InputError: the ending is unknown, or the folder is not there.
    """
    for path in paths:
        if path.suffix not in FORMATS or not path.parent.is_dir():
            raise InputError(
                f"{path}: expected a file ending in {', '.join(FORMATS)} in a folder that exists, "
                f"got '{path.name}' in '{path.parent}'. Choose another name."
            )


def tall_figure(path: Path, size: tuple[float, float], heights: Sequence[float]) -> tuple:
    """A figure for the screen: axes over one another."""
    check_paths(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(len(heights), 1, height_ratios=heights)
