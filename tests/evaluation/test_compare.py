"""Two runs on the same traces: equal to themselves, told apart when one is worse, refused else."""

import copies
import numpy as np
import oscillator
import pytest

from jaxcorr import files
from jaxcorr.data import trace
from jaxcorr.errors import InputError
from jaxcorr.evaluation import compare
from jaxcorr.evaluation.compare import Difference, LeftOut
from jaxcorr.models import bulk
from jaxcorr.training import restore

UNSEEN = {"train": [], "val": [], "test": []}


@pytest.fixture
def copy(trained, tmp_path):
    """Makes copies of the finished run, with changes as `copies.change` takes them."""
    return lambda name, *args, **changes: copies.change(
        trained.run, tmp_path / name, *args, **changes
    )


def test_a_run_does_not_differ_from_itself(trained, copy):
    found = compare.compare(trained.run, copy("twin"))
    assert found.sentence == "A and B do not differ beyond chance (95%) on these traces."
    for entry in found.metrics.values():
        assert (entry.difference, entry.differs) == (0.0, False)
        assert entry.a == entry.b
    assert (found.num_traces, found.num_samples, found.a_better_on) == (1, 300, 0)
    loaded = restore.load_weights(trained.run)
    residual = bulk.stream(loaded.spec, loaded.weights, trained.data.test)
    residual = residual - trained.data.test.targets
    assert found.metrics["mae_mm"].a == pytest.approx(np.abs(residual).mean(), rel=1e-6)


def test_a_worse_run_is_told_from_a_better_one(layers, copy, monkeypatch):
    stream_fn = bulk.stream

    def spoil(spec, weights, samples):
        answers = stream_fn(spec, weights, samples)
        return answers if spec.train.name else 0.5 * answers

    monkeypatch.setattr(bulk, "stream", spoil)
    good, bad = copy("good", split=UNSEEN), copy("bad", split=UNSEEN)
    resolved = good.resolved().model_dump(mode="json")
    resolved["spec"]["train"]["name"] = "good"
    files.write_json(good.path / "resolved.json", resolved)
    found = compare.compare(good, bad, [layers])
    assert found.num_traces == 6
    assert found.a_better_on == 6
    assert found.sentence.startswith("Beyond chance (95%), A is better in MAE, RMSE and R2")
    assert found.metrics["rmse_mm"].interval[1] < 0
    turned = compare.compare(bad, good, [layers])
    assert turned.sentence.startswith("Beyond chance (95%), A is worse in MAE, RMSE and R2")
    difference = found.metrics["r2"].difference
    assert turned.metrics["r2"].difference == pytest.approx(-difference)


def test_horizons_may_differ_but_not_in_silence(trained, copy):
    samples = trained.data.test
    later = {
        "features": samples.features[:-1],
        "targets": samples.targets[1:],
        "num_rows": samples.num_rows - 1,
    }
    found = compare.compare(trained.run, copy("later", {"horizon": 1}, **later))
    assert (found.horizon_a, found.horizon_b, found.num_samples) == (0, 1, 299)
    assert "They look ahead by 0 and 1 samples, and the further, the harder" in found.sentence
    assert "look ahead" not in compare.compare(trained.run, trained.run).sentence


def test_verdict_needs_blocks_to_judge_by():
    entry = Difference(a=2.0, b=1.0, difference=1.0, interval=None, differs=None)
    assert "too few samples" in compare.say_differences(dict.fromkeys(compare.DECISIVE, entry))


COMMANDS = {"features": ["x_cmd", "y_cmd", "vx_cmd", "vy_cmd"], "horizon": 1}


@pytest.fixture
def plain_and_probed(tmp_path):
    """The pattern of two traces; the second follows a command that is not the reference."""
    rng = np.random.default_rng(7)
    folder = tmp_path / "data_simulation_new_all"
    for name, probe_mm in (("layer01", 0.0), ("layer01_p30_toy", 0.03)):
        columns = oscillator.make_layer(rng, 120)
        if probe_mm:
            columns |= {f"{key}_cmd": columns[f"{key}_ref"] for key in ("x", "y", "vx", "vy")}
            columns["x_cmd"] = columns["x_cmd"] + probe_mm * np.sin(columns["time"])
        trace.write(folder / f"{name}.mat", columns, {})
    return f"{folder}/*.mat"


