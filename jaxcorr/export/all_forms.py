"""A run's `export/` folder: every deployable form, each checked against the predictor, or none.

All is written into a folder beside it, which takes the name only when every check has passed, so a
failure leaves an earlier export whole. The module knows which forms there are and how far they may
be off; how each is written and run is the business of the modules beside it.
"""

import hashlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from jaxcorr import files, progress
from jaxcorr.data import octave
from jaxcorr.data.windows import Samples
from jaxcorr.errors import InputError
from jaxcorr.export import c_code, matlab, model_card, onnx, parameters, stablehlo
from jaxcorr.export.model_card import Judgement
from jaxcorr.models import bulk
from jaxcorr.models.network import Weights
from jaxcorr.spec import Spec
from jaxcorr.training.restore import Loaded
from jaxcorr.training.run_folder import Run

TOLERANCE_MM = 1e-5
MATLAB_TOLERANCE_MM = 1e-6
MATLAB_SAMPLES = 6000  # Octave takes 1.3 ms each with a plant
MANIFEST = "manifest.json"
PACKAGES = ("jaxcorr", "jax", "jaxlib", "numpy", "scipy", "onnx", "onnxruntime")

RunFn = Callable[[Path, Samples], ndarray]


class Form(NamedTuple):
    """One deployable file.

    Attributes:
        write_fn: writes it.
        run_fn: its own errors (mm) for every row of some samples; None where it is not run here.
        checked_with: the program that runs it, or why none does.
        is_windowed: its errors come from windows that start from zero, so most rows have one.
        tolerance_mm: how far they may be from the predictor's.
        most_samples: that it is run over, the beginnings of all traces together; None for all.
        time_fn: microseconds that one call takes here; None where nobody measures it.
    """

    write_fn: Callable[[Path], None]
    run_fn: RunFn | None
    checked_with: str
    is_windowed: bool = False
    tolerance_mm: float = TOLERANCE_MM
    most_samples: int | None = None
    time_fn: Callable[[Path, Samples], float] | None = None


