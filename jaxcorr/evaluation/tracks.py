"""Predictions of whole traces, lined up with the instants that they speak of, and their files."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from jaxcorr import files
from jaxcorr.data.windows import Samples
from jaxcorr.errors import InputError
from jaxcorr.spec import Spec, axis_of
from jaxcorr.units import SIGN

STRUCT = "predictions"
ALIGNMENT = (
    "Each row is the instant to which the error belongs: features, true error and predicted error "
    "are of that instant. The prediction was made `horizon` samples before it (after it where "
    "negative). Features that the predictor's table does not reach are NaN."
)


class Track(NamedTuple):
    """One trace at the instants whose true error is known; all arrays share their rows.

    Attributes:
        name: `part/file`.
        part: the printed part.
        rate_hz: of sampling.
        time_s: since the trace's first sample.
        features: by name, mm and mm/s; NaN at the last `horizon` instants, which no row holds.
        targets: names of the errors, one a column of the next two.
        true_mm: errors that happened.
        predicted_mm: errors that were predicted for these instants.
    """

    name: str
    part: str
    rate_hz: float
    time_s: Float[ndarray, " n"]
    features: Mapping[str, ndarray]
    targets: tuple[str, ...]
    true_mm: Float[ndarray, "n k"]
    predicted_mm: Float[ndarray, "n k"]

    @property
    def residual_mm(self) -> Float[ndarray, "n k"]:
        """Predicted less true error."""
        return self.predicted_mm - self.true_mm

    @property
    def axes(self) -> list[str]:
        """As `spec.axis_of` each target."""
        return list(map(axis_of, self.targets))

    @property
    def position_mm(self) -> Float[ndarray, "n 2"] | None:
        """x and y of reference or command; None where the model has none."""
        for end in ("ref", "cmd"):
            names = [f"{axis}_{end}" for axis in "xy"]
            if set(names) <= self.features.keys():
                return np.stack([self.features[name] for name in names], axis=-1)
        return None

    @property
    def path(self) -> str:
        """What position and speed are of, and the error is from."""
        return "command" if any(name.endswith("_cmd") for name in self.features) else "reference"

    @property
    def speed_mm_s(self) -> Float[ndarray, " n"] | None:
        """Over all axes; of x and y by differences where the model has no velocities, else None."""
        for end in ("_ref", "_cmd"):
            names = [name for name in self.features if name[0] == "v" and name.endswith(end)]
            velocities = [self.features[name] for name in names if name != "v_mag_ref"]
            if velocities:
                return np.linalg.norm(velocities, axis=0)
        position = self.position_mm
        if position is None or len(position) < 2:
            return None
        return np.linalg.norm(np.gradient(position, axis=0) * self.rate_hz, axis=1)


def short_name(part: str, name: str) -> str:
    """Part and file, which tell a trace apart in less than its folder's name does."""
    return f"{part} {name.rsplit('/', 1)[-1]}"


def align(samples: Samples, predicted: Float32[ndarray, "rows k"], spec: Spec) -> list[Track]:
    """Traces at the instants of their errors: row i of a trace speaks of its sample i + horizon.

    Args:
        samples: of the spec's features and targets.
        predicted: error of each row (mm), as `predict.stream` gives it.
        spec: names, horizon and sampling rate.
    """
    tracks = []
    rows = zip(samples.first_row, samples.num_rows, samples.names, samples.parts, strict=True)
    for first, num_rows, name, part in rows:
        judged = slice(first + min(samples.lead, num_rows), first + num_rows)
        instants = np.arange(judged.start, judged.stop) - first + spec.data.horizon
        features = np.full((len(instants), samples.features.shape[1]), np.nan)
        is_held = instants < num_rows
        features[is_held] = samples.features[first + instants[is_held]]
        tracks.append(
            Track(
                name=name,
                part=part,
                rate_hz=spec.data.sample_rate_hz,
                time_s=instants / spec.data.sample_rate_hz,
                features=dict(zip(spec.data.features, features.T, strict=True)),
                targets=spec.data.targets,
                true_mm=samples.targets[judged].astype(np.float64),
                predicted_mm=predicted[judged].astype(np.float64),
            )
        )
    return tracks


def save(
    folder: Path,
    samples: Samples,
    predicted: Float32[ndarray, "rows k"],
    spec: Spec,
    run_id: str = "",
) -> list[Path]:
    """Writes each trace as a v7 `.mat` file (one struct `predictions`) and as `.npz`.

    Columns: `time` (s), the features and targets by their names in the spec, and each target's
    prediction as `predicted_<target>`; then how to read them.

    Args:
        folder: made where it is not there; files of other names in it stay.
        samples, predicted, spec: as `align` takes them.
        run_id: of the run that predicted.
    Returns:
        the files, two a trace.
    Raises:
        InputError: the files cannot be written.
    """
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stem, track in zip(_stems(samples.names), align(samples, predicted, spec), strict=True):
            notes = _notes(track, spec, run_id)
            written += files.save_columns(folder, stem, STRUCT, _columns(track), notes)
    except OSError as error:
        raise InputError(
            f"{folder}: expected to write predictions there, got '{error.strerror}'. Make room, or "
            "mend its permissions."
        ) from None
    return written


def _stems(names: tuple[str, ...]) -> list[str]:
    """File names for traces, in one folder whatever a trace's folder is called; none twice."""
    stems: list[str] = []
    for name in names:
        stem = re.sub(r"[/\\:]+", "-", name).strip("-.") or "trace"
        while stem in stems:
            stem += "_"
        stems.append(stem)
    return stems


def _columns(track: Track) -> dict[str, ndarray]:
    predicted = {f"predicted_{name}": track.predicted_mm[:, i] for i, name in _numbered(track)}
    true = {name: track.true_mm[:, i] for i, name in _numbered(track)}
    features = {name: values for name, values in track.features.items() if name != "time"}
    return {"time": track.time_s, **features, **true, **predicted}


def _numbered(track: Track) -> list[tuple[int, str]]:
    return list(enumerate(track.targets))


def _notes(track: Track, spec: Spec, run_id: str) -> dict[str, Any]:
    return {
        "run": run_id,
        "trace": track.name,
        "part": track.part,
        "horizon": float(spec.data.horizon),
        "sample_rate_hz": track.rate_hz,
        "sign": f"{SIGN} (mm); command = reference + correction",
        "alignment": ALIGNMENT,
    }
