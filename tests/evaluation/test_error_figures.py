"""Figures of an evaluation show the numbers that they were given, legibly, whatever the tracks."""

import warnings
from typing import Any

import numpy as np
import pytest

from jaxcorr import metrics, plotting
from jaxcorr.evaluation import error_figures, motion_figures, path_figures
from jaxcorr.evaluation.tracks import Track

RATE_HZ = 100.0
ALL = (
    error_figures.error_distribution,
    error_figures.error_correlation,
    error_figures.per_axis_error,
    motion_figures.spectrum,
    motion_figures.residual_vs_speed,
    path_figures.trajectory_comparison,
    path_figures.error_heatmap,
    path_figures.worst_moments,
)


def make_track(num_samples=600, seed=0, name="folder/layer 1", targets=("error_x", "error_y")):
    """A circle of 20 mm, errors of 100 um, residuals of 10 um."""
    rng = np.random.default_rng(seed)
    time = np.arange(num_samples) / RATE_HZ
    x, y = 20 * np.cos(2 * time), 20 * np.sin(2 * time)
    features = {"x_ref": x, "y_ref": y, "vx_ref": -2 * y, "vy_ref": 2 * x}
    true = rng.normal(0, 0.1, (num_samples, len(targets)))
    residual = rng.normal(0, 0.01, true.shape)
    return Track(name, "part a", RATE_HZ, time, features, targets, true, true + residual)


TRACKS = [
    make_track(),
    make_track(300, 1, "other/layer 2")._replace(part="a part with a long name"),
]


@pytest.fixture(autouse=True)
def styled():
    """As the report draws; and no figure warns."""
    with plotting.style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def joined(attribute):
    return 1e3 * np.concatenate([getattr(track, attribute) for track in TRACKS])


def lines(axis) -> dict[str, Any]:
    return {line.get_label(): line for line in axis.lines}


def test_distribution_counts_every_sample():
    above, below = error_figures.error_distribution(TRACKS).figure.axes
    x, y = above.patches
    assert [x.get_label(), y.get_label()] == ["x", "y"]
    # The middle 99.5 % of both axes together.
    assert np.mean([x.get_data().values.sum(), y.get_data().values.sum()]) == pytest.approx(
        99.5, abs=0.1
    )
    for label, attribute in (("true error", "true_mm"), ("left after prediction", "residual_mm")):
        size, share = lines(below)[label].get_data()
        median = np.median(np.abs(joined(attribute)))
        assert np.interp(median, size, share) == pytest.approx(50, abs=0.1)


def test_correlation_shows_density_and_r2():
    drawing = error_figures.error_correlation(TRACKS)
    for i, axis in enumerate(drawing.figure.axes):
        assert axis.collections[0].get_array().sum() == len(joined("true_mm"))
        found = metrics.measure(joined("true_mm")[:, i], joined("predicted_mm")[:, i])
        assert axis.get_title(loc="left") == f"{'xy'[i]}: R² {found.r2:.4f}"
        assert axis.get_aspect() == 1.0
        assert axis.get_xlim() == axis.get_ylim()


def test_bars_are_the_metrics_of_each_axis():
    bars, x, y = error_figures.per_axis_error(TRACKS).figure.axes
    for i, container in enumerate(bars.containers):
        residual = joined("residual_mm")[:, i]
        found = metrics.measure(joined("true_mm")[:, i], joined("predicted_mm")[:, i])
        percentile = np.percentile(np.abs(residual), 95)
        expected = [found.mae_mm, found.rmse_mm, percentile]
        assert np.allclose([bar.get_height() for bar in container], expected)
    for i, axis in enumerate((x, y)):
        true, predicted = (lines(axis)[name].get_ydata() for name in ("true", "predicted"))
        assert np.allclose(lines(axis)["residual"].get_ydata(), predicted - true)
        assert len(true) == 200
        assert np.isin(true, joined("true_mm")[:, i]).all()


def test_the_typical_stretch_is_the_one_nearest_to_the_rms():
    calm, typical, wild = (make_track(200, seed) for seed in (1, 2, 3))
    sizes = ((calm, 0.001), (typical, 0.02), (wild, 0.033))
    tracks = [t._replace(predicted_mm=t.true_mm + size) for t, size in sizes]
    found, rows = error_figures.typical_stretch(tracks, 1.0)
    assert np.mean([size**2 for _, size in sizes]) ** 0.5 == pytest.approx(0.0223, abs=1e-4)
    assert found is tracks[1]
    assert rows.stop - rows.start == 100


