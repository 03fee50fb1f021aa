"""Breakdown: corners of known paths, bands that hold every row once, and what is not known."""

import numpy as np
import pytest

from jaxcorr import metrics
from jaxcorr.data.strata import Labels
from jaxcorr.data.windows import Samples
from jaxcorr.evaluation import breakdown
from jaxcorr.evaluation.breakdown import way_from_corner
from jaxcorr.printer.gcode import FEATURES
from jaxcorr.spec import Data

DATA = Data(traces=("none",))
RATE_HZ = 100.0


def path(*legs):
    """Velocities of legs at constant speed: (degrees, mm/s, samples)."""
    return np.concatenate(
        [
            speed * np.tile([np.cos(np.radians(angle)), np.sin(np.radians(angle))], (n, 1))
            for angle, speed, n in legs
        ]
    )


def table(velocities, seed=0):
    rng = np.random.default_rng(seed)
    num_rows = np.array([len(v) for v in velocities])
    v = np.concatenate(velocities).astype(np.float32)
    return Samples(
        features=np.column_stack([np.cumsum(v, axis=0) / RATE_HZ, v]).astype(np.float32),
        targets=rng.normal(size=v.shape).astype(np.float32),
        first_row=np.cumsum(num_rows) - num_rows,
        num_rows=num_rows,
        lead=0,
        names=tuple(f"p/{i}" for i in range(len(velocities))),
        parts=tuple("ab"[i % 2] for i in range(len(velocities))),
    )


@pytest.fixture
def samples():
    return table([path((0, 50, 100), (90, 15, 60)), path((30, 5, 40), (0, 0, 10), (30, 120, 50))])


@pytest.fixture
def predicted(samples):
    return samples.targets + np.random.default_rng(1).normal(size=samples.targets.shape) * 0.1


def test_way_starts_anew_at_a_corner():
    way = way_from_corner(path((0, 50, 100), (90, 50, 100)), RATE_HZ)
    np.testing.assert_allclose(way[:100], 0.5 * np.arange(100))
    # The corner counts for the two samples that see it, by one and by two samples back.
    np.testing.assert_allclose(way[101:], 0.5 * np.arange(99))
    assert way[100] == 0


@pytest.mark.parametrize(("degrees", "is_corner"), [(15, False), (25, True), (180, True)])
def test_a_bend_is_a_corner_from_20_degrees(degrees, is_corner):
    way = way_from_corner(path((10, 40, 50), (10 + degrees, 40, 50)), RATE_HZ)
    assert (way[50:].min() == 0) == is_corner


def test_a_wide_arc_has_no_corner_and_a_stop_is_one():
    arc = np.concatenate([path((0.9 * i, 60, 1)) for i in range(400)])
    assert way_from_corner(arc, RATE_HZ)[-1] == pytest.approx(399 * 0.6)
    stopped = way_from_corner(path((0, 40, 50), (0, 0, 5), (0, 40, 20)), RATE_HZ)
    np.testing.assert_allclose(stopped[50:55], 0)
    assert stopped[-1] == pytest.approx(20 * 0.4)


def blank(samples):
    """Labels of traces that tell nothing."""
    unknown = np.full(len(samples.num_rows), np.nan)
    feature = np.full(len(samples.features), -1, np.int16)
    return Labels(feature, np.full(samples.targets.shape, np.nan, np.float32), unknown, unknown)


@pytest.mark.parametrize("horizon", [0, 3, -3])
def test_bands_hold_every_row_that_counts_once(samples, predicted, horizon):
    data = DATA.model_copy(update={"horizon": horizon})
    counts = np.ones(len(samples.features), np.bool_)
    counts[:5] = False
    found = breakdown.by_kind(samples, predicted, counts, data, blank(samples))
    assert set(found) == {"speed", "corner_distance"}
    for bands in found.values():
        assert sum(band.num_samples for band in bands) == counts.sum()
        power = sum(band.num_samples * band.rmse_mm**2 for band in bands)
        whole = metrics.measure(samples.targets[counts], predicted[counts])
        assert power / counts.sum() == pytest.approx(whole.rmse_mm**2, rel=1e-5)


def test_bands_are_those_of_the_instant_that_is_predicted(samples, predicted):
    counts = np.ones(len(samples.features), np.bool_)
    sizes = {}
    for horizon in (0, 5):
        data = DATA.model_copy(update={"horizon": horizon})
        found = breakdown.by_kind(samples, predicted, counts, data, blank(samples))["speed"]
        sizes[horizon] = {band.label: band.num_samples for band in found}
    assert sizes[0]["40 to 60 mm/s"] == 100
    assert sizes[0]["10 to 20 mm/s"] == 60
    # Five samples ahead, five rows of the first leg speak of the second, and none of a third.
    assert sizes[5]["40 to 60 mm/s"] == 95
    assert sizes[5]["10 to 20 mm/s"] == 65
    assert sizes[0]["0 to 1 mm/s"] == sizes[5]["0 to 1 mm/s"] == 10


