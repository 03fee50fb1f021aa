"""Units follow from the names of a trace's fields; horizons and counts are told in words."""

import pytest

from jaxcorr import units


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("time", "s"),
        ("x_ref", "mm"),
        ("vz_ref", "mm/s"),
        ("x_cmd", "mm"),
        ("vx_cmd", "mm/s"),
        ("lag_x", "mm"),
        ("v_mag_ref", "mm/s"),
        ("ay_ref", "mm/s2"),
        ("jx_ref", "mm/s3"),
        ("jerk_mag", "mm/s3"),
        ("j1_ref", "mm"),
        ("vj1_ref", "mm/s"),
        ("a_ref", "mm"),
        ("error_y", "mm"),
        ("jitter_x", "mm"),
        ("error_direction", "rad"),
        ("is_travel", "1"),
        ("feature_code", "1"),
    ],
)
def test_units_follow_from_names(name, unit):
    assert units.unit_of(name) == unit


@pytest.mark.parametrize(
    ("horizon", "text"),
    [
        (0, "at the newest sample"),
        (1, "1 sample (10 ms) after the newest"),
        (-1200, "1,200 samples (12000 ms) before the newest"),
    ],
)
def test_the_horizon_is_told_in_time(horizon, text):
    assert units.horizon_text(horizon, 100.0) == text
