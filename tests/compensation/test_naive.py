"""Naive correction: bands that add up, what subtraction does, and the command that shows it."""

import json

import numpy as np
import pytest

from jaxcorr import Predictor, spec
from jaxcorr.compensation import naive
from jaxcorr.errors import InputError
from jaxcorr.printer import drive, gcode
from jaxcorr.printer.planner import plan_layer
from jaxcorr.printer_spec import SOURCES, Simulation

LINEAR = Simulation(sources_off=SOURCES[2:])
GCODE = "G90\nM83\n;LAYER_CHANGE\n" + "\n".join(
    f"G1 X{20 + 11 * (i % 3):g} Y{20 + 7 * (i % 4):g} E1 F1500" for i in range(24)
)


@pytest.fixture(scope="module")
def plan():
    return plan_layer(gcode.parse(GCODE, "steps.gcode"), 0)


@pytest.fixture(scope="module")
def predictor(trained):
    return Predictor.load(trained.run.path)


def test_bands_add_up_and_hold_what_belongs_to_them():
    rng = np.random.default_rng(0)
    for num in (999, 1000):
        error = rng.standard_normal((num, 2)) + 0.5
        bands = naive.band_rms(error, 1000.0)
        total = np.mean(np.sum(error**2, axis=1))
        assert np.sum(bands**2) == pytest.approx(total, rel=1e-12)
    t = np.arange(1000) / 1000
    wave = np.stack([3 * np.sin(2 * np.pi * 12 * t), 4 * np.cos(2 * np.pi * 25 * t)], axis=1)
    bands = naive.band_rms(wave, 1000.0)
    expected = np.zeros(len(bands))
    expected[[2, 4]] = 3 / np.sqrt(2), 4 / np.sqrt(2)
    np.testing.assert_allclose(bands, expected, atol=1e-12)


def response(printer, axis, frequency_hz):
    """|H| of an elastic axis: its error is -H times the reference."""
    s = 2j * np.pi * frequency_hz
    mass = printer.mass_kg[axis]
    damping, stiffness = printer.damping_ns_m[axis] / mass, printer.stiffness_n_m[axis] / mass
    return np.abs(s**2 / (s**2 + damping * s + stiffness))


def test_subtraction_multiplies_the_error_by_the_response(plan, predictor):
    """From -H r to -H^2 r: in every band the change lies between the least and the most of H."""
    found = naive.subtract(predictor, plan, LINEAR, seed=0)
    edges, plain, after = found["edges_hz"], *map(found["bands_um"].get, ("none", "perfect"))
    for low, high, a, b in list(zip(edges, edges[1:], plain, after, strict=False))[1:5]:
        inside = np.linspace(low, high, 50)
        gains = [response(LINEAR, axis, inside) for axis in (0, 1)]
        assert 0.9 * np.min(gains) < b / a < 1.1 * np.max(gains)
    assert after[1] < 0.3 * plain[1]
    assert after[4] > plain[4]
    assert "worse from 15 to " in naive.verdict(found)


def test_a_prediction_belongs_horizon_samples_later(plan, predictor, monkeypatch):
    layer = drive.make_layer(plan, 1000.0, 100.0)
    counted = np.arange(1.0, layer.num_knots + 1)[:, None] * np.ones(2)
    monkeypatch.setattr(predictor, "predict_ahead", lambda rows: counted[: len(rows)])
    for horizon, head, tail in ((0, 1, layer.num_knots), (2, 0, layer.num_knots - 2), (-3, 4, 0)):
        data = predictor.spec.data.model_copy(update={"horizon": horizon})
        spec = predictor.spec.model_copy(update={"data": data})
        monkeypatch.setattr(predictor, "spec", spec)
        found = naive.predicted_error(predictor, layer)
        np.testing.assert_array_equal(found[[0, -1], 0], [head, tail])


def test_verdict_joins_neighbouring_bands():
    bands = {"none": [3.0, 2.0, 2.0, 2.0], "perfect": [1.0, 3.0, 3.0, 1.0], "network": [1.0] * 4}
    found = {"edges_hz": [0, 5, 10, 20, 500], "bands_um": bands}
    found["total_um"] = dict.fromkeys(bands, 1.0)
    assert "worse from 5 to 20 Hz;" in naive.verdict(found)
    bands["perfect"] = [4.0, 1.0, 1.0, 4.0]
    assert "worse from 0 to 5 Hz and 20 to 500 Hz;" in naive.verdict(found)
    bands["perfect"] = [1.0] * 4
    assert "worse nowhere" in naive.verdict(found)


def test_models_of_other_inputs_are_refused(predictor, monkeypatch):
    naive.check_model(predictor)
    for change in ({"sample_rate_hz": 30.0}, {"targets": ("error_x",)}):
        data = predictor.spec.data.model_copy(update=change)
        spec = predictor.spec.model_copy(update={"data": data})
        monkeypatch.setattr(predictor, "spec", spec)
        with pytest.raises(InputError, match=r"demo-control: expected a model from x_cmd, .*, got"):
            naive.check_model(predictor)


@pytest.fixture
def call(run, tmp_path, trained):
    file = tmp_path / "steps.gcode"
    file.write_text(GCODE)
    fixed = ("demo-control", trained.run.path, "--part", file, "--layer", "1", "--seconds", "0.1")
    return lambda *arguments: run(*fixed, "--printer", "reference", *arguments)


def test_command_prints_and_draws(call, tmp_path):
    code, out, _ = call("--plot", str(tmp_path / "loop.svg"))
    assert code == 0
    for expected in ("deadlines missed", "minus perfect", "A correction has to be solved for."):
        assert expected in out
    assert "20 to 30 Hz" in out
    assert (tmp_path / "loop.svg").read_text().count("prediction takes") >= 1


def test_command_gives_json(call):
    code, out, _ = call("--json", "--rate", "1000", "--no-warm")
    found = json.loads(out)
    assert code == 0
    assert found["loop"]["num_ticks"] == 100
    assert found["status"]["num_held"] == 0
    assert set(found["subtraction"]["bands_um"]) == {"none", "network", "perfect"}


def test_a_run_is_found_in_its_folder_and_its_own_printer_is_driven(
    run, trained, tmp_path, monkeypatch
):
    (tmp_path / "steps.gcode").write_text(GCODE)
    still = Simulation(floor_um=0.0)
    monkeypatch.setattr(spec, "printer_of", lambda *_: still)
    subtract, driven = naive.subtract, []
    monkeypatch.setattr(
        naive, "subtract", lambda *given, seed: driven.append(given[2]) or subtract(*given, seed)
    )
    where = ("--runs", trained.run.path.parent, "--part", tmp_path / "steps.gcode")
    code, _, _ = run("demo-control", "latest", *where, "--layer", "1", "--seconds", "0.1")
    assert code == 0
    assert driven == [still]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rate", "150"), "--rate: expected a whole multiple of the model's 100 Hz up to 1000,"),
        (("--rate", "2000"), "up to 1000, got 2000. Choose another."),
        (("--plot", "loop.txt"), "loop.txt: expected a file ending in .png"),
        (("--layer", "2"), "layers: expected numbers from 1 to 1, got 2."),
        (("--part", "cube"), "part: expected a G-code file or one of"),
    ],
)
def test_bad_arguments_are_one_line(call, arguments, said):
    code, _, err = call(*arguments)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