def test_spectrum_finds_a_sine_and_its_remainder():
    time = np.arange(2000) / RATE_HZ
    sine = np.stack([np.sin(2 * np.pi * f * time) for f in (12.5, 20.0)], axis=1)
    track = make_track(2000)._replace(true_mm=0.1 * sine, predicted_mm=0.08 * sine)
    drawing = motion_figures.spectrum([track, track])
    assert drawing is not None
    assert "x 12.5 Hz, y 19.9 Hz" in drawing.caption
    for axis, frequency_hz in zip(drawing.figure.axes, (12.5, 20.0), strict=True):
        for label, amplitude_um in (("true", 100.0), ("predicted", 80.0), ("residual", 20.0)):
            at, values = lines(axis)[label].get_data()
            assert values.max() == pytest.approx(amplitude_um, rel=0.01)
            assert at[values.argmax()] == pytest.approx(frequency_hz, abs=0.2)


def test_speed_bands_hold_their_samples():
    track = make_track(600)
    speed = np.linspace(0, 120, 600)
    features = {"vx_ref": speed, "vy_ref": np.zeros(600)}
    true = np.c_[speed, np.zeros(600)] / 1000
    track = track._replace(features=features, true_mm=true, predicted_mm=0.5 * true)
    drawing = motion_figures.residual_vs_speed([track])
    assert drawing is not None
    found = lines(drawing.figure.axes[0])
    for label, factor in (("true", 1.0), ("residual", 0.5)):
        middle, median = found[f"{label}: median"].get_data()
        assert np.allclose(middle, 5 + 10 * np.arange(12))
        assert np.allclose(median, factor * middle, atol=0.2)
        assert np.allclose(found[f"{label}: 90th percentile"].get_ydata(), median + 4 * factor, 0.2)


def test_path_shows_the_largest_error_magnified():
    track = make_track()
    true = 0.01 * track.true_mm
    true[300] = (0.3, 0.4)
    track = track._replace(true_mm=true, predicted_mm=0.9 * true)
    drawing = path_figures.trajectory_comparison(
        [track, TRACKS[1]._replace(true_mm=0 * true[:300])]
    )
    assert drawing is not None
    assert "500 µm at 3.00 s, where the prediction is 50 µm off" in drawing.caption
    whole, zoomed = drawing.figure.axes
    assert whole.get_aspect() == zoomed.get_aspect() == 1.0
    reference, actual, predicted = (line.get_xydata() for line in zoomed.lines[:3])
    rows = slice(270, 331)
    assert np.allclose(reference, track.position_mm[rows])
    factor = (actual - reference)[30, 0] / 0.3
    assert f"errors magnified {factor:g} times" in drawing.caption
    assert np.allclose(actual, reference + factor * true[rows])
    assert np.allclose(predicted, reference + factor * 0.9 * true[rows])
    frame = whole.patches[0].get_bbox()
    assert np.allclose((frame.x0, frame.x1), zoomed.get_xlim())
    assert np.allclose((frame.y0, frame.y1), zoomed.get_ylim())


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(1.0, 1.0), (0.999, 0.5), (2.9, 2.0), (49.0, 30.0), (50.0, 50.0), (0.03, 0.03)],
)
def test_magnification_is_a_round_number(value, rounded):
    assert path_figures.round_down(value) == pytest.approx(rounded)


def test_heat_map_holds_the_mean_of_each_cell():
    # Two visits of one corner of a square, one visit of the others.
    at = np.array([[0, 0], [0, 0], [40, 0], [40, 40], [0, 40.0]])
    features = {"x_ref": at[:, 0], "y_ref": at[:, 1]}
    true = np.array([[0.3, 0.4], [0.0, 0.1], [0.2, 0.0], [0.0, 0.4], [0.05, 0.0]])
    track = Track(
        "f/1", "a", RATE_HZ, np.arange(5) / 100, features, ("error_x", "error_y"), *[true] * 2
    )
    drawing = path_figures.error_heatmap([track])
    assert drawing is not None
    true_um, residual_um = (a.images[0].get_array() for a in drawing.figure.axes if a.images)
    assert true_um.shape == (path_figures.NUM_CELLS, path_figures.NUM_CELLS)
    corners = [true_um[0, 0], true_um[0, -1], true_um[-1, -1], true_um[-1, 0]]
    assert np.allclose(corners, [300, 200, 400, 50])
    assert np.isfinite(true_um).sum() == 4
    assert np.nanmax(residual_um) == 0.0


def test_the_worst_moments_are_found_once_each_and_in_order():
    track = make_track(1000)
    residual = np.zeros((1000, 2))
    planted = {(100, 0): 0.5, (103, 1): 0.6, (400, 1): -0.9, (999, 0): 0.3, (0, 1): 0.2}
    for place, value in planted.items():
        residual[place] = value
    track = track._replace(predicted_mm=track.true_mm + residual)
    found = path_figures.find_worst([track, TRACKS[1]], 4)
    assert [(one[0] is track, *one[1:]) for one in found] == [
        (True, 400, 1),
        (True, 103, 1),
        (True, 999, 0),
        (True, 0, 1),
    ]
    drawing = path_figures.worst_moments([track, TRACKS[1]])
    assert drawing.title == "The 10 worst moments"
    assert "900 µm in part a layer 1 at 4.00 s" in drawing.caption
    panel = drawing.figure.axes[0]
    assert panel.get_title(loc="left") == "1: part a, 4.00 s, y"
    middle = lines(panel)["predicted"].get_ydata() - lines(panel)["true"].get_ydata()
    assert middle[25] == pytest.approx(-900)


