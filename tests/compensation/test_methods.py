"""Methods on the plant and on the network: the bound, impulse responses and accuracy."""

import numpy as np
import pytest
from planned import FRICTIONLESS, SHORT, plan_of

from jaxcorr.compensation import baselines, closed_loop, methods, solver
from jaxcorr.compensation.gate import Gate
from jaxcorr.compensation.model_map import ModelMap
from jaxcorr.printer import drive
from jaxcorr.printer_spec import Simulation

PLANT = Simulation()


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    plan = plan_of(tmp_path_factory.mktemp("plan"), "M204 P3000 T3000", *SHORT)
    return drive.make_layer(plan, 2000.0, 100.0)


def rms_um(layer, command, options):
    driven = drive.drive(layer, [command], [PLANT], options, 5).until(layer.plan.total_s)
    return 1e3 * np.sqrt(np.mean(np.sum(driven.error_mm**2, axis=-1)))


def test_errors_are_those_of_the_driven_layer(layer):
    knots = 0.02 * np.random.default_rng(0).standard_normal((layer.num_knots, 2))
    options = Simulation()
    found = methods.true_error(layer, PLANT, options, 100.0)(knots)
    quiet = methods.without(options, *methods.RANDOM)
    driven = drive.drive(layer, [drive.corrected(layer, knots)], [PLANT], quiet, 99)
    np.testing.assert_allclose(found, driven.error_mm[::10, 0], atol=1e-12)
    assert len(found) == layer.num_knots


def test_the_response_adds_up_to_a_constant_correction():
    response = methods.response_of(PLANT, 100.0)
    # A correction of 1 mm everywhere moves the head by 1 mm.
    np.testing.assert_allclose(response.taps.sum(axis=0), 1.0, atol=1e-3)
    assert np.abs(response.taps[: response.lead - 1]).max() < 1e-9


def test_the_response_predicts_the_linear_plant(layer):
    ask = methods.true_error(layer, PLANT, FRICTIONLESS, 100.0)
    knots = np.zeros((layer.num_knots, 2))
    at = layer.num_knots // 2
    knots[at] = 0.1
    change = ask(knots) - ask(np.zeros_like(knots))
    response = methods.response_of(PLANT, 100.0)
    begin = at - response.lead
    count = min(len(response.taps), layer.num_knots - begin)
    np.testing.assert_allclose(
        change[begin : begin + count], 0.1 * response.taps[:count], atol=1e-6
    )


def test_solving_on_the_plant_beats_the_linear_inverse(layer):
    options = Simulation()
    solved = methods.plant_solved(options)(layer, PLANT)
    inverse = drive.corrected(layer, baselines.invert(PLANT, layer))
    assert solved.note == "converged"
    nothing = rms_um(layer, layer.reference, options)
    assert rms_um(layer, solved, options) < 0.15 * nothing
    assert rms_um(layer, solved, options) < 0.2 * rms_um(layer, inverse, options)


def test_on_the_linear_plant_both_agree(layer):
    solved = methods.plant_solved(FRICTIONLESS)(layer, PLANT)
    inverse = drive.corrected(layer, baselines.invert(PLANT, layer))
    assert rms_um(layer, solved, FRICTIONLESS) == pytest.approx(
        rms_um(layer, inverse, FRICTIONLESS), abs=3.0
    )


def test_sources_are_switched_off_by_name():
    options = methods.without(Simulation(), "microstep", "floor")
    assert options.sources == ("junction_deviation", "resonance", "friction", "jitter")


OPEN = Gate(*(np.full(2, np.inf),) * 4)


class Perfect(ModelMap):
    """A network that is the plant; the pieces of it must all be the bound then."""

    rate_hz = knot_rate_hz = 100.0
    per_knot = 1
    response = methods.response_of(PLANT, 100.0)
    options = solver.DEFAULT

    def __init__(self, layer, options):
        self.asked, self._plant_fn = [], methods.true_error(layer, PLANT, options, 100.0)

    def error_fn(self, reference):
        self.asked.append(reference)
        return self._plant_fn


def test_a_perfect_network_is_as_good_as_the_plant(layer):
    options = Simulation(floor_um=0.0)
    network = Perfect(layer, options)
    own = methods.offline_methods(network, OPEN)
    bound = methods.plant_solved(options)(layer, PLANT)
    solved = own[methods.SOLVED](layer)
    np.testing.assert_array_equal(solved.position_mm, bound.position_mm)
    pieces = {name: fn(layer) for name, fn in methods.pieces(network, options).items()}
    for name in ("network, steps of the plant", "plant, steps of the network"):
        np.testing.assert_array_equal(pieces[name].position_mm, bound.position_mm)
    errors = {name: rms_um(layer, command, options) for name, command in pieces.items()}
    assert errors["plant, knots at 200 Hz"] < rms_um(layer, bound, options)
    assert errors["plant without microsteps"] > rms_um(layer, bound, options)
    naive = own[methods.NAIVE](layer)
    error = methods.true_error(layer, PLANT, options, 100.0)(np.zeros((layer.num_knots, 2)))
    added = (naive.position_mm - layer.reference.position_mm)[layer.at_knots]
    np.testing.assert_allclose(added, -error, atol=1e-12)


def test_a_closed_gate_leaves_the_plan_as_it_is(layer):
    options = Simulation()
    network, closed = Perfect(layer, options), Gate(*(np.zeros(2),) * 4)
    command = methods.offline_methods(network, closed)[methods.SOLVED](layer)
    np.testing.assert_array_equal(command.position_mm, layer.reference.position_mm)
    assert command.note == "converged, 100.0% left as planned"


@pytest.mark.parametrize("offset_um", [0.0, 30.0])
def test_accuracy_is_that_of_the_lag(layer, offset_um):
    """A network that is off by so much on x, everywhere, on commands of both kinds."""
    options = methods.without(Simulation(), *methods.RANDOM)
    network = Perfect(layer, options)
    layout = closed_loop.Layout("part/layer01", None, 0)
    tried = closed_loop.run(
        layer.plan, layout, options, {"nominal": PLANT}, methods.offline_methods(network, OPEN)
    )
    lags = {}
    for name, column in tried.columns.items():
        actual = tried.driven.actual_mm[::10, column]
        at = tried.commands[name].position_mm[layer.at_knots]
        lags[at.tobytes()] = actual - at[: len(actual)]
    shift = np.array([offset_um / 1e3, 0.0])

    def lag(commands):
        known = lags[np.ascontiguousarray(commands[:, :2]).tobytes()] + shift
        return np.pad(known, ((0, len(commands) - len(known)), (0, 0)), mode="edge")

    network.lag = lag
    for one in methods.accuracies([methods.lags(network, tried)] * 2):
        assert one.rmse_um == pytest.approx(offset_um / np.sqrt(2), abs=1e-6)
        assert (one.r2 == pytest.approx(1.0)) == (offset_um == 0.0)


def test_the_network_is_asked_about_the_reference(layer):
    network = Perfect(layer, Simulation())
    methods.predicted(network, layer)
    np.testing.assert_array_equal(
        network.asked[0][:, :2], layer.reference.position_mm[layer.at_knots]
    )
    np.testing.assert_array_equal(
        network.asked[0][:, 2:], layer.reference.velocity_mm_s[layer.at_knots]
    )
