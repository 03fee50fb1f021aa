"""Where the gate closes the correction is gone, and it goes and comes gently."""

import numpy as np
import pytest

from jaxcorr.compensation import gated
from jaxcorr.compensation.gate import Gate

RATE_HZ = 100.0
TRUST = Gate(np.full(2, 100.0), np.full(2, 2000.0), np.full(2, 0.5), np.full(2, 1.0))


def straight(num_knots=100):
    time = np.arange(num_knots)[:, None] / RATE_HZ
    speed = np.tile([50.0, 0.0], (num_knots, 1))
    return np.hstack([time * [50.0, 0.0], speed])


def test_what_training_has_seen_is_kept():
    knots = 0.01 * np.ones((100, 2))
    kept = gated.trusted_knots(TRUST, straight(), knots, 0.2 * np.ones((100, 2)), knots, RATE_HZ)
    assert kept.all()
    np.testing.assert_allclose(gated.fade(knots, kept, RATE_HZ), knots)


def test_only_the_block_unlike_training_is_left():
    reference, small = straight(), np.full((100, 2), 0.01)
    reference[45, 2] = 200.0
    kept = gated.trusted_knots(TRUST, reference, small, 20 * small, small, RATE_HZ)
    assert np.flatnonzero(~kept).tolist() == list(range(40, 50))


@pytest.mark.parametrize("fault", ["no gain", "implausible", "not finite"])
def test_where_predictions_are_no_good_the_surroundings_are_left_too(fault):
    reference, knots = straight(400), np.zeros((400, 2))
    before, after = np.full((400, 2), 0.2), np.full((400, 2), 0.01)
    if fault == "no gain":
        after[200:210] = 1.0
    elif fault == "implausible":
        before[203] = 5.0
    else:
        after[207] = np.nan
    kept = gated.trusted_knots(TRUST, reference, knots, before, after, RATE_HZ)
    assert np.flatnonzero(~kept).tolist() == list(range(150, 260))


def test_a_rest_without_gain_is_no_reason_to_stop():
    before, after = np.full((400, 2), 0.2), np.full((400, 2), 0.01)
    before[200:210] = 0.0
    kept = gated.trusted_knots(TRUST, straight(400), 0 * before, before, after, RATE_HZ)
    assert kept.all()


def test_a_correction_fades_within_a_block():
    knots, kept = np.ones((100, 2)), np.ones(100, np.bool_)
    kept[40:50] = False
    found = gated.fade(knots, kept, RATE_HZ)
    assert np.all(found[40:50] == 0.0)
    np.testing.assert_allclose(found[:30], 1.0)
    np.testing.assert_allclose(found[60:], 1.0)
    assert np.abs(np.diff(found, axis=0)).max() < 0.1
    assert np.all((found >= 0.0) & (found <= 1.0))


def test_everything_left_is_exactly_zero():
    assert np.all(gated.fade(np.ones((30, 2)), np.zeros(30, np.bool_), RATE_HZ) == 0.0)