def test_no_samples_are_two_moments_at_once():
    found = path_figures.find_worst(TRACKS, 10)
    for track in TRACKS:
        rows = sorted(row for one, row, _ in found if one is track)
        assert (np.diff(rows) >= 2 * path_figures.MOMENT_S * RATE_HZ).all()


def only_x(track):
    return track._replace(
        targets=("error_x",), true_mm=track.true_mm[:, :1], predicted_mm=track.predicted_mm[:, :1]
    )


def tail_unknown(track):
    """As a horizon of 5 leaves it: no features at the last five instants."""
    features = {name: column.copy() for name, column in track.features.items()}
    for column in features.values():
        column[-5:] = np.nan
    return track._replace(features=features)


def constant_y(track):
    true, predicted = track.true_mm.copy(), track.predicted_mm.copy()
    true[:, 1] = predicted[:, 1] = 0.0
    return track._replace(true_mm=true, predicted_mm=predicted)


CASES = {
    "one trace": [make_track()],
    "many parts": [make_track(60, i)._replace(part=f"part {i}") for i in range(7)],
    "very short": [make_track(2)],
    "one sample": [make_track(1)],
    "one target": [only_x(make_track())],
    "three targets": [make_track(targets=("error_x", "error_y", "error_z"))],
    "other targets": [make_track(targets=("friction_x", "resonance_y"))],
    "horizon": [tail_unknown(make_track())],
    "no features": [make_track()._replace(features={})],
    "constant axis": [constant_y(make_track())],
    "perfect": [make_track()._replace(predicted_mm=make_track().true_mm)],
    "nothing": [make_track()._replace(true_mm=np.zeros((600, 2)), predicted_mm=np.zeros((600, 2)))],
    "standing still": [
        make_track()._replace(features={n: np.ones(600) for n in ("x_ref", "y_ref")})
    ],
}
WITHOUT = {
    "very short": {"spectrum"},
    "one sample": {"spectrum", "residual_vs_speed"},
    "one target": {"trajectory_comparison", "error_heatmap"},
    "other targets": {"trajectory_comparison", "error_heatmap"},
    "no features": {"trajectory_comparison", "error_heatmap", "residual_vs_speed"},
}


@pytest.mark.parametrize("case", CASES)
def test_every_case_is_drawn_as_far_as_it_can_be(case):
    drawn = {fn.__name__: fn(CASES[case]) for fn in ALL}
    assert {name for name, made in drawn.items() if made is None} == WITHOUT.get(case, set())
    for name, made in drawn.items():
        if made is not None:
            assert made.name == name
            assert "nan " not in made.caption
            # Scales and layouts are made when a figure is drawn; these are the hard cases.
            if case in ("one sample", "nothing"):
                made.figure.draw_without_rendering()


@pytest.mark.parametrize("fn", ALL)
def test_nothing_is_cut_off_and_no_legend_covers_data(fn):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = fn(TRACKS).figure
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    whole = figure.bbox.padded(1)
    legends = [axis.get_legend() for axis in figure.axes if axis.get_legend()] + figure.legends
    for axis in figure.axes:
        box = axis.get_tightbbox(renderer)
        assert all(whole.contains(*corner) for corner in box.corners()), axis
        for legend in legends:
            covered = legend.get_window_extent(renderer)
            assert not covered.overlaps(axis.get_window_extent(renderer).padded(-1))


def test_training_curves_name_the_best_epoch():
    rows = [
        {"epoch": e, "train_loss": 1 / e, "train_mae_mm": 0.01, "learning_rate": 1e-3}
        | ({"val_mae_mm": 0.02 - 0.001 * e} if e < 4 else {})
        for e in (1, 2, 3, 4)
    ]
    drawing = error_figures.training_curves(rows)
    assert drawing is not None
    assert "Best validation MAE 17 µm after epoch 3." in drawing.caption
    assert error_figures.training_curves([]) is None
    unvalidated = error_figures.training_curves([{**rows[3]}])
    assert unvalidated is not None
    assert unvalidated.caption.endswith("There was no validation.")


def test_vector_files_stay_small_with_many_samples(tmp_path):
    many = [make_track(30_000)]
    for fn in (error_figures.error_correlation, motion_figures.residual_vs_speed):
        drawing = fn(many)
        assert drawing is not None
        plotting.save(drawing.figure, tmp_path / f"{drawing.name}.svg")
        assert (tmp_path / f"{drawing.name}.svg").stat().st_size < 400_000
