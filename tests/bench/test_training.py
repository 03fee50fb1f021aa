"""Benchmarks measure what they say: counts, shares, fairness of the rival, and refusals."""

import functools
import json
import sys

import numpy as np
import oscillator
import pytest
import tomli_w

from jaxcorr.bench import latency, latency_parts, torch_reference, training
from jaxcorr.data import dataset
from jaxcorr.deploy import timing
from jaxcorr.errors import InputError
from jaxcorr.export import c_code
from jaxcorr.training.run_folder import Run

SECONDS = 0.05


@pytest.fixture(scope="module", autouse=True)
def _batches_are_small():
    """32 windows, not the document's 256, which take PyTorch 0.4 s: the ways are the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(training.REFERENCE["data"], "batch_size", 32)
        yield


@pytest.fixture(scope="module")
def toy(layers):
    spec = oscillator.make_spec(layers, data={"horizon": 1})
    return spec, dataset.load(spec.data)


@pytest.fixture
def toy_file(layers, tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(tomli_w.dumps(oscillator.make_table(layers, data={"horizon": 1})))
    return path


def test_summary_has_the_percentiles_of_the_calls():
    found = timing.summarize(np.arange(1.0, 1002.0))
    assert (found["p50_us"], found["p90_us"], found["p99_us"]) == (501, 901, 991)
    assert found["p99_9_us"] == pytest.approx(1000)
    assert (found["max_us"], found["num_calls"]) == (1001, 1001)


def test_reference_recipe_keeps_data_horizon_and_sizes(toy):
    spec, _ = toy
    reference = training.change(spec, training.REFERENCE)
    assert (reference.data.window, reference.data.supervision) == (50, "last")
    assert (reference.data.horizon, reference.data.traces) == (1, spec.data.traces)
    assert reference.model.hidden_size == spec.model.hidden_size
    assert training.resize(spec, "large").model.num_layers == 3


def test_loop_counts_every_target_once(toy):
    spec, data = toy
    loop = training.Loop(spec, data)
    turn = loop.run(SECONDS)
    windows = loop.plan.steps_per_dispatch * spec.data.batch_size
    assert loop.targets_per_dispatch == windows * spec.data.window
    assert turn.targets > 0
    assert turn.targets % loop.targets_per_dispatch == 0
    assert turn.seconds >= SECONDS
    assert 0 <= turn.waited_s <= turn.seconds


@pytest.fixture(scope="module")
def found(toy):
    return training.throughput(*toy, "small", SECONDS, rounds=2, with_torch=False)


def test_throughput_without_torch_has_rates_and_shares(found):
    assert set(found["loops"]) >= {"all", "last"}  # a GPU has more
    assert found["ratios"] == {}
    for loop in found["loops"].values():
        assert len(loop["turns_per_s"]) == 2
        assert min(loop["turns_per_s"]) <= loop["targets_per_s"] <= max(loop["turns_per_s"])
        assert 0 < loop["pipeline_share_alone"] < 1
        assert 0 <= loop["pipeline_share_in_loop"] < 1
        assert loop["compile_s"] > 0


def test_latency_covers_every_way_and_pace(toy):
    found = latency.measure(toy[0], "small", num_calls=40, with_torch=False)
    counts = {name: way["num_calls"] for name, way in found["ways"].items()}
    rivals = {"functional", "onnxruntime", *["c_step"] * bool(c_code.find_compiler())}
    assert counts == {
        "predictor": 40,
        **dict.fromkeys(rivals, 4),
        **dict.fromkeys(("predictor_100_hz", "predictor_100_hz_warm"), 2),
        **dict.fromkeys(("predictor_1000_hz", "predictor_1000_hz_warm"), 8),
    }
    assert set(found["ratios"]) == rivals
    assert found["floor"]["parameter_bytes"] == 4 * found["parameters"]
    assert 0 < found["floor"]["from_memory_us"] < 1e6
    parts = found["parts"]
    rest = sum(us for name, us in parts.items() if name != "step_us")
    assert parts["step_us"] == pytest.approx(rest)
    assert min(parts["dispatch_us"], parts["arithmetic_us"], parts["checks_us"]) > 0


def test_every_way_predicts_the_same(toy, tmp_path):
    ready = latency.prepare(toy[0], "small")
    rows = ready.samples.features[:20].tolist()
    expected = [ready.predictor.step(*row) for row in rows]
    for call in latency.other_calls(ready, tmp_path).values():
        np.testing.assert_allclose([call(*row) for row in rows], expected, atol=1e-5)


def test_bench_path_moves_as_its_velocities_say():
    path = latency.lissajous(500, 4, 100.0)
    change, mean_v = np.diff(path[:, :2], axis=0), (path[1:, 2:] + path[:-1, 2:]) / 2
    np.testing.assert_allclose(change, mean_v / 100, atol=1e-4)


def test_endurance_finds_no_drift_and_would_find_some(toy):
    found = latency.endure(toy[0], 3000)
    assert found["num_steps"] == 3000
    assert found["worst_mm"] < 1e-6
    assert found["grown_bytes"] is None or found["grown_bytes"] < 2**22
    ready = latency.prepare(toy[0], None)
    targets = ready.weights.targets._replace(std=1.01 * ready.weights.targets.std)
    other = ready.weights._replace(targets=targets)
    drifted = latency_parts.endure(toy[0], other, ready.samples, ready.predictor)
    assert drifted["worst_mm"] > 1e-6


def test_missing_torch_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"expected PyTorch .* got none\. Run `just bench`"):
        torch_reference.load_torch()


def test_unknown_size_is_refused(run, toy_file):
    code, _, err = run("bench", "step", "--no-torch", "--size", "huge", "--spec", toy_file)
    assert code == 2
    assert "--size: expected some of small, medium, large, got 'huge'." in err


BENCH = ("bench", "train", "--no-torch", "--size", "small", "--turn-seconds", "0.05")


def test_command_measures_and_gives_json(run, toy_file):
    code, printed, _ = run(*BENCH, "--turns", "1", "--spec", toy_file, "--json")
    assert code == 0
    result = json.loads(printed)
    assert result["machine"]["usable_cores"] >= 1
    assert [entry["model"] for entry in result["throughput"]] == ["small"]


def test_command_prints_rates(run, toy_file, found, monkeypatch):
    monkeypatch.setattr(training, "throughput", lambda *_, **__: found)
    code, printed, _ = run(*BENCH, "--spec", toy_file)
    assert code == 0
    assert "small: jaxcorr, all steps" in printed


# From here on with PyTorch, where it is installed.


@pytest.fixture
def torch(monkeypatch):
    """PyTorch, which takes less time than in a benchmark to choose its threads."""
    found, choose = pytest.importorskip("torch"), torch_reference.Trainer.choose_threads
    short = functools.partialmethod(choose, SECONDS)
    monkeypatch.setattr(torch_reference.Trainer, "choose_threads", short)
    return found


@pytest.fixture
def trainer(torch, toy):
    spec, data = toy
    torch.set_num_threads(1)  # several wait for one another, which takes a processor
    recipe = training.change(spec, training.REFERENCE)
    whole = training.change(recipe, {"data": {"batch_size": 256}})  # a loss without much noise
    return torch_reference.Trainer(whole, data.train)


def test_torch_loop_learns_in_epochs_of_all_windows(trainer, toy):
    _, data = toy
    assert trainer.num_windows == sum((rows - 50) // 4 + 1 for rows in data.train.num_rows)
    first = done = trainer.train(SECONDS)
    windows = first.windows
    while windows < 12 * trainer.num_windows:  # so many however busy the machine is
        done = trainer.train(SECONDS)
        windows += done.windows
    assert first.windows > 0
    assert done.loss < first.loss


def test_torch_predicts_where_a_whole_window_ends(trainer, toy):
    predicted = trainer.predict(toy[1].test)
    is_missing = np.isnan(predicted).any(axis=1)
    assert is_missing.sum() == 49 * len(toy[1].test.names)
    assert is_missing[:49].all()


def test_torch_predictor_needs_a_whole_window_and_no_more(torch, toy):
    rows = latency.make_samples(4, 2, 100.0).features.tolist()
    spec = training.change(toy[0], training.REFERENCE)
    torch.manual_seed(0)
    eager = torch_reference.WindowPredictor(spec, is_scripted=False)
    torch.manual_seed(0)
    scripted = torch_reference.WindowPredictor(spec, is_scripted=True)
    outputs = [eager.step(*row) for row in rows[:60]]
    assert set(outputs[:49]) == {(0.0, 0.0)}
    assert (0.0, 0.0) not in outputs[49:]
    np.testing.assert_allclose([scripted.step(*row) for row in rows[:60]], outputs, atol=1e-6)
    again = torch_reference.WindowPredictor(spec, is_scripted=False)
    again._network.load_state_dict(eager._network.state_dict())
    late = [again.step(*row) for row in rows[10:60]]
    np.testing.assert_allclose(late[-1], outputs[-1], atol=1e-6)


def test_throughput_is_in_ratio_to_torch(torch, toy):
    del torch
    found = training.throughput(*toy, "small", SECONDS, rounds=1)
    loops = found["loops"]
    for name, ratio in found["ratios"].items():
        rival = "torch_all" if name == "document_all" else "torch"
        expected = loops[name]["targets_per_s"] / loops[rival]["targets_per_s"]
        assert ratio == pytest.approx(expected)
    assert set(found["ratios"]) >= {"all", "last", "document_all"}


def test_torch_loop_compares_every_step_where_told(torch, toy):
    del torch
    every = {**training.REFERENCE["data"], "supervision": "all"}
    spec = training.change(toy[0], training.REFERENCE | {"data": every})
    trainer = torch_reference.Trainer(spec, toy[1].train)
    assert trainer.targets_per_window == 50
    first, last = trainer.train(SECONDS).loss, trainer.train(SECONDS).loss
    assert np.isfinite([first, last]).all()


def test_race_ends_at_the_rivals_accuracy(torch, toy, tmp_path):
    del torch
    found = training.time_to_torch_mae(*toy, SECONDS, Run(tmp_path))
    if found["seconds"] is not None:
        assert found["val_mae_mm"] <= found["torch_val_mae_mm"]
    assert 1 <= found["epochs"] <= toy[0].train.epochs