def test_a_lag_is_the_error_where_the_command_is_the_reference(copy, plain_and_probed):
    ours = copy("error", split=UNSEEN)
    # Columns are lined up by axis, whatever their order.
    theirs = copy("lag", COMMANDS | {"targets": ["lag_y", "lag_x"]}, UNSEEN)
    common = compare.pair(ours, theirs, [plain_and_probed])
    assert common.names == ("data_simulation_new_all/layer01",)
    assert common.left_out == (
        LeftOut(
            reason="error_x, error_y and lag_y, lag_x differ there: the command is not the "
            "reference",
            traces=("data_simulation_new_all/layer01_p30_toy",),
        ),
    )
    file = trace.read(trace.find([plain_and_probed])[0])
    both = np.stack([file.fields["error_x"], file.fields["error_y"]], axis=1)
    # The one answers for samples 0 to 119, the other for 1 to 119.
    np.testing.assert_allclose(common.true, both[1:], atol=1e-7)
    assert common.num_rows.tolist() == [119]


def test_predictions_stand_at_their_instants(copy, plain_and_probed):
    now, later = copy("now", split=UNSEEN), copy("later", {"horizon": 1}, UNSEEN)
    twice = compare.pair(now, copy("again", split=UNSEEN), [plain_and_probed])
    common = compare.pair(now, later, [plain_and_probed])
    assert twice.num_rows.tolist() == [120, 120]
    assert common.names == twice.names
    assert common.first_row.tolist() == [0, 119]
    # One network: what it says of the newest sample it says of the next one, a sample earlier.
    for first, shift in ((0, 0), (119, 1)):
        rows = slice(first + shift, first + shift + 119)
        np.testing.assert_array_equal(
            common.a[first : first + 119], twice.a[rows.start + 1 : rows.stop + 1]
        )
        np.testing.assert_allclose(common.b[first : first + 119], twice.a[rows], atol=1e-7)


def test_what_either_run_was_trained_on_is_left_out(trained, layers, copy):
    found = compare.pair(trained.run, copy("fresh", split=UNSEEN), [layers])
    split = trained.run.resolved().split.model_dump()
    (entry,) = found.left_out
    assert entry.reason == "A trained or validated on their layers"
    assert entry.traces == tuple(sorted([*split["train"], *split["val"]]))
    assert found.names == tuple(split["test"])


@pytest.mark.parametrize("seen", ["_sampled5/layer{}_toy", "_all/layer{}_p30_toy", "_all/layer{}"])
def test_another_variant_of_a_layer_is_no_new_layer(copy, seen, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "data_simulation_toy_all" / f"layer04{'_toy' if 'toy' in seen else ''}.mat"
    trace.write(path, oscillator.make_layer(rng, 120), {})
    name = "data_simulation_toy" + seen.format("04")
    other = copy("other", split=UNSEEN | {"val": [name]})
    with pytest.raises(InputError, match="1 left out, since B trained or validated"):
        compare.pair(copy("fresh", split=UNSEEN), other, [str(path)])


def test_what_a_run_holds_out_is_its_own_decision(copy, plain_and_probed):
    """As where one speed of a layer is held out, and the others are trained on."""
    held = "data_simulation_new_all/layer01_p30_toy"
    split = UNSEEN | {"train": ["data_simulation_new_all/layer01"], "test": [held]}
    common = compare.pair(copy("a", split=split), copy("b", split=split), [plain_and_probed])
    assert common.names == (held,)


@pytest.mark.parametrize(
    ("data", "samples", "words"),
    [
        ({"sample_rate_hz": 200.0}, {}, "runs of the same sampling rate, got 100.0 in"),
        ({"targets": ["error_x", "friction_x"]}, {}, "runs of the same axes, got x, y in"),
        ({}, {"names": ("other/layer",)}, "1 left out, since only A .*; 1 left out, since only B"),
        ({}, {"targets": np.zeros((300, 2), np.float32)}, "true errors differ: other files"),
    ],
)
def test_runs_that_answer_for_different_things_are_refused(trained, copy, data, samples, words):
    with pytest.raises(InputError, match=words):
        compare.pair(trained.run, copy("other", data, **samples))


def test_runs_without_test_traces_need_others(copy):
    none = {"names": (), "parts": (), "first_row": np.zeros(0, int), "num_rows": np.zeros(0, int)}
    none |= {"features": np.zeros((0, 4), np.float32), "targets": np.zeros((0, 2), np.float32)}
    empty = copy("empty", **none)
    with pytest.raises(InputError, match=r"neither has test traces\. Name traces for both"):
        compare.pair(empty, empty)
