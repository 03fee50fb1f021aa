"""The predictor in C: `step.c`, one file of C99 for a microcontroller or a host, and its header.

These and an example are filled-in templates; weights are printed so that they read back to the
same float32. The module also builds and runs them where there is a C compiler. It knows no run
folder.
"""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from jaxcorr import files, units
from jaxcorr.data.windows import Samples
from jaxcorr.errors import InputError
from jaxcorr.export import parameters
from jaxcorr.export.parameters import Facts, Plain, PlantPath, SmoothPath
from jaxcorr.models import plant_path
from jaxcorr.spec import Model
from jaxcorr.units import SIGN

EXAMPLE = "stream_csv.c"
FLAGS = ("-std=c99", "-O2")
NUM_TIMED = 20_000  # steps
LINE_WIDTH = 8  # numbers a line


def write_header(path: Path, plain: Plain, facts: Facts) -> None:
    """Writes the declarations of step.c, which has them too."""
    text = files.render("step.h.j2", **_declared(plain, facts))
    path.write_text(text, encoding="utf-8")


def _declared(plain: Plain, facts: Facts) -> dict[str, Any]:
    return {"facts": facts, "plain": plain, "hidden": plain.layers[0].size, "most": units.MOST}


def write_step(path: Path, options: Model, plain: Plain, facts: Facts) -> None:
    """Writes the step: jaxcorr_reset(state) and jaxcorr_step(state, sample, error)."""
    arrays = _arrays(options, plain)
    text = files.render(
        "step.c.j2",
        **_declared(plain, facts),
        arrays=arrays,
        features=_with_units(facts.features, facts.feature_units),
        targets=_with_units(facts.targets, facts.target_units),
        sign=SIGN,
        horizon=units.horizon_text(facts.horizon, facts.sample_rate_hz),
        num_parameters=sum(values.size for values in arrays.values()),
        num_inputs=len(plain.inputs.mean),
        encoded=len(plain.encoder.bias),
        is_kinematic=options.inputs == "kinematic",
        num_periods=len(options.phase_periods_mm),
        norm_epsilon=parameters.NORM_EPSILON,
        between=plant_path,
        has_plant=isinstance(plain.path, PlantPath),
        is_corexy=isinstance(plain.path, PlantPath) and plain.path.friction.ndim == 3,
        number=number,
        numbers=numbers,
    )
    path.write_text(text, encoding="utf-8")


def write_example(path: Path, facts: Facts) -> None:
    """Writes a program that streams CSV through step.c beside it, or times its step."""
    text = files.render("stream_csv.c.j2", facts=facts, most=units.MOST)
    path.write_text(text, encoding="utf-8")


def number(value: float) -> str:
    """A float32 constant of C that reads back to the same value."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if re.search(r"[.e]", text) else f"{text}.0f"


def numbers(values: ndarray) -> str:
    """The constants of an array, row by row."""
    texts = [number(value) for value in values.ravel().tolist()]
    lines = (texts[i : i + LINE_WIDTH] for i in range(0, len(texts), LINE_WIDTH))
    return ",\n".join("    " + ", ".join(line) for line in lines)


def _arrays(options: Model, plain: Plain) -> dict[str, Float32[ndarray, "..."]]:
    """Name in C -> values. Kernels keep a row for each input: the inner loop runs along it."""
    arrays = {
        "input_mean": plain.inputs.mean,
        "input_std": plain.inputs.std,
        "target_mean": plain.targets.mean,
        "target_std": plain.targets.std,
        "target_limit": plain.limit,
        "encoder_kernel": plain.encoder.kernel,
        "encoder_bias": plain.encoder.bias,
        "norm_scale": plain.norm_scale,
        "norm_bias": plain.norm_bias,
        "head_kernel": plain.head.kernel,
        "head_bias": plain.head.bias,
    }
    if options.phase_periods_mm:
        periods = np.array(options.phase_periods_mm)
        arrays |= {
            "phase_period": periods.astype(np.float32),
            "phase_turn": (2 * np.pi / periods).astype(np.float32),
        }
    if isinstance(plain.path, PlantPath):
        names = ("transition", "command", "force", "friction", "slope", "friction_velocity")
        names += ("sine", "cosine", "offset")
        arrays |= {f"path_{name}": getattr(plain.path, name) for name in names}
    if isinstance(plain.path, SmoothPath):
        arrays |= {
            "path_most": plain.path.most,
            "path_scale": plain.path.scale,
            "path_knots": plain.path.knots,
            "path_response": plain.path.response,
            "path_offset": plain.path.offset,
        }
    for i, layer in enumerate(plain.layers):
        arrays |= {
            f"input_{i}": layer.inputs,
            f"recurrent_{i}": layer.recurrent,
            f"bias_{i}": layer.bias,
        }
    return arrays


def _with_units(names: tuple[str, ...], units: tuple[str, ...]) -> str:
    return ", ".join(f"{name} ({unit})" for name, unit in zip(names, units, strict=True))


def find_compiler() -> str | None:
    """The C compiler that $CC names, or cc; None where there is none."""
    return shutil.which(os.environ.get("CC", "cc"))


def version(program: str) -> str:
    """The first line of what a compiler says of itself."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr or program).splitlines()[0]


def build(program: str, source: Path, target: Path, flags: tuple[str, ...] = FLAGS) -> None:
    """Compiles the example and with it step.c beside it.

    Raises:
        InputError: the compiler refuses.
    """
    command = [program, *flags, str(source), "-lm", "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or "nothing").splitlines()[0]
        raise InputError(
            f"{source}: expected {program} to compile it, got '{said}'. Mend the compiler, or set "
            "CC to another (or to nothing, to export without this check)."
        )


def stream_step(path: Path, samples: Samples) -> Float32[ndarray, "rows k"]:
    """Streams every trace through a build of the example beside step.c, as CSV."""
    with _built(path) as program:
        said = _call([str(program)], to_csv(samples))
    rows = [line.split(",") for line in said.splitlines()[1:]]
    return np.array(rows, np.float64).astype(np.float32)


def time_step(path: Path, samples: Samples) -> float:
    """Microseconds that a step takes, the mean over a loop."""
    with _built(path) as program:
        said = _call([str(program), "--time", str(NUM_TIMED)], to_csv(samples))
    return float(said.split()[0])


@contextlib.contextmanager
def _built(path: Path) -> Iterator[Path]:
    compiler = find_compiler()
    assert compiler is not None, "find_compiler comes first"
    with files.scratch_folder() as folder:
        program = folder / "stream_csv"
        build(compiler, path.with_name(EXAMPLE), program)
        yield program


def to_csv(samples: Samples) -> str:
    """All traces as text, an empty line between them; float32 reads back to the same value."""
    traces = []
    for span in samples.spans():
        table = samples.features[span].tolist()
        traces.append("".join(",".join(f"{v:.9g}" for v in row) + "\n" for row in table))
    return "\n".join(traces)


def _call(command: list[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(
            f"{command[0]}: expected exit code 0, got {done.returncode}: {done.stderr}"
        )
    return done.stdout
