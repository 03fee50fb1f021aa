"""The simulators agree: matlab/ under GNU Octave against the built-in twin, file by file.

Without Octave the tests are skipped, except in CI (CI=true), where it has to be there.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from jaxcorr.data import trace, trace_checks
from jaxcorr.data.collect import collect
from jaxcorr.data.octave import code_of
from jaxcorr.data.parts import find_part
from jaxcorr.errors import InputError
from jaxcorr.printer import gcode
from jaxcorr.printer.planner import PlanOptions, plan_program
from jaxcorr.printer.simulate import make_jobs, rms_by_source, simulate_jobs
from jaxcorr.printer_spec import SOURCES, Simulation
from jaxcorr.spec import Simulate

ROOT = Path(__file__).parent.parent
GCODE = Path(__file__).parent / "data" / "gcode"
OCTAVE = shutil.which("octave-cli") or shutil.which("octave")
pytestmark = pytest.mark.skipif(
    OCTAVE is None and os.environ.get("CI") != "true", reason="GNU Octave is not installed"
)

# A layer of each bundled part, short, but long enough for the RMS of noise to be within 5%.
LAYERS = {"3dbenchy": 41, "bearing5": 28, "nautilus": 35, "boat": 11}
RANDOM = ("jitter", "floor")
STEADY = Simulation(sources_off=RANDOM)
# Random sources do not look at the part; a layer takes Octave 1.5 s.
NOISY = LAYERS if os.environ.get("JAXCORR_THOROUGH") == "1" else ("boat",)
TOLERANCE = 1e-6

SAVE_PROGRAMS = """
files = dir('*.gcode'); programs = struct();
for k = 1:numel(files)
    try
        p = jaxcorr.read_gcode(files(k).name);
        plan = jaxcorr.plan_moves(p);
        p.total_s = plan.total_s;
        p.accel = plan.accel_mm_s2;
        p.unknown_commands = sort(p.unknown_commands);
        programs.(sprintf('file%d', k)) = rmfield(p, 'limits');
    catch problem
        programs.(sprintf('file%d', k)) = problem.message;
    end
