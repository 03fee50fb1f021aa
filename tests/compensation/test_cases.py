"""The printers that a closed-loop test is made on."""

import pytest

from jaxcorr.compensation import cases
from jaxcorr.compensation.baselines import natural
from jaxcorr.printer_spec import Simulation


def test_printers_differ_as_their_names_say():
    made = cases.printers(Simulation())
    frequency, ratio = natural(made["nominal"], 0)
    for percent in (10, -10, -20):
        own = natural(made[f"frequency {percent:+d}%"], 0)[0]
        assert own == pytest.approx(frequency * (1 + percent / 100))
    for factor in ("0.5", "2"):
        assert natural(made[f"damping x{factor}"], 1)[1] == pytest.approx(
            natural(made["nominal"], 1)[1] * float(factor)
        )
        assert natural(made[f"damping x{factor}"], 0)[0] == pytest.approx(frequency)
        assert made[f"friction x{factor}"].friction_n[0] == pytest.approx(0.8 * float(factor))
    assert natural(made["nominal"], 0)[1] == pytest.approx(ratio)
    assert list(cases.printers(Simulation(), ["damping x2"])) == ["damping x2"]


def test_printers_need_not_be_alike_in_x_and_y():
    made = cases.printers(Simulation())["frequency -20%"]
    assert made.mass_kg[1] == pytest.approx(0.45 / 0.64)


def test_a_bed_that_moves_is_tried_with_a_print_on_it():
    made = cases.printers(Simulation(bed_axis="y"))
    assert made["300 g printed"].mass_kg == (0.35, pytest.approx(0.75))
    assert "300 g printed" not in cases.printers(Simulation())


def test_second_modes_go_with_the_frequency():
    two = Simulation(second_share=(0.2, 0.0), second_frequency_hz=(70.0, 0.0))
    assert cases.printers(two)["frequency -20%"].second_frequency_hz == (56.0, 0.0)
