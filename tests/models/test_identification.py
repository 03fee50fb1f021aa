"""From trace files to a table of numbers, and to those of a printer file."""

import numpy as np
import pytest
from elastic import COREXY, PLANT, RATE_HZ, axes_of, motion

from jaxcorr.data import trace
from jaxcorr.errors import InputError
from jaxcorr.identify import printer_file
from jaxcorr.models import grey_box, identification

PLANTS_ARE_FOUND = True


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    """One trace of a smooth motion."""
    position, velocity, lag = motion()
    columns = {"time": np.arange(len(lag)) / RATE_HZ}
    for i, axis in enumerate("xy"):
        columns |= {f"{axis}_ref": position[:, i], f"v{axis}_ref": velocity[:, i]}
        columns[f"error_{axis}"] = lag[:, i]
    path = tmp_path_factory.mktemp("data_simulation_smooth_all") / "layer01.mat"
    trace.write(path, columns, {})
    return str(path)


@pytest.fixture(scope="module")
def found(pattern):
    """At the rate of the trace itself."""
    return identification.from_traces([pattern])


@pytest.fixture(scope="module")
def table(found):
    return identification.describe(found, identification.AXES)


@pytest.mark.parametrize("times", [[0.0], [0.0, 0.0, 0.0], [0.0, 10.0, 20.0], [0.0, np.nan, 1.0]])
def test_times_that_tell_no_rate_are_refused_in_a_line(tmp_path, times):
    columns = {"time": np.array(times)}
    for name in ("x_ref", "y_ref", "vx_ref", "vy_ref", "error_x", "error_y"):
        columns[name] = np.zeros(len(times))
    trace.write(tmp_path / "a.mat", columns, {})
    with pytest.raises(InputError, match=r"a\.mat: "):
        identification.from_traces([str(tmp_path / "a.mat")])


def test_numbers_come_with_intervals_and_steppers_as_phasors(table):
    truth = axes_of(PLANT)
    for i, axis in enumerate(identification.AXES):
        assert table[axis]["friction_mm"] == pytest.approx(truth.friction_mm[i], rel=0.02)
        assert table[axis]["frequency_hz"] == pytest.approx(truth.frequency_hz[i], rel=0.02)
        low, high = table[axis]["frequency_hz_95"]
        assert low < table[axis]["frequency_hz"] < high
        assert table[axis]["unexplained_share"] < 0.001
        steppers = {each["period_mm"]: each for each in table[axis]["stepper"]}
        assert steppers[0.8]["amplitude_mm"] == pytest.approx(0.004, rel=0.1)
        assert steppers[0.8]["phase_rad"] == pytest.approx(0, abs=0.1)
        assert steppers[0.4]["amplitude_mm"] < 4e-4


def test_a_printer_file_of_traces_has_the_friction_too(found):
    keys = printer_file.table_of(identification.printer_of(found), PLANT.mass_kg)
    for name in ("stiffness_n_m", "damping_ns_m", "friction_n"):
        assert keys[name] == pytest.approx(getattr(PLANT, name), rel=0.05)
    speed_mm_s = PLANT.friction_velocity_mm_s
    assert keys["friction_velocity_mm_s"] == pytest.approx(speed_mm_s, rel=0.1)


def test_a_corexy_is_tried_where_much_is_left_and_taken_where_it_leaves_less(
    pattern, found, monkeypatch
):
    left, tried = {"cartesian": 0.3, "corexy": 0.1}, []

    def identify(_traces, _rate_hz, kinematics):
        tried.append(kinematics)
        is_corexy = kinematics == "corexy"
        axes = axes_of(COREXY) if is_corexy else found.axes
        return found._replace(axes=axes, unexplained=np.array([0.01, left[kinematics]]))

    monkeypatch.setattr(grey_box, "identify", identify)
    taken = identification.from_traces([pattern], RATE_HZ)
    assert identification.kinematics_of(taken) == "corexy"
    keys = printer_file.table_of(identification.printer_of(taken), (COREXY.mass_kg[0], 9.0))
    for name in ("kinematics", "mass_kg", "stiffness_n_m", "damping_ns_m", "friction_n"):
        expected = getattr(COREXY, name)
        is_text = isinstance(expected, str)
        assert keys[name] == (expected if is_text else pytest.approx(expected, rel=1e-5))
    for left["corexy"] in (0.1, 0.29):
        chosen = identification.from_traces([pattern], RATE_HZ, None)
        assert (identification.kinematics_of(chosen) == "corexy") == (left["corexy"] < 0.2)
    tried.clear()
    identification.from_traces([pattern], RATE_HZ, "cartesian")
    left["cartesian"] = 0.05
    identification.from_traces([pattern], RATE_HZ)
    assert tried == ["cartesian", "cartesian"]


def test_a_trace_that_stands_is_refused(tmp_path):
    still = np.full(200, 10.0)
    columns = {"time": np.arange(200) / RATE_HZ, "x_ref": still, "y_ref": still}
    columns |= dict.fromkeys(("vx_ref", "vy_ref", "error_x", "error_y"), np.zeros(200))
    trace.write(tmp_path / "layer01.mat", columns, {})
    with pytest.raises(InputError, match=r"expected a trace that moves for a second or longer"):
        identification.from_traces([str(tmp_path)], RATE_HZ)