end
save('programs.mat', 'programs', '-v7');
"""

BAD_LINES = """G1 X10 F-5|G1 X1 X2|G1 X|G1 X1.2.3|G1 Q1|G1 X1 &|?|G1 X20000|G2 X5 Y5 I1 J1|G2 X5
G2 X5 I1 R3|G3 X1 Y1 R.1|G3 R5|G2 I1 P1.5|G18|G90 G1 X1|G4 P-1|M204 P0|M205 X-1|M220 S0|N1 G1 X1*3
N1 G1 X1*a|G92 X1e9|G1 E1e|G1 X1 (|(a) b c|M201 X1 X2|G28 !|G1 X5 Y6 F99999999999|G2 I9999 P100"""


def octave(code: str, folder: Path, *, fails: bool = False) -> str:
    """Runs code in a folder with matlab/ on the path; what it prints."""
    assert OCTAVE is not None, "expected GNU Octave in CI"
    command = [OCTAVE, "--norc", "--no-gui", "--path", str(ROOT / "matlab"), "--eval", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def twin(part: str, layer: int, options: Simulation):
    program = gcode.read(find_part(part)[0])
    return next(simulate_jobs(program, make_jobs(options, [layer]), options, part))


def assert_same(octaves: trace.Trace, twins: dict[str, np.ndarray]) -> None:
    assert set(octaves.fields) == set(twins)
    for name, expected in twins.items():
        difference = octaves.fields[name] - np.asarray(expected, float)
        if name == "error_direction":
            difference = (difference + np.pi) % (2 * np.pi) - np.pi
        assert np.abs(difference).max() < TOLERANCE, name


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """Folders with one layer of each part, and of some with the random sources."""
    out = tmp_path_factory.mktemp("octave")
    calls = {part: f"collect_data('{part}', {layer}, o);" for part, layer in LAYERS.items()}
    steady = "o = struct('off', {{'jitter', 'floor'}}, 'output', 'steady');"
    noisy = "o = struct('seed', 3, 'output', 'noisy');"
    octave(" ".join([steady, *calls.values(), noisy, *(calls[part] for part in NOISY)]), out)
    return out


def octaves_trace(folder: Path, part: str) -> trace.Trace:
    (file,) = folder.glob(f"data_simulation_{part}_layer{LAYERS[part]}/*.mat")
    return trace.read(file)


def test_unit_tests_pass(tmp_path):
    said = octave("run_tests", tmp_path)
    counts = re.findall(r"(\d+) of +(\d+) passed", said)
    assert len(counts) == 5
    assert all(passed == total for passed, total in counts)


def test_standard_trajectory_has_its_verdict(tmp_path):
    said = octave("test_firmware_effects_simple", tmp_path)
    total = float(re.search(r"total +([\d.]+) um", said)[1])
    expected = rms_by_source(twin("standard_trajectory", 1, Simulation()).fields)
    assert "PASS" in said
    assert total == pytest.approx(expected["total"], rel=0.01)
    said = octave("test_firmware_effects_simple('friction_n', 0)", tmp_path, fails=True)
    assert "expected 126 to 154 um RMS" in said


@pytest.mark.parametrize("part", LAYERS)
def test_every_field_agrees_without_random_sources(collected, part):
    octaves = octaves_trace(collected / "steady", part)
    result = twin(part, LAYERS[part], STEADY)
    assert_same(octaves, result.fields)
    ignored = {"simulator", "gcode", "gcode_checksum"}
    params = {name: value for name, value in octaves.params.items() if name not in ignored}
    expected = {name: value for name, value in result.params.items() if name not in ignored}
    np.testing.assert_equal(params, expected)


@pytest.mark.parametrize("part", NOISY)
def test_rms_of_each_source_agrees_with_random_sources(collected, part):
    octaves = rms_by_source(octaves_trace(collected / "noisy", part).fields)
    twins = rms_by_source(twin(part, LAYERS[part], Simulation(seed=3)).fields)
    assert set(octaves) == {"total", *SOURCES}
    for name, value in twins.items():
        assert octaves[name] == pytest.approx(value, rel=0.1), name


def test_options_mean_the_same(tmp_path):
    octave(
        "collect_data('boat', 48, 'off', {'jitter', 'floor'}, 'damping', 'ground', "
        "'sweep_accel_mm_s2', [400 2000], 'sweep_velocity_mm_s', 150, "
        "'junction_deviation_mm', 0.02, 'microstep_um', 6, 'plant_rate_hz', 4000, 'rate_hz', 200, "
        "'knot_rate_hz', 50, 'probe_um', [50 120])",
        tmp_path,
    )
    options = Simulation(
        damping="ground",
        plant_rate_hz=4000.0,
        sources_off=RANDOM,
        microstep_um=6.0,
        rate_hz=200.0,
        knot_rate_hz=50.0,
        accel_mm_s2=(400.0, 2000.0),
        velocity_mm_s=(150.0,),
        probe_um=(50.0, 120.0),
    )
    path, plan = find_part("boat")[0], PlanOptions(junction_deviation_mm=0.02)
    twins = list(collect("boat", path, 48, options, tmp_path / "twin", plan))
    assert len(twins) == 6
    for made in twins:
        octaves = trace.read(tmp_path / made.path.relative_to(tmp_path / "twin"))
        assert_same(octaves, dict(trace.read(made.path).fields))


def test_printers_with_belts_modes_and_a_load_are_the_same(tmp_path):
    """As the call of GNU Octave spells a printer, at another rate than 100 Hz."""
    options = Simulate(
        parts=("boat",),
        layers="48",
        sources_off=RANDOM,
        rate_hz=250.0,
        kinematics="corexy",
        stiffness_n_m=(9000.0, 7000.0),
        friction_n=(0.8, 0.5),
        second_frequency_hz=(70.0, 45.0),
        second_share=(0.3, -0.2),
        stiff_share=(0.0, 0.1),
        bed_axis="x",
    )
    octave(code_of(["boat"], options), tmp_path)
    (made,) = collect("boat", find_part("boat")[0], "48", options, tmp_path / "twin")
    octaves = trace.read(tmp_path / made.path.relative_to(tmp_path / "twin"))
    twins = trace.read(made.path)
    assert_same(octaves, dict(twins.fields))
    assert twins.params["plant"]["x"]["mass_kg"] > 0.351
    expected = dict(twins.params) | {"simulator": octaves.params["simulator"]}
    np.testing.assert_equal(octaves.params, expected)


def test_octaves_files_train_and_count_as_finished(collected):
    octaves = octaves_trace(collected / "steady", "boat")
    trace_checks.check(octaves, sample_rate_hz=100.0)
    assert octaves.part == "boat"
    assert octaves.params["plant"]["y"]["mass_kg"] == 0.45
    path = find_part("boat")[0]
    (made,) = collect("boat", path, LAYERS["boat"], STEADY, collected / "steady")
    assert not made.is_new


def test_twins_files_read_and_count_as_finished(tmp_path):
    (made,) = collect("boat", find_part("boat")[0], 48, STEADY, tmp_path)
    said = octave(
        f"[f, p] = jaxcorr.read_trace('{made.path}'); "
        "assert(iscolumn(f.time) && isa(f.time, 'double') && islogical(f.is_travel)); "
        "assert(p.plant.x.mass_kg == 0.35 && strcmp(p.plant.damping, 'relative')); "
        "assert(isnan(p.plan.accel_mm_s2) && p.sources.jitter == 0); "
        "collect_data('boat', 48, 'off', {'jitter', 'floor'}); ",
        tmp_path,
    )
    assert "1 of 1 traces are there already" in said
    said = octave("collect_data('boat', 48)", tmp_path, fails=True)
    assert "expected a file made with these options" in said


def test_parsers_agree_on_every_dialect(tmp_path):
    for file in GCODE.glob("*.gcode"):
        shutil.copy(file, tmp_path)
    (tmp_path / "snippets.gcode").write_text((GCODE / "snippets.txt").read_text())
    for number, line in enumerate(re.split(r"[|\n]", BAD_LINES)):
        (tmp_path / f"bad{number:02d}.gcode").write_text(f"G1 X1\n{line}\n")
    octave(SAVE_PROGRAMS, tmp_path)
    programs = scipy.io.loadmat(tmp_path / "programs.mat", simplify_cells=True)["programs"]
    files = sorted(tmp_path.glob("*.gcode"))
    assert len(files) == len(programs) > 30
    for number, file in enumerate(files, 1):
        octaves = programs[f"file{number}"]
        if isinstance(octaves, str):
            with pytest.raises(InputError, match=f"^{re.escape(octaves)}$"):
                gcode.read(file)
        else:
            assert_same_program(octaves, gcode.read(file))


def assert_same_program(octaves: dict, twins: gcode.Program) -> None:
    plan = plan_program(twins)
    expected = vars(twins) | {"total_s": plan.total_s, "accel": plan.accel_mm_s2}
    # MATLAB counts from 1.
    expected |= {"layer": twins.layer + 1, "feature": twins.feature.astype(int) + 1}
    different = {"limits", "limits_index", "slicer", "firmware"}
    different |= {"firmware_found_by", "limits_set_in_line", "slicer_time_s", "passed_over"}
    for name in expected.keys() - different:
        np.testing.assert_allclose(
            np.ravel(octaves[name]), np.ravel(expected[name]), rtol=1e-9, atol=1e-9, err_msg=name
        )
    assert octaves["slicer"] == twins.slicer
    assert octaves["firmware"] == twins.firmware
    unknown = [name for name, count in twins.unknown_commands.items() for _ in range(count)]
    assert np.atleast_1d(octaves["unknown_commands"]).tolist() == sorted(unknown)
