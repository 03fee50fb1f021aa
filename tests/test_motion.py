"""What programs import from the root: G-code to samples, and a simulated printer's answer."""

import numpy as np
import pytest
from planned import SHORT

from jaxcorr import InputError, plan, read_gcode, simulate

FRICTION_OFFSET_MM = 0.1  # F / k of the reference printer


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("gcode") / "short.gcode"
    head = ["M83", "M204 P1000 T1000", "G92 E0", "G1 X0 Y0 Z0.2 F6000", ";LAYER_CHANGE"]
    path.write_text("\n".join([*head, *SHORT]) + "\n", encoding="utf-8")
    return read_gcode(path)


def test_a_plan_begins_and_ends_at_rest_and_its_speeds_are_its_slopes(program):
    planned = plan(program, program.num_layers, rate_hz=1000.0)
    assert planned.shape[1] == 4
    np.testing.assert_allclose(planned[0], 0.0, atol=1e-12)
    middle = (planned[2:, :2] - planned[:-2, :2]) * 500.0
    assert np.median(np.abs(middle - planned[1:-1, 2:])) < 1e-6
    assert len(plan(program, 1, rate_hz=100.0)) == len(planned) // 10 + 1


def test_a_printer_lags_by_its_friction_and_follows_commands(program):
    plain = simulate(program, 1)
    assert plain.error_mm.shape == (len(plain.time_s), 2)
    # Over a straight line along x the head is behind by the friction offset, in the median.
    assert np.median(np.abs(plain.error_mm[:, 0])) == pytest.approx(FRICTION_OFFSET_MM, rel=0.3)
    planned = plan(program, 1)
    np.testing.assert_array_equal(simulate(program, 1, planned).actual_mm, plain.actual_mm)
    moved = simulate(program, 1, planned + np.array([0.05, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose((moved.error_mm - plain.error_mm)[:, 0].mean(), 0.05, rtol=0.05)
    stiffer = simulate(program, 1, printer="ender3_v2")
    assert np.abs(stiffer.error_mm).mean() < 0.6 * np.abs(plain.error_mm).mean()


def test_what_does_not_fit_is_refused(program):
    with pytest.raises(InputError, match=r"expected finite commands of shape \(\d+, 4\)"):
        simulate(program, 1, np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"layer 9: expected a layer from 1 to 1"):
        plan(program, 9)
    with pytest.raises(InputError, match="expected a G-code file or one of"):
        read_gcode("cube")
