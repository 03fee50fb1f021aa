"""A run's weights and the functional step: traced once, free to go back, missing files named."""

import shutil

import numpy as np
import pytest

from jaxcorr import Predictor
from jaxcorr.errors import InputError
from jaxcorr.models import bulk, network
from jaxcorr.training import restore
from jaxcorr.training.run_folder import Run

NUM = 30


@pytest.fixture(scope="module")
def loaded(trained):
    return restore.load_weights(trained.run)


@pytest.fixture
def copied(trained, tmp_path):
    shutil.copytree(trained.run.path, tmp_path / "copy")
    return tmp_path / "copy"


def test_functional_form_is_traced_once_and_may_go_back(loaded, trained, monkeypatch):
    rows, traces = trained.data.test.features[:NUM], []
    expected = bulk.stream(loaded.spec, loaded.weights, trained.data.test)[:NUM]
    real_step = network.step
    monkeypatch.setattr(network, "step", lambda *a: traces.append(1) or real_step(*a))
    step = restore.make_step(loaded.spec)
    carry, errors = network.carry_for(loaded.spec, 2), []
    for row in rows:
        kept = carry
        carry, error = step(loaded.weights, carry, np.stack([row, row]))
        errors.append(error)
    assert len(traces) == 1
    np.testing.assert_allclose(np.array(errors)[:, 1], expected, atol=1e-6)
    _, again = step(loaded.weights, kept, np.stack([rows[-1]] * 2))
    np.testing.assert_array_equal(again, errors[-1])


def test_weights_say_how_far_training_got_and_what_it_saw(loaded, trained):
    history = trained.run.history.read_text().splitlines()
    assert loaded.is_finished
    assert 1 <= loaded.best_epoch <= len(history) == trained.spec.train.epochs
    rows = trained.data.train.features
    np.testing.assert_array_equal(loaded.ranges.high, rows.max(axis=0))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("resolved.json", None, r"resolved\.json: expected a readable file"),
        ("resolved.json", "{}", r"resolved\.json: expected key"),
        ("stats.json", None, r"stats\.json: expected a readable file"),
        ("stats.json", '{"ranges"', r"stats\.json: expected JSON"),
        ("stats.json", "{}", r"stats\.json: expected key 'ranges', got none"),
        ("stats.json", '{"ranges": {"low": [0]}}', r"stats\.json: expected key 'ranges.high'"),
        ("checkpoints", None, r"checkpoints: expected a checkpoint"),
    ],
)
def test_a_missing_or_altered_file_is_named_in_one_line(copied, name, content, said):
    path = copied / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=said) as caught:
        restore.load_weights(Run(copied))
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_in_the_weights_is_noticed(copied):
    for path in (copied / "checkpoints").rglob("best/**/d/*"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoints: expected a checkpoint, got only damaged"):
        Predictor.load(copied)


def test_a_missing_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected one run, got none"):
        Predictor.load(tmp_path / "runs" / "nothing")
