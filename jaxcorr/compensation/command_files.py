"""Commands of a layer as files for controllers and for MATLAB: `.mat`, `.npz` and `.csv`.

Columns, at a steady rate from the plan's first instant: time (s), x_ref y_ref (mm), vx_ref vy_ref
(mm/s) of the reference; x_cmd y_cmd, vx_cmd vy_cmd of the command. correction = command -
reference. The `.mat` file holds them in one struct `commands`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from jaxcorr import files
from jaxcorr.printer.drive import REST_S, Command, Layer
from jaxcorr.units import SIGN, unit_of

STRUCT = "commands"
FILE_RATE_HZ = 1000.0


def columns(layer: Layer, command: Command) -> dict[str, Float[ndarray, " n"]]:
    """What the files hold, by name, at FILE_RATE_HZ."""
    begin, every = round(REST_S * layer.rate_hz), round(layer.rate_hz / FILE_RATE_HZ)
    kept = np.arange(begin, len(layer.time_s), every)
    kept = kept[layer.time_s[kept] <= layer.plan.total_s]
    table = {"time": layer.time_s[kept]}
    for ending, motion in (("ref", layer.reference), ("cmd", command)):
        for prefix, values in (("", motion.position_mm), ("v", motion.velocity_mm_s)):
            table |= {f"{prefix}{axis}_{ending}": values[kept, i] for i, axis in enumerate("xy")}
    return table


def write(
    folder: Path, stem: str, layer: Layer, command: Command, notes: Mapping[str, Any]
) -> list[Path]:
    """Writes the three files, each whole or not at all.

    Args:
        folder: is made where it is missing.
        stem: of the files' names.
        layer: which was commanded.
        command: for it.
        notes: numbers and texts that the .mat and .npz files keep beside the columns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = columns(layer, command)
    kept = {
        "sign": f"command = reference + correction; {SIGN} (mm)",
        "rate_hz": FILE_RATE_HZ,
        **notes,
    }
    pair = files.save_columns(folder, stem, STRUCT, table, kept)
    csv = folder / f"{stem}.csv"
    head = ",".join(f"{name}_{unit_of(name)}".replace("/", "_") for name in table)
    with files.write_whole(csv) as partial:
        rows = np.column_stack(list(table.values()))
        np.savetxt(partial, rows, "%.6f", ",", header=head, comments="")
    return [*pair, csv]
