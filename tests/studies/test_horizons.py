"""Horizons: which are planned, what is read of each run, and the figure of them."""

import evaluations
import pytest

from jaxcorr import files, spec
from jaxcorr.errors import InputError
from jaxcorr.metrics import Interval
from jaxcorr.studies import horizons
from jaxcorr.studies.horizons import Outcome
from jaxcorr.training.run_folder import Run


def outcome(horizon, r2=0.9, physics=None, r2_interval=(0.85, 0.95)):
    made = evaluations.make()
    return Outcome(
        horizon=horizon,
        run="a run",
        num_samples=7,
        network=made.test.overall.model_copy(update={"r2": r2}),
        linear_name="linear_fir",
        linear=made.test.overall,
        physics=physics,
        intervals=made.intervals.model_copy(
            update={"r2": r2_interval and Interval(*r2_interval), "mae_mm": None}
        ),
    )


def test_all_horizons_between_two_are_planned():
    assert horizons.plan(-2, 2) == [-2, -1, 0, 1, 2]
    assert horizons.plan(3, 3) == [3]
    with pytest.raises(InputError, match="expected --from and --to within 1000 samples, got 0 and"):
        horizons.plan(0, 1001)
    with pytest.raises(InputError, match="expected --from at most --to, got 3 and 1"):
        horizons.plan(3, 1)


def test_changes_are_a_spec_of_that_horizon(tmp_path):
    path = tmp_path / "base.toml"
    path.write_text('[data]\ntraces = ["a"]\n')
    loaded = [spec.load(path, horizons.changes(h, "toy")) for h in (-3, 0, 3)]
    assert [one.data.horizon for one in loaded] == [-3, 0, 3]
    assert [one.train.name for one in loaded] == ["toy-preview3", "toy-ahead0", "toy-ahead3"]


def test_the_better_linear_baseline_stands_beside_the_network(tmp_path):
    files.write_json(tmp_path / "metrics.json", evaluations.TABLE | {"horizon": 2})
    read = horizons.outcome(Run(tmp_path))
    assert read.horizon == 2
    assert read.linear_name == "linear_smooth"
    assert read.linear.rmse_mm == 0.001
    assert read.physics is None


def test_figure_is_written_whatever_is_known(tmp_path):
    paths = [tmp_path / "h.png", tmp_path / "h.svg"]
    physics = evaluations.make().test.overall
    rows = [
        outcome(1), outcome(-1, physics=physics), outcome(0, r2=None), outcome(2, r2_interval=None)
    ]  # fmt: skip
    horizons.draw(rows, 10.0, *paths)
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    text = paths[1].read_text()
    assert "<svg" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h.png", "h.svg"]
