"""Goals against rows that meet them or miss them by a known amount."""

import pytest

from jaxcorr.compensation import goals as verdicts
from jaxcorr.compensation.closed_loop import Row
from jaxcorr.compensation.judge import Judged

OURS = "ours"


def row(rms_um, method=OURS, printer="nominal", layer="a/layer01", accel=500.0, contour_um=10.0):
    judged = Judged(1000, contour_um, contour_um, rms_um, rms_um, rms_um, 10, 5.0, 90.0)
    return Row(layer, accel, printer, method, "", 0.1, judged)


def goals(*rows):
    return {one.goal.split(":")[0]: one for one in verdicts.judge_goals(rows, OURS)}


@pytest.mark.parametrize(("rms_um", "is_met"), [(7.9, True), (8.1, False)])
def test_the_nominal_goal_is_92_percent_at_every_acceleration(rms_um, is_met):
    found = goals(
        *(row(100.0, "none", accel=a) for a in (500.0, 3000.0)),
        row(1.0),
        row(rms_um, accel=3000.0),
    )
    one = found["RMS down by 92% or more"]
    assert one.is_met == is_met
    assert "3000 mm/s2" in one.found
    assert f"{100 - rms_um:.1f}%" in one.found


@pytest.mark.parametrize(("rms_um", "is_met"), [(29.0, True), (31.0, False)])
def test_near_frequencies_need_70_percent(rms_um, is_met):
    rows = [row(100.0, "none", p) for p in ("frequency +10%", "frequency -10%")]
    rows += [row(5.0, printer="frequency +10%"), row(rms_um, printer="frequency -10%")]
    assert goals(*rows)["RMS down by 70% or more"].is_met == is_met


@pytest.mark.parametrize("baseline", ["ZV", "linear inverse + friction"])
def test_contour_is_held_against_classical_methods(baseline):
    rows = [row(100.0, "none"), row(20.0, baseline, contour_um=12.0)]
    for contour_um, is_met in ((11.9, True), (12.0, False)):
        found = goals(*rows, row(5.0, contour_um=contour_um))
        assert next(iter(found)) == f"contour below {baseline} tuned to nominal"
        assert next(iter(found.values())).is_met == is_met


def test_the_offset_is_what_feedforward_takes_of_the_squared_error():
    rows = [
        row(error_um, method, accel=accel)
        for accel, left_um in ((500.0, 20.0), (3000.0, 100.0))
        for method, error_um in (("none", 100.0), ("friction feedforward", left_um))
    ]
    elsewhere = [row(100.0, "none", "friction x2"), row(1.0, "friction feedforward", "friction x2")]
    found = verdicts.offset_shares([*rows, *elsewhere])
    assert [one.accel_mm_s2 for one in found] == [500.0, 3000.0]
    assert [one.share for one in found] == pytest.approx([0.96, 0.0])


def test_a_loaded_bed_is_held_against_both_mzv():
    loaded = "frequency -20%"
    rows = [row(100.0, "none", loaded), row(50.0, "MZV", loaded), row(40.0, "MZV, tuned", loaded)]
    found = verdicts.judge_goals([*rows, row(45.0, printer=loaded)], OURS)
    assert [one.is_met for one in found if "MZV" in one.goal] == [True, False]


def test_never_worse_looks_at_each_layer():
    rows = [
        row(100.0, "none"),
        row(50.0, "none", layer="a/layer02"),
        row(10.0),
        row(51.0, layer="a/layer02"),
    ]
    one = goals(*rows)["never worse than nothing"]
    assert not one.is_met
    assert "1.020" in one.found
    assert "a/layer02" in one.found
    assert goals(*rows[:3])["never worse than nothing"].is_met


def test_without_rows_there_is_no_verdict():
    assert verdicts.judge_goals([row(100.0, "none")], OURS) == []


def test_summaries_pool_layers_and_compare_with_nothing():
    rows = [
        row(30.0, "none"),
        row(40.0, "none", layer="b/layer09"),
        row(3.0),
        row(4.0, layer="b/layer09"),
    ]
    nothing, ours = verdicts.summarize(rows)
    assert nothing.reduction == 0.0
    assert ours.reduction == pytest.approx(0.9)
    assert ours.judged.num_samples == 2000
    assert ours.judged.rms_um == pytest.approx((25 / 2) ** 0.5)
    tables = verdicts.as_tables(rows)
    assert [len(tables["layers"]), len(tables["all"])] == [4, 2]
    assert tables["all"][1]["rms_um"] == pytest.approx((25 / 2) ** 0.5)
    assert "judged" not in tables["layers"][0]
