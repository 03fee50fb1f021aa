"""Units follow from the names of a trace's fields."""

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
        ("error_y", "mm"),
        ("jitter_x", "mm"),
        ("error_direction", "rad"),
        ("is_travel", "1"),
        ("feature_code", "1"),
    ],
)
def test_units_follow_from_names(name, unit):
    assert units.unit_of(name) == unit