def test_labels_add_features_and_sweeps(samples, predicted):
    rows = len(samples.features)
    feature = np.full(rows, FEATURES.index("infill"), np.int16)
    feature[:30], feature[30:40] = 0, -1
    blank = np.full((rows, 2), np.nan, np.float32)
    labels = Labels(feature, blank, np.array([300.0, 500.0]), np.array([np.nan, np.nan]))
    counts = np.ones(rows, np.bool_)
    found = breakdown.by_kind(samples, predicted, counts, DATA, labels)
    kinds = {band.label: band.num_samples for band in found["feature_type"]}
    assert kinds == {"travel": 30, "infill": rows - 40}
    points = {band.label: band.num_samples for band in found["acceleration"]}
    assert points == {"300 mm/s2": 160, "500 mm/s2": 100}
    assert "feedrate" not in found
    one = labels._replace(accel_mm_s2=np.array([500.0, 500.0]), feature=feature * 0 - 1)
    assert set(breakdown.by_kind(samples, predicted, counts, DATA, one)) == {
        "speed", "corner_distance"
    }  # fmt: skip


def test_each_trace_has_its_own_figures(samples, predicted):
    counts = np.ones(len(samples.features), np.bool_)
    found = breakdown.per_trace(samples, predicted, counts)
    assert [(one.name, one.part) for one in found] == [("p/0", "a"), ("p/1", "b")]
    expected = metrics.measure(samples.targets[160:], predicted[160:])
    assert found[1].rmse_mm == pytest.approx(expected.rmse_mm)
    assert found[1].r2 == pytest.approx(expected.r2)
    counts[160:] = False
    assert len(breakdown.per_trace(samples, predicted, counts)) == 1


def test_without_velocities_there_are_no_bands(samples, predicted):
    data = Data(traces=("none",), features=("x_ref", "y_ref"))
    positions = samples._replace(features=samples.features[:, :2])
    counts = np.ones(len(samples.features), np.bool_)
    assert breakdown.by_kind(positions, predicted, counts, data, blank(samples)) == {}


OFFSET_MM = 0.1


@pytest.fixture
def there_and_back():
    """Legs along x; the error is an offset against the motion and a small independent part."""
    samples = table([path((0, 50, 200), (180, 50, 200)), path((0, 50, 150), (180, 50, 150))])
    rng = np.random.default_rng(5)
    steady = np.zeros(samples.targets.shape)
    steady[:, 0] = -OFFSET_MM * np.sign(samples.features[:, 2])
    moving = 0.01 * rng.normal(size=steady.shape)
    return samples._replace(targets=(steady + moving).astype(np.float32)), steady, moving


def labelled(steady):
    unknown = np.full(2, np.nan)
    feature = np.full(len(steady), -1, np.int16)
    return Labels(feature, steady.astype(np.float32), unknown, unknown)


def test_a_prediction_of_the_offset_alone_explains_nothing_of_the_moving_part(there_and_back):
    samples, steady, moving = there_and_back
    counts = np.ones(len(steady), np.bool_)
    found = breakdown.dynamics(samples, steady, counts, DATA, labelled(steady))
    assert found is not None
    assert found.offset == breakdown.FROM_TRACES
    assert found.r2 == pytest.approx(0.0, abs=0.01)
    assert found.rms_mm == pytest.approx(np.std(moving), rel=0.01)
    half = breakdown.dynamics(samples, steady + 0.5 * moving, counts, DATA, labelled(steady))
    assert half is not None
    assert half.r2 == pytest.approx(0.75, abs=0.01)
    assert half.axes["x"].r2 == pytest.approx(0.75, abs=0.02)
    whole = np.var(steady[:, 0]) + np.var(moving[:, 0]) + np.var(moving[:, 1])
    assert half.share_of_variance == pytest.approx(np.var(moving, axis=0).sum() / whole, rel=0.1)


def test_the_offset_is_fitted_where_traces_do_not_tell_it(there_and_back):
    samples, steady, _ = there_and_back
    counts = np.ones(len(steady), np.bool_)
    offset = breakdown.offset_of(samples, counts, DATA, blank(samples))
    assert offset is not None
    assert offset[1] == breakdown.FITTED
    np.testing.assert_allclose(offset[0], steady, atol=0.002)


def test_an_error_that_is_all_friction_leaves_no_r2(there_and_back):
    samples, steady, _ = there_and_back
    still = samples._replace(targets=steady.astype(np.float32))
    exact = still.targets.astype(np.float64)
    counts = np.ones(len(steady), np.bool_)
    found = breakdown.dynamics(still, exact, counts, DATA, labelled(steady))
    assert found is not None
    assert found.r2 is None
    assert found.rms_mm == 0.0


def test_without_velocities_and_labels_it_is_not_known(there_and_back):
    samples, steady, _ = there_and_back
    data = Data(traces=("none",), features=("x_ref", "y_ref"))
    positions = samples._replace(features=samples.features[:, :2])
    counts = np.ones(len(steady), np.bool_)
    assert breakdown.dynamics(positions, steady, counts, data, blank(samples)) is None
