"""Two runs on the same traces: equal to themselves, told apart when one is worse, refused else."""

import shutil

import numpy as np
import oscillator
import pytest

from jaxcorr import dataset, experiment, files, predict, stream, versus
from jaxcorr.errors import InputError
from jaxcorr.runs import Run


@pytest.fixture
def copy(trained, tmp_path):
    """Makes copies of the finished run, with changes of its resolved spec or test samples."""

    def copy(name, data=None, **samples):
        run = Run(shutil.copytree(trained.run.path, tmp_path / name))
        resolved = run.resolved()
        resolved["spec"]["data"] |= data or {}
        files.write_json(run.path / "resolved.json", resolved)
        kept = dataset.load_samples(run.path / experiment.TEST_SAMPLES)
        dataset.save_samples(run.path / experiment.TEST_SAMPLES, kept._replace(**samples))
        return run

    return copy


def test_a_run_does_not_differ_from_itself(trained, copy):
    found = versus.compare(trained.run, copy("twin"))
    assert found["sentence"] == "A and B do not differ beyond chance (95%) on these traces."
    for entry in found["metrics"].values():
        assert (entry["difference"], entry["differs"]) == (0.0, False)
        assert entry["a"] == entry["b"]
    assert (found["num_traces"], found["num_samples"], found["a_better_on"]) == (1, 300, 0)
    loaded = stream.load_weights(trained.run)
    residual = predict.stream(loaded.spec, loaded.weights, trained.data.test)
    residual = residual - trained.data.test.targets
    assert found["metrics"]["mae_mm"]["a"] == pytest.approx(np.abs(residual).mean(), rel=1e-6)


def test_a_worse_run_is_told_from_a_better_one(trained, layers, copy, monkeypatch):
    stream_fn = predict.stream

    def spoil(spec, weights, samples):
        answers = stream_fn(spec, weights, samples)
        return answers if spec.train.name else 0.5 * answers

    monkeypatch.setattr(predict, "stream", spoil)
    named = copy("named")
    resolved = named.resolved()
    resolved["spec"]["train"]["name"] = "named"
    files.write_json(named.path / "resolved.json", resolved)
    pattern = [layers]
    found = versus.compare(named, trained.run, pattern)
    assert found["num_traces"] == 6
    assert found["a_better_on"] == 6
    assert found["sentence"].startswith("Beyond chance (95%), A is better in MAE, RMSE and R2")
    assert found["metrics"]["rmse_mm"]["interval"][1] < 0
    turned = versus.compare(trained.run, named, pattern)
    assert turned["sentence"].startswith("Beyond chance (95%), A is worse in MAE, RMSE and R2")
    difference = found["metrics"]["r2"]["difference"]
    assert turned["metrics"]["r2"]["difference"] == pytest.approx(-difference)


@pytest.mark.parametrize(
    ("data", "samples", "words"),
    [
        ({"horizon": 1}, {}, "runs of the same horizon, got 0 in"),
        ({"sample_rate_hz": 200.0}, {}, "runs of the same sampling rate, got 100.0 in"),
        ({}, {"names": ("other/layer",)}, "got 1 in .* and 1 in .*, 0 of them of the same name"),
        ({}, {"targets": np.zeros((300, 2), np.float32)}, "the same test traces, got 1 in"),
    ],
)
def test_runs_that_answer_for_different_things_are_refused(trained, copy, data, samples, words):
    with pytest.raises(InputError, match=words):
        versus.compare(trained.run, copy("other", data, **samples))


def test_a_run_without_test_traces_needs_others(layers, tmp_path):
    begun = oscillator.begin(
        layers, tmp_path, data={"split": {"train": 0.8, "val": 0.2, "test": 0.0}}
    )
    oscillator.fit(begun, should_stop=lambda: True)
    with pytest.raises(InputError, match="compare: expected test traces in both runs, got none"):
        versus.compare(begun.run, begun.run)


def test_verdict_needs_blocks_to_judge_by():
    entry = {"difference": 1.0, "differs": None}
    assert "too few samples" in versus.judge(dict.fromkeys(versus.JUDGED, entry))
