"""The moving part of the error: R2 in closed form, and where friction's offset comes from."""

import numpy as np
import pytest
from test_breakdown import DATA, path, table

from jaxcorr.data.strata import Labels
from jaxcorr.evaluation import dynamic_part
from jaxcorr.spec import Data

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
    found = dynamic_part.measure_dynamic(samples, steady, counts, DATA, labelled(steady))
    assert found is not None
    assert found["offset"] == dynamic_part.FROM_TRACES
    assert found["r2"] == pytest.approx(0.0, abs=0.01)
    assert found["rms_mm"] == pytest.approx(np.std(moving), rel=0.01)
    half = dynamic_part.measure_dynamic(
        samples, steady + 0.5 * moving, counts, DATA, labelled(steady)
    )
    assert half is not None
    assert half["r2"] == pytest.approx(0.75, abs=0.01)
    assert half["x"]["r2"] == pytest.approx(0.75, abs=0.02)
    whole = np.var(steady[:, 0]) + np.var(moving[:, 0]) + np.var(moving[:, 1])
    assert half["share_of_variance"] == pytest.approx(np.var(moving, axis=0).sum() / whole, rel=0.1)


def test_the_offset_is_fitted_where_traces_do_not_tell_it(there_and_back):
    samples, steady, _ = there_and_back
    counts = np.ones(len(steady), np.bool_)
    for labels in (None, labelled(np.full_like(steady, np.nan))):
        found = dynamic_part.offset_of(samples, counts, DATA, labels)
        assert found is not None
        assert found[1] == dynamic_part.FITTED
        np.testing.assert_allclose(found[0], steady, atol=0.002)


def test_an_error_that_is_all_friction_leaves_no_r2(there_and_back):
    samples, steady, _ = there_and_back
    still = samples._replace(targets=steady.astype(np.float32))
    exact = still.targets.astype(np.float64)
    counts = np.ones(len(steady), np.bool_)
    found = dynamic_part.measure_dynamic(still, exact, counts, DATA, labelled(steady))
    assert found is not None
    assert found["r2"] is None
    assert found["rms_mm"] == 0.0


def test_without_velocities_and_labels_it_is_not_known(there_and_back):
    samples, steady, _ = there_and_back
    data = Data(traces=("none",), features=("x_ref", "y_ref"))
    positions = samples._replace(features=samples.features[:, :2])
    counts = np.ones(len(steady), np.bool_)
    assert dynamic_part.measure_dynamic(positions, steady, counts, data, None) is None
