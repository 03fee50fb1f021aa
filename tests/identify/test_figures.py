"""The figure shows every direction, the fit and the modes, at the file's level."""

import numpy as np
import pytest
import resonances
from matplotlib.figure import Figure

from jaxcorr import plotting
from jaxcorr.errors import InputError
from jaxcorr.identify import axis_response, figures


@pytest.fixture(scope="module")
def response(tmp_path_factory):
    path = tmp_path_factory.mktemp("tests") / "resonances_x.csv"
    return axis_response.identify_files([resonances.write_psd(path, [(48.0, 0.08, 1.0)])])[0]


def test_a_panel_an_axis_with_what_was_measured_and_what_fits(response, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plotting, "save", lambda figure, *_, **__: drawn.append(figure))
    figures.draw([response, response], tmp_path / "fit.svg")
    assert isinstance(drawn[0], Figure)
    assert len(drawn[0].axes) == 2
    lines = {line.get_label(): line.get_ydata() for line in drawn[0].axes[0].get_lines()}
    assert {"measured, x", "measured, y", "measured, z", "fit"} <= set(lines)
    peak = int(np.argmax(lines["measured, x"]))
    assert lines["fit"][peak] == pytest.approx(lines["measured, x"][peak], rel=0.05)


def test_written_whole_or_refused(response, tmp_path):
    formula = response.spectrum.path.with_name("$\\frac{$.csv")  # one that matplotlib refuses
    spectrum = response.spectrum._replace(path=formula)
    figures.draw([response._replace(spectrum=spectrum)], tmp_path / "fit.png")
    assert [path.name for path in tmp_path.iterdir()] == ["fit.png"]
    with pytest.raises(InputError, match=r"ending in .png"):
        figures.draw([response], tmp_path / "fit.txt")
