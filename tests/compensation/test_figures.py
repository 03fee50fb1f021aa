"""The picture of a compensation: what is drawn is what was driven, to one scale."""

import warnings

import numpy as np
import pytest
from planned import FRICTIONLESS, SHORT, plan_of

from jaxcorr import plotting
from jaxcorr.compensation import cases, closed_loop, figures
from jaxcorr.printer import drive


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    plan = plan_of(tmp_path_factory.mktemp("plan"), *SHORT)
    plants = cases.printers(FRICTIONLESS, ["nominal"])
    shifted = {"flat": lambda layer: drive.corrected(layer, np.full((layer.num_knots, 2), 0.05))}
    layout = closed_loop.Layout("part/layer01", 3000.0, 3)
    return closed_loop.run(plan, layout, FRICTIONLESS, plants, shifted)


@pytest.fixture
def axes(tried, tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(plotting, "save", lambda figure, _: kept.append(figure))
    with warnings.catch_warnings(action="error"):
        figures.draw_paths(tried, ["flat"], tmp_path / "layer.png")
        kept[0].draw_without_rendering()
    return kept[0].axes


def test_titles_give_contour_and_rms_of_what_was_driven(tried, axes):
    contours_um = {row.method: row.judged.contour_um for row in tried.rows}
    for axis, name in zip(axes[:2], [closed_loop.NONE, "flat"], strict=True):
        error_um = 1e3 * np.hypot(*tried.driven.error_mm[:, tried.columns[name]].T)
        head, measures = axis.get_title().split("\n")
        rms_um = np.sqrt(np.mean(error_um**2))
        assert head == name
        assert measures == f"contour {contours_um[name]:.1f} µm, RMS {rms_um:.1f} µm"
        assert np.allclose(axis.collections[0].get_array(), error_um)


def test_both_stretches_hold_the_largest_error_to_one_scale(tried, axes):
    left, right = axes[2:4]
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert np.ptp(left.get_xlim()) == pytest.approx(np.ptp(left.get_ylim()))
    factor = float(left.get_title().split("×")[1])
    reference, path = (line.get_xydata() for line in left.lines)
    largest = np.hypot(*tried.driven.error_mm[:, tried.columns[closed_loop.NONE]].T).max()
    assert np.hypot(*(path - reference).T).max() == pytest.approx(factor * largest)
