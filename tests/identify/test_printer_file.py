"""Printer files of what was identified: read back they have the frequencies, and say the rest."""

import numpy as np
import pytest

from jaxcorr.compensation.baselines import natural
from jaxcorr.errors import InputError
from jaxcorr.identify import printer_file
from jaxcorr.identify.printer_file import Identified
from jaxcorr.printer_spec import Printer, read_printer
from jaxcorr.schema import check

FOUND = Identified((47.25, 39.9), (0.08, 0.11))


def test_read_back_it_has_the_frequencies_and_dampings(tmp_path):
    path = tmp_path / "mine.toml"
    notes = printer_file.write(path, FOUND, (0.4, 0.7), ["From a test."])
    printer = check(Printer, {"printer": str(path)}, "x")
    for i in (0, 1):
        expected = (FOUND.frequency_hz[i], FOUND.damping_ratio[i])
        assert natural(printer, i) == pytest.approx(expected, rel=1e-5)
    assert printer.mass_kg == (0.4, 0.7)
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert head == [f"# {line}" for line in ["From a test.", *notes]]


def test_masses_and_friction_that_nobody_gave_are_said(tmp_path):
    path = tmp_path / "mine.toml"
    notes = " ".join(printer_file.write(path, FOUND, None, []))
    assert "0.35 and 0.45 kg are the reference's, not measured" in notes
    assert "Friction is not told, and left out" in notes
    assert "friction_n" not in read_printer(str(path))


def test_friction_that_was_measured_is_in_the_file(tmp_path):
    found = FOUND._replace(friction_mm=(0.02, 0.03), friction_velocity_mm_s=2.5)
    notes = printer_file.write(tmp_path / "a.toml", found, (0.4, 0.7), [])
    assert len(notes) == 1
    known = read_printer(str(tmp_path / "a.toml"))
    assert known["friction_velocity_mm_s"] == 2.5
    expected = np.array(known["stiffness_n_m"]) * [2e-5, 3e-5]
    np.testing.assert_allclose(known["friction_n"], expected, rtol=1e-5)


def test_ringing_tells_the_frequency_of_one_axis_or_of_two():
    found = printer_file.of_ringing([1.9], 100.0)
    assert found.frequency_hz == pytest.approx((52.63, 52.63), abs=0.01)
    assert found.damping_ratio == (printer_file.USUAL_DAMPING_RATIO,) * 2
    assert printer_file.of_ringing([2.0, 2.5], 100.0).frequency_hz == (50.0, 40.0)


@pytest.mark.parametrize(
    ("ringing_mm", "speed_mm_s", "message"),
    [
        ([0.0], 100.0, "--ringing-mm: expected a number > 0, got 0"),
        ([1.0, np.nan], 100.0, "--ringing-mm: expected a number > 0, got nan"),
        ([1.0], -1.0, "--speed-mm-s: expected a number > 0, got -1"),
        ([1.0, 2.0, 3.0], 100.0, "expected one distance, or one of x and one of y, got 3"),
    ],
)
def test_other_ringing_is_refused(ringing_mm, speed_mm_s, message):
    with pytest.raises(InputError, match=message):
        printer_file.of_ringing(ringing_mm, speed_mm_s)


def test_no_mass_no_file(tmp_path):
    path = tmp_path / "mine.toml"
    with pytest.raises(InputError, match=r"mass_kg: expected a number > 0, got -1"):
        printer_file.write(path, FOUND, (-1.0, 0.4), [])
    assert not path.exists()
