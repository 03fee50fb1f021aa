"""Folders of traces: what is written, what is kept, what is refused."""

import numpy as np
import pytest

from jaxcorr.data import trace, trace_checks, windows
from jaxcorr.data.collect import collect, file_name, judge_files
from jaxcorr.errors import InputError
from jaxcorr.printer.planner import PlanOptions
from jaxcorr.printer.simulate import Job
from jaxcorr.printer_spec import SOURCES, Simulation

GCODE = "\n".join(
    ["G90", "M83"]
    + [
        f";LAYER_CHANGE\nG1 Z{0.2 * i:g} F600\nG1 X80 Y{20 * i} E2 F3600\nG1 X20 Y{40 * i} E2"
        for i in (1, 2, 3)
    ]
)
OPTIONS = Simulation(seed=3)


@pytest.fixture
def wedge(tmp_path):
    path = tmp_path / "wedge.gcode"
    path.write_text(GCODE)
    return path


def test_files_hold_what_was_simulated_and_how(tmp_path, wedge):
    files = list(collect("wedge", wedge, "sampled:2", OPTIONS, tmp_path))
    folder = tmp_path / "data_simulation_wedge_sampled2"
    assert [f.path for f in files] == [folder / f"layer0{i}_ender3v2.mat" for i in (1, 3)]
    assert sorted(p.name for p in folder.iterdir()) == [f.path.name for f in files]
    assert all(f.is_new and f.total == 2 for f in files)
    made = trace.read(files[1].path)
    trace_checks.check(made, 100.0)
    assert made.part == "wedge"
    assert made.num_samples == files[1].num_samples
    assert made.params["gcode"] == "wedge.gcode"
    assert made.params["seed"] == 3
    assert made.params["plant"]["x"]["mass_kg"] == 0.35
    error = made.columns(("error_x", "error_y"))
    rms = 1000.0 * np.sqrt(np.mean(np.sum(error**2, axis=1)))
    assert files[1].rms_um["total"] == pytest.approx(rms)
    assert judge_files(files, 100.0) == []


def test_finished_files_are_kept_and_missing_ones_are_made_the_same(tmp_path, wedge):
    first = list(collect("wedge", wedge, "all", OPTIONS, tmp_path))
    stamps = [f.path.stat().st_mtime_ns for f in first]
    before = trace.read(first[1].path)
    first[1].path.unlink()
    again = list(collect("wedge", wedge, "all", OPTIONS, tmp_path))
    assert [f.is_new for f in again] == [False, False, True]
    assert first[0].path.stat().st_mtime_ns == stamps[0]
    after = trace.read(first[1].path)
    for name, column in before.fields.items():
        np.testing.assert_array_equal(column, after.fields[name])


def test_files_made_in_another_way_are_refused(tmp_path, wedge):
    list(collect("wedge", wedge, 2, OPTIONS, tmp_path))
    other = Simulation(seed=3, floor_um=1.0)
    with pytest.raises(InputError, match=r"layer02_ender3v2.mat: expected a file made with these"):
        list(collect("wedge", wedge, 2, other, tmp_path))
    wedge.write_text(GCODE.replace("X80", "X81"))
    with pytest.raises(InputError, match=r"made otherwise\. Delete the folder, or choose another"):
        list(collect("wedge", wedge, 2, OPTIONS, tmp_path))


def test_files_of_another_simulator_are_judged_by_their_params(tmp_path, wedge):
    (made,) = collect("wedge", wedge, 2, OPTIONS, tmp_path)
    there = trace.read(made.path)
    trace.write(made.path, there.fields, dict(there.params) | {"simulator": "other"})
    assert [f.is_new for f in collect("wedge", wedge, 2, OPTIONS, tmp_path)] == [False]
    others = [Simulation(seed=3, damping="ground"), Simulation(seed=4)]
    others += [Simulation(seed=3, friction_n=(0.8, 0.7)), Simulation(seed=3, sources_off=SOURCES)]
    for other in others:
        with pytest.raises(InputError, match="expected a file made with these options"):
            list(collect("wedge", wedge, 2, other, tmp_path))
    with pytest.raises(InputError, match="expected a file made with these options"):
        list(collect("wedge", wedge, 2, OPTIONS, tmp_path, PlanOptions(velocity_mm_s=20.0)))
    wedge.write_text(GCODE.replace("X80", "X81"))
    with pytest.raises(InputError, match="expected a file made with these options"):
        list(collect("wedge", wedge, 2, OPTIONS, tmp_path))


def test_a_layer_in_progress_leaves_nothing_behind(tmp_path, wedge):
    made = collect("wedge", wedge, "all", OPTIONS, tmp_path)
    next(made)
    made.close()
    folder = tmp_path / "data_simulation_wedge_all"
    assert [p.name for p in folder.iterdir()] == ["layer01_ender3v2.mat"]


def test_sweep_points_have_files_of_their_own(tmp_path, wedge):
    options = Simulation(accel_mm_s2=(300.0, 1000.0), velocity_mm_s=(50.0,))
    files = list(collect("wedge", wedge, 1, options, tmp_path))
    assert [f.path.name for f in files] == [
        "layer01_a300_v50_ender3v2.mat",
        "layer01_a1000_v50_ender3v2.mat",
    ]
    assert file_name(Job(121, PlanOptions()), Simulation()) == "layer121_ender3v2.mat"


def test_probes_have_files_of_their_own_beside_the_plain_one(tmp_path, wedge):
    assert [f.is_new for f in collect("wedge", wedge, 1, Simulation(), tmp_path)] == [True]
    options = Simulation(probe_um=(50.0, 12.5))
    files = list(collect("wedge", wedge, 1, options, tmp_path))
    assert [(f.path.name, f.is_new) for f in files] == [
        ("layer01_ender3v2.mat", False),
        ("layer01_p50_ender3v2.mat", True),
        ("layer01_p12.5_ender3v2.mat", True),
    ]
    assert len({windows.layer_of(trace.name_of(f.path)) for f in files}) == 1


def test_judge_names_what_is_implausible(tmp_path, wedge):
    off = Simulation(sources_off=SOURCES[:-1], floor_um=0.1)
    files = list(collect("wedge", wedge, 1, off, tmp_path))
    assert [line.split(": ", 1)[1][:4] for line in judge_files(files, 100.0)] == ["RMS "]
    short = files[0]._replace(num_samples=12)
    assert "0.12 s, less than 2" in judge_files([short], 100.0)[0]
    assert judge_files([], 100.0) == ["no layers"]