def export(
    run: Run,
    loaded: Loaded,
    samples: Samples,
    judgement: Judgement | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """Writes `export/` anew; returns what its manifest says.

    Args:
        run: gets the folder, and gives its id to the files.
        samples: traces over which every form must agree with the predictor.
        judgement: of the run's evaluation, for the model card.
        out: a folder that is there, which gets `export/` in place of the run.
    Raises:
        InputError: a form does not agree, there is nothing to check it on, a compiler, Octave or
            the disk refuses; the export that was there stays.
    """
    _refuse_too_few(run, loaded.spec, samples)
    target = (out or run.path) / run.export.name
    try:
        # On a GPU matmuls may round to fewer bits than the forms are to agree to.
        with (
            files.replace_folder(target) as partial,
            jax.default_device(jax.local_devices(backend="cpu")[0]),
        ):
            manifest = _fill(partial, run, loaded, samples, judgement)
    except OSError as error:
        raise InputError(
            f"{target}: expected to write the export, got '{error.strerror or error}'. Make room, "
            "mend the permissions, or choose another folder with --out."
        ) from None
    return manifest


def forms(run_id: str, spec: Spec, weights: Weights) -> dict[str, Form]:
    """Every deployable file by its name; a later one may need an earlier one."""
    facts, plain = parameters.facts(run_id, spec), parameters.plain(spec, weights)
    onnxruntime = f"onnxruntime {importlib.metadata.version('onnxruntime')}"
    jax_here = f"jax {jax.__version__} on the CPU"
    compiler, program = c_code.find_compiler(), octave.find()
    return {
        "step.onnx": Form(
            lambda path: onnx.write_step(path, spec, weights, facts),
            onnx.stream_step,
            onnxruntime,
            time_fn=onnx.time_step,
        ),
        "window.onnx": Form(
            lambda path: onnx.write_window(path, spec, weights, facts),
            lambda path, samples: onnx.run_windows(path, samples, spec.data.window),
            onnxruntime,
            is_windowed=True,
            time_fn=lambda path, samples: onnx.time_window(path, samples, spec.data.window),
        ),
        "step.stablehlo": Form(
            lambda path: stablehlo.write_step(path, spec, weights),
            stablehlo.stream_step,
            jax_here,
        ),
        "unroll.stablehlo": Form(
            lambda path: stablehlo.write_unroll(path, spec, weights),
            stablehlo.stream_unroll,
            jax_here,
        ),
        "weights.mat": Form(
            lambda path: matlab.write_weights(path, spec.model, plain, facts),
            matlab.stream if program else None,
            octave.version(program) if program else "not run here: no GNU Octave, or no matlab/",
            tolerance_mm=MATLAB_TOLERANCE_MM,
            most_samples=MATLAB_SAMPLES,
        ),
        c_code.EXAMPLE: Form(
            lambda path: c_code.write_example(path, facts), None, "run with step.c"
        ),
        "step.h": Form(
            lambda path: c_code.write_header(path, plain, facts), None, "declarations of step.c"
        ),
        "step.c": Form(
            lambda path: c_code.write_step(path, spec.model, plain, facts),
            c_code.stream_step if compiler else None,
            c_code.version(compiler) if compiler else "not compiled here: no C compiler",
            time_fn=c_code.time_step if compiler else None,
        ),
    }


def _fill(
    folder: Path, run: Run, loaded: Loaded, samples: Samples, judgement: Judgement | None
) -> dict[str, Any]:
    """Writes and checks every form, then what describes them."""
    spec, weights = loaded.spec, loaded.weights
    streamed = bulk.stream(spec, weights, samples)
    windowed = bulk.from_windows(spec, weights, samples)
    found, made = {}, forms(run.id, spec, weights)
    for name, form in progress.count(made.items(), f"writing and checking {len(made)} forms"):
        form.write_fn(folder / name)
        expected = windowed if form.is_windowed else streamed
        found[name] = _describe(folder / name, form) | _check(
            folder / name, form, samples, expected
        )
    manifest = {
        "run": run.id,
        "num_traces": len(samples.num_rows),
        "num_samples": len(streamed),
        "opset": onnx.OPSET,
        "platforms": list(stablehlo.PLATFORMS),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "files": found,
    }
    card = folder / "model_card.md"
    card.write_text(model_card.write(run, loaded, manifest, judgement), encoding="utf-8")
    manifest["files"][card.name] = _sign(card)
    files.write_json(folder / MANIFEST, manifest)
    return manifest


def _check(
    path: Path, form: Form, samples: Samples, expected: Float32[ndarray, "rows k"]
) -> dict[str, Any]:
    """How far a form is from the predictor, and how long a call takes.

    Raises:
        InputError: farther than it may be, or it has no error for a row that needs one.
    """
    if form.run_fn is None:
        return {"worst_mm": None, "num_samples": 0, "us_per_call": None}
    if form.most_samples is not None:
        samples, expected = _beginnings(samples, expected, form.most_samples)
    is_needed = ~np.isnan(expected).any(axis=1)
    errors = form.run_fn(path, samples)
    worst_mm = float(np.max(np.abs(errors[is_needed] - expected[is_needed])))
    if not worst_mm <= form.tolerance_mm:
        raise InputError(
            f"{path.name}: expected agreement with the predictor to {form.tolerance_mm:g} mm, got "
            f"{worst_mm:.3g} mm. Nothing was exported; report this with the run's spec."
        )
    us_per_call = form.time_fn(path, samples) if form.time_fn else None
    return {
        "worst_mm": worst_mm,
        "num_samples": int(is_needed.sum()),
        "us_per_call": us_per_call,
    }


def _beginnings(
    samples: Samples, expected: Float32[ndarray, "rows k"], most: int
) -> tuple[Samples, Float32[ndarray, "_ k"]]:
    """As many samples of each trace, at most so many in all where there are not more traces."""
    num_rows = np.minimum(samples.num_rows, max(most // len(samples.num_rows), 1))
    first_row = np.cumsum(num_rows) - num_rows
    rows = np.arange(num_rows.sum()) + np.repeat(samples.first_row - first_row, num_rows)
    begun = samples._replace(
        features=samples.features[rows],
        targets=samples.targets[rows],
        first_row=first_row,
        num_rows=num_rows,
    )
    return begun, expected[rows]


def _describe(path: Path, form: Form) -> dict[str, Any]:
    return {**_sign(path), "checked_with": form.checked_with, "tolerance_mm": form.tolerance_mm}


def _sign(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "num_bytes": len(content)}


def _refuse_too_few(run: Run, spec: Spec, samples: Samples) -> None:
    longest = int(samples.num_rows.max(initial=0))
    if longest < spec.data.window:
        got = f"only traces of up to {longest}" if longest else "none"
        raise InputError(
            f"{run.path}: expected test traces of at least {spec.data.window} samples to check the "
            f"export on, got {got}. Give some with --traces, or train with data.split.test > 0."
        )
