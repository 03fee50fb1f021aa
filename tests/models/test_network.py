"""The network: its architecture, and the contract of one model that runs by step or by unroll."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oscillator import make_spec

from jaxcorr.models import network as model
from jaxcorr.models.network import Weights
from jaxcorr.models.normalize import Scale
from jaxcorr.spec import Model
from jaxcorr.units import MOST

STEPS, STREAMS, CUT = 6, 3, 3

run_whole = jax.jit(model.unroll, static_argnums=0)
run_step = jax.jit(model.step, static_argnums=0)


@functools.cache
def make_weights(spec):
    """Random parameters, and scales that matter."""
    num_inputs = {"raw": 4, "kinematic": 6}[spec.model.inputs]
    network = model.initialize(spec, num_inputs, jax.random.key(0))
    mean, std = np.linspace(-1, 1, num_inputs), np.linspace(0.5, 2, num_inputs)
    inputs = Scale(mean.astype(np.float32), std.astype(np.float32))
    targets = Scale(np.float32([0.01, -0.02]), np.float32([0.1, 0.05]))
    return Weights(network, inputs, targets, np.full(2, 9.0, np.float32))


def make_samples(seed=1, steps=STEPS):
    return jax.random.normal(jax.random.key(seed), (steps, STREAMS, 4))


def unroll(spec, weights, samples, carry=None):
    return run_whole(spec, weights, carry or model.carry_for(spec, STREAMS), samples)


def repeat_step(spec, weights, samples, carry=None):
    carry, errors = carry or model.carry_for(spec, STREAMS), []
    for sample in samples:
        carry, error = run_step(spec, weights, carry, sample)
        errors.append(error)
    return carry, jnp.stack(errors)


@pytest.fixture(params=["raw", "kinematic"])
def spec(request):
    return make_spec(model={"inputs": request.param})


@pytest.fixture
def weights(spec):
    return make_weights(spec)


def assert_trees_close(tree, other, tolerance):
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.max(np.abs(b)))


def test_unroll_equals_repeated_steps_in_values_and_gradients(spec, weights):
    def score_fn(run):
        def score(network, samples):
            carry, errors = run(spec, weights._replace(network=network), samples)
            tail = sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(carry.layers))
            return jnp.sum(errors * jnp.arange(errors.size).reshape(errors.shape)) + tail

        return jax.jit(jax.value_and_grad(score, argnums=(0, 1)))

    value, gradients = score_fn(unroll)(weights.network, make_samples(steps=CUT))
    expected, expected_gradients = score_fn(repeat_step)(weights.network, make_samples(steps=CUT))
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    assert_trees_close(gradients, expected_gradients, 1e-5)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradients))


def test_a_trace_may_be_cut_anywhere(spec, weights):
    samples = make_samples()
    carry, whole = unroll(spec, weights, samples)
    middle, first = unroll(spec, weights, samples[:CUT])
    end, second = unroll(spec, weights, samples[CUT:], middle)
    np.testing.assert_allclose(jnp.concatenate([first, second]), whole, atol=1e-6)
    assert_trees_close(end, carry, 1e-5)


def test_the_future_and_other_streams_change_nothing(spec, weights):
    samples = make_samples()
    _, errors = unroll(spec, weights, samples)
    _, later = unroll(spec, weights, samples.at[CUT:].add(1.0))
    np.testing.assert_array_equal(later[:CUT], errors[:CUT])
    assert np.all(later[CUT] != errors[CUT])
    _, beside = unroll(spec, weights, samples.at[:, 1].add(samples[:, 0]))
    np.testing.assert_array_equal(beside[:, ::2], errors[:, ::2])
    assert np.all(beside[1:, 1] != errors[1:, 1])


def test_a_carry_can_be_forked_and_gone_back_to(spec, weights):
    samples = make_samples()
    kept, _ = unroll(spec, weights, samples[:CUT])
    _, one = unroll(spec, weights, samples[CUT:], kept)
    _, other = unroll(spec, weights, -samples[CUT:], kept)
    _, again = unroll(spec, weights, samples[CUT:], kept)
    np.testing.assert_array_equal(again, one)
    assert np.all(other != one)


def test_forward_mode_goes_through_unroll(spec, weights):
    samples, tangent = make_samples(), make_samples(2)
    cotangent = jax.random.normal(jax.random.key(3), (STEPS, STREAMS, 2))

    def run(samples):
        return unroll(spec, weights, samples)[1]

    _, forward = jax.jit(lambda: jax.jvp(run, (samples,), (tangent,)))()
    (backward,) = jax.jit(lambda: jax.vjp(run, samples)[1](cotangent))()
    expected = float(jnp.sum(backward * tangent))
    assert float(jnp.sum(forward * cotangent)) == pytest.approx(expected, rel=1e-4)
    assert abs(expected) > 1e-3


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(network, layers, inputs):
    """The network of DESIGN.md in numpy, float64, for one stream."""
    network = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), network)
    outputs = []
    state = [[np.zeros(size), np.zeros(size)] for size in layers]
    for x in inputs:
        x = x @ network["encoder"]["kernel"] + network["encoder"]["bias"]
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-6)
        x = np.maximum(x * network["norm"]["scale"] + network["norm"]["bias"], 0)
        for i, (c, h) in enumerate(state):
            layer = network[f"lstm_{i}"]
            z = (
                x @ layer["input"]["kernel"]
                + layer["input"]["bias"]
                + h @ layer["recurrent_kernel"]
            )
            i_gate, f, g, o = np.split(z, 4)
            c = sigmoid(f) * c + sigmoid(i_gate) * np.tanh(g)
            x = sigmoid(o) * np.tanh(c)
            state[i] = [c, x]
        outputs.append(x @ network["head"]["kernel"] + network["head"]["bias"])
    return np.array(outputs)


def test_architecture_is_that_of_the_design():
    spec = make_spec()
    network = make_weights(spec).network
    bumped = jax.tree.map(lambda leaf: leaf + 0.1, network)  # biases and scales that count
    inputs = jax.random.normal(jax.random.key(1), (STEPS, 1, 6))
    carry = model.carry_for(spec, 1)
    run = jax.jit(model.run_network, static_argnums=0)
    _, outputs = run(model.from_spec(spec), bumped, carry.layers, inputs)
    expected = by_hand(bumped, [8, 8], np.asarray(inputs[:, 0]))
    np.testing.assert_allclose(outputs[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("hidden", "layers", "inputs"), [(96, 2, 6), (96, 2, 4), (56, 2, 6), (128, 3, 6)]
)
def test_parameter_count_follows_the_closed_formula(hidden, layers, inputs):
    spec = make_spec(model={"hidden_size": hidden, "num_layers": layers, "encoder_size": 32})
    network = jax.eval_shape(lambda: model.initialize(spec, inputs, jax.random.key(0)))
    encoder, norm, head = (inputs + 1) * 32, 2 * 32, (hidden + 1) * 2
    first, later = 4 * hidden * (32 + hidden + 1), 4 * hidden * (2 * hidden + 1)
    expected = encoder + norm + first + (layers - 1) * later + head
    assert model.count_parameters(network) == expected
    if (hidden, layers, inputs) == (96, 2, 6):
        assert expected == 124_130


def test_a_fresh_layer_remembers_and_turns_without_stretching():
    layer = make_weights(make_spec()).network["lstm_0"]
    bias = np.split(np.asarray(layer["input"]["bias"]), 4)
    assert [float(b.min()) for b in bias] == [float(b.max()) for b in bias] == [0, 1, 0, 0]
    for square in np.split(np.asarray(layer["recurrent_kernel"]), 4, axis=1):
        np.testing.assert_allclose(square @ square.T, np.eye(8), atol=1e-5)


def test_raw_numbers_go_in_and_millimetres_come_out(spec, weights):
    samples = make_samples()
    _, errors = unroll(spec, weights, samples)
    twice = Scale(2 * weights.targets.mean, 2 * weights.targets.std)
    _, doubled = unroll(spec, weights._replace(targets=twice), samples)
    np.testing.assert_allclose(doubled, 2 * errors, rtol=1e-5)
    wider = Scale(1000 * weights.inputs.mean, 1000 * weights.inputs.std)
    _, in_um = unroll(spec, weights._replace(inputs=wider), 1000 * samples)
    np.testing.assert_allclose(in_um, errors, atol=1e-5)


def test_no_prediction_is_beyond_the_limit(spec, weights):
    samples = make_samples()
    free = unroll(spec, weights, samples)[1]
    limit = np.quantile(np.abs(free), 0.5, axis=(0, 1)).astype(np.float32)
    held = unroll(spec, weights._replace(limit_mm=limit), samples)[1]
    np.testing.assert_array_equal(held, np.clip(free, -limit, limit))
    assert (np.abs(held) == limit).mean() > 0.4


def test_kinematic_inputs_are_velocities_and_differences():
    samples = jnp.arange(24.0).reshape(3, 2, 4) ** 2
    started = jnp.array([[0.0], [1.0]])  # the second stream has seen a sample of zeros
    derived = model.derive_inputs(Model(), samples, jnp.zeros((2, 4)), started)
    np.testing.assert_array_equal(derived[..., :2], samples[..., 2:])
    np.testing.assert_array_equal(derived[1:, :, 2:], samples[1:] - samples[:-1])
    np.testing.assert_array_equal(derived[0, 0, 2:], np.zeros(4))
    np.testing.assert_array_equal(derived[0, 1, 2:], samples[0, 1])
    raw = model.derive_inputs(Model(inputs="raw"), samples, jnp.zeros((2, 4)), started)
    np.testing.assert_array_equal(raw, samples)


def test_phases_repeat_with_the_motor_steps():
    options = Model(inputs="raw", phase_periods_mm=(0.2, 0.8))
    x = np.array([0.0, 0.05, 0.1, 200.05, 200.85])
    samples = jnp.asarray(np.stack([x, 0 * x, 0 * x, 0 * x], axis=-1)[:, None], jnp.float32)
    derived = model.derive_inputs(options, samples, jnp.zeros((1, 4)), jnp.zeros((1, 1)))[:, 0]
    full_step, four_steps = derived[:, 4:8:2], derived[:, 8:12:2]  # sine, cosine of x
    np.testing.assert_allclose(full_step[:, 0], [0, 1, 0, 1, 1], atol=1e-3)
    np.testing.assert_allclose(four_steps[:, 0], np.sin(2 * np.pi * x / 0.8), atol=1e-3)
    np.testing.assert_allclose(np.sum(np.square(derived[:, 4:]), axis=1), 4.0, rtol=1e-5)


def test_only_raw_inputs_see_where_on_the_bed_the_part_is(spec, weights):
    samples = jnp.round(8 * make_samples()) / 8  # exact in float32, moved or not
    moved = samples + jnp.array([64.0, 32.0, 0.0, 0.0])
    difference = unroll(spec, weights, samples)[1] - unroll(spec, weights, moved)[1]
    assert bool(np.all(difference == 0)) == (spec.model.inputs == "kinematic")


def test_dropout_acts_in_training_only():
    spec = make_spec(model={"dropout": 0.5})
    network, carry = make_weights(spec).network, model.carry_for(spec, STREAMS)
    inputs = jax.random.normal(jax.random.key(1), (STEPS, STREAMS, 6))

    @jax.jit
    def run(key=None):
        keys = None if key is None else jax.random.split(key, STREAMS)
        return model.run_network(model.from_spec(spec), network, carry.layers, inputs, keys)[1]

    np.testing.assert_array_equal(run(), run())
    first, second = run(jax.random.key(0)), run(jax.random.key(1))
    np.testing.assert_array_equal(run(jax.random.key(0)), first)
    assert np.all(first != second)


def test_dropout_zeroes_its_share_and_keeps_the_mean():
    keys = jax.random.split(jax.random.key(0), 100)
    dropped = np.asarray(model.drop_out(jnp.ones((20, 100, 30)), 0.3, keys))
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.7)}
    assert (dropped == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert np.any(dropped != dropped[:1], axis=(0, 1)).all()  # each step, sequence and value
    assert np.any(dropped != dropped[:, :1], axis=(0, 2)).sum() == 99
    alone = model.drop_out(jnp.ones((20, 1, 30)), 0.3, keys[7:8])
    np.testing.assert_array_equal(alone[:, 0], dropped[:, 7])


def test_bfloat16_changes_the_training_a_little_and_no_dtype():
    half, network = make_spec(train={"precision": "bfloat16"}), make_weights(make_spec()).network
    carry = model.carry_for(half, STREAMS)
    inputs = jax.random.normal(jax.random.key(1), (STEPS, STREAMS, 6))
    run = jax.jit(model.run_network, static_argnums=0)
    _, exact = run(model.from_spec(make_spec()), network, carry.layers, inputs)
    after, rounded = run(model.from_spec(half), network, carry.layers, inputs)
    assert 1e-5 < np.max(np.abs(rounded - exact)) < 0.05
    assert {leaf.dtype for leaf in jax.tree.leaves((after, rounded))} == {jnp.dtype("float32")}


def test_what_is_deployed_computes_in_float32():
    weights = make_weights(make_spec())
    half = make_spec(train={"precision": "bfloat16"})
    np.testing.assert_array_equal(
        unroll(half, weights, make_samples())[1], unroll(make_spec(), weights, make_samples())[1]
    )


def test_a_long_block_is_no_bad_sample():
    """Its values add up to more than one may have."""
    spec = make_spec()
    samples = np.full((10_000, 2, len(spec.data.features)), 100.0, np.float32)
    samples[7, 1, 0] = 2 * MOST
    before = model.carry_for(spec, 2)
    after = jax.tree.map(jnp.ones_like, before)
    passed = model.pass_over_bad(jnp.asarray(samples), before, after, jnp.ones((1, 2, 2)))
    carry, errors = passed[0], np.asarray(passed[1])
    assert np.isfinite(errors).all(axis=(0, 2)).tolist() == [True, False]
    for leaf in jax.tree.leaves(carry):
        assert np.all(leaf[0] == 1.0)
        assert np.all(leaf[1] == 0.0)


def test_agrees_with_the_lstm_of_pytorch():
    torch = pytest.importorskip("torch")
    spec = make_spec(model={"hidden_size": 96, "encoder_size": 32})
    network = make_weights(spec).network
    inputs = np.array(jax.random.normal(jax.random.key(1), (50, STREAMS, 32)))
    oracle, state = torch.nn.LSTM(32, 96, 2), dict(torch.nn.LSTM(32, 96, 2).named_parameters())
    x = jnp.asarray(inputs)
    for i, carry in enumerate(model.carry_for(spec, STREAMS).layers):
        layer = network[f"lstm_{i}"]
        apply = jax.jit(model.LSTMLayer(96, jnp.float32).apply, static_argnums=3)
        _, x = apply({"params": layer}, x, carry, False)
        state[f"weight_ih_l{i}"] = torch.tensor(np.array(layer["input"]["kernel"].T))
        state[f"weight_hh_l{i}"] = torch.tensor(np.array(layer["recurrent_kernel"].T))
        state[f"bias_ih_l{i}"] = torch.tensor(np.array(layer["input"]["bias"]))
        state[f"bias_hh_l{i}"] = torch.zeros(4 * 96)
    oracle.load_state_dict(state)
    with torch.no_grad():
        expected, _ = oracle(torch.tensor(inputs))
    np.testing.assert_allclose(x, expected.numpy(), atol=1e-5)
