"""The predictor in MATLAB: `weights.mat`, all that matlab/predict_error.m needs, as doubles.

Values are the model's float32 ones. The module also runs the stream where there is GNU Octave; it
knows no run folder.
"""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from jaxtyping import Float32, Float64
from numpy import ndarray

from jaxcorr import files
from jaxcorr.data import octave
from jaxcorr.data.windows import Samples
from jaxcorr.errors import InputError
from jaxcorr.export import parameters
from jaxcorr.export.parameters import Facts, Plain, PlantPath, SmoothPath
from jaxcorr.models import plant_path
from jaxcorr.spec import Model
from jaxcorr.units import SIGN

TIMEOUT_S = 1800

STREAM = """
warning('off', 'all');
start = predict_error({weights});
given = load({samples});
errors = cell(numel(given.traces), 1);
for k = 1:numel(given.traces)
    errors{{k}} = predict_error(start, given.traces{{k}});
end
errors = vertcat(errors{{:}});
save({errors}, 'errors', '-v7');
"""


def write_weights(path: Path, options: Model, plain: Plain, facts: Facts) -> None:
    """Writes one struct `model`; matrices multiply a row of inputs from the right."""
    model = {
        "run": facts.run,
        "features": _cell(facts.features),
        "feature_units": _cell(facts.feature_units),
        "targets": _cell(facts.targets),
        "target_units": _cell(facts.target_units),
        "sign": SIGN,
        "horizon": facts.horizon,
        "sample_rate_hz": facts.sample_rate_hz,
        "inputs": options.inputs,
        "phase_periods_mm": np.array([options.phase_periods_mm], np.float32),
        "input_mean": plain.inputs.mean[None],
        "input_std": plain.inputs.std[None],
        "target_mean": plain.targets.mean[None],
        "target_std": plain.targets.std[None],
        "target_limit": plain.limit[None],
        "encoder_kernel": plain.encoder.kernel,
        "encoder_bias": plain.encoder.bias[None],
        "norm_scale": plain.norm_scale[None],
        "norm_bias": plain.norm_bias[None],
        "norm_epsilon": parameters.NORM_EPSILON,
        "layers": _cell(
            {
                "input_kernel": _double(layer.inputs),
                "recurrent_kernel": _double(layer.recurrent),
                "bias": _double(layer.bias[None]),
            }
            for layer in plain.layers
        ),
        "head_kernel": plain.head.kernel,
        "head_bias": plain.head.bias[None],
    }
    if isinstance(plain.path, SmoothPath):
        model["path"] = _path(plain.path)
    if isinstance(plain.path, PlantPath):
        model["plant"] = _plant(plain.path)
    is_number = {key: getattr(v, "dtype", None) == np.float32 for key, v in model.items()}
    content = {key: _double(v) if is_number[key] else v for key, v in model.items()}
    scipy.io.savemat(path, {"model": content}, do_compression=True)


def _path(path: SmoothPath) -> dict[str, Any]:
    """The smooth path; columns count from 1, and axes lie along the last dimension."""
    return {
        "velocities": np.array([path.velocities], np.float64) + 1,
        "most": _double(path.most[None]),
        "scale": _double(path.scale),
        "knots": _double(path.knots[None]),
        "rest": path.rest,
        "response": np.moveaxis(_double(path.response), 0, -1),
        "offset": _double(path.offset[None]),
    }


def _plant(path: PlantPath) -> dict[str, Any]:
    """The plant; columns count from 1, and numbers of an axis lie along the last dimension."""
    columns = {
        name: np.array([getattr(path, name)], np.float64) + 1
        for name in ("positions", "velocities")
    }
    by_axis = ("slope", "friction_velocity", "offset")
    rows = {name: _double(getattr(path, name)[None]) for name in by_axis}
    tables = ("transition", "command", "force", "friction", "sine", "cosine")
    single = ("num_steps", "first_period", "sample_s", "horizon", "samples_ahead")
    between = {
        "rounding_mm_s": plant_path.ROUNDING_MM_S,
        "curve_weight": plant_path.CURVE_WEIGHT,
        "most_shift": plant_path.MOST_SHIFT,
        "num_recalled": float(plant_path.NUM_RECALLED),
    }
    return (
        columns
        | rows
        | {name: _double(getattr(path, name)) for name in tables}
        | {name: float(np.float32(getattr(path, name))) for name in single}
        | between
    )


def stream(path: Path, samples: Samples) -> Float64[ndarray, "rows k"]:
    """Streams every trace through predict_error under Octave.

    Raises:
        InputError: Octave ends with an error.
    """
    program = octave.find()
    assert program is not None, "octave.find() comes first"
    with files.scratch_folder() as folder:
        given, errors = folder / "samples.mat", folder / "errors.mat"
        ends = samples.first_row[1:]
        scipy.io.savemat(given, {"traces": _cell(np.split(_double(samples.features), ends))})
        paths = {"weights": path.absolute(), "samples": given, "errors": errors}
        code = STREAM.format(**{name: octave.quote(str(each)) for name, each in paths.items()})
        done = subprocess.run(
            octave.command(program, code),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise InputError(
                f"{path}: expected Octave to stream it, got '{octave.said(done.stderr)}'. Mend "
                "Octave, or take it off the PATH to export without this check."
            )
        return scipy.io.loadmat(errors)["errors"]


def _cell(items: Iterable[Any]) -> ndarray:
    """A row of cells."""
    values = list(items)
    cells = np.empty((1, len(values)), object)
    cells[0, :] = values
    return cells


def _double(values: Float32[ndarray, "..."]) -> Float64[ndarray, "..."]:
    return values.astype(np.float64)
