"""Many printers at once: each as if it had a predictor to itself, good days and bad."""

import numpy as np
import pytest

from jaxcorr import Predictor
from jaxcorr.deploy.compiled_step import MOST_BRIDGED_S
from jaxcorr.deploy.predictor_group import PredictorGroup
from jaxcorr.errors import InputError
from jaxcorr.training import restore

NUM, STREAMS = 25, 3


@pytest.fixture(scope="module")
def known(trained):
    return restore.load_weights(trained.run)


@pytest.fixture(scope="module")
def blocks(trained):
    """(NUM, STREAMS, 4): pieces of different traces."""
    rows, first = trained.data.train.features, trained.data.train.first_row
    return np.stack([rows[first[i] : first[i] + NUM] for i in range(STREAMS)], axis=1)


def group(known, **options):
    return PredictorGroup(known, STREAMS, **options)


def alone(known, **options):
    return [Predictor(known, **options) for _ in range(STREAMS)]


def follow(predictors, blocks):
    """Each stream through a predictor of its own."""
    return np.array(
        [
            [p.step(*row) for p, row in zip(predictors, rows, strict=True)]
            for rows in blocks.tolist()
        ]
    )


@pytest.mark.parametrize("rate_hz", [100.0, 300.0])
def test_equals_separate_predictors(known, blocks, rate_hz):
    together = group(known, rate_hz=rate_hz, mode="hold")
    expected = follow(alone(known, rate_hz=rate_hz, mode="hold"), blocks)
    ahead = together.predict_ahead(blocks[:1])
    got = np.array([together.step(rows) for rows in blocks])
    np.testing.assert_allclose(got, expected, atol=1e-6)
    np.testing.assert_allclose(ahead, expected[:1], atol=1e-6)


def test_bad_samples_of_some_streams_leave_the_others_alone(known, blocks):
    together, apart = group(known, mode="hold"), alone(known, mode="hold")
    spoilt = blocks.astype(np.float64)
    spoilt[0, 0, 0] = np.nan  # before anything is known
    spoilt[8, 1, 2] = np.inf
    most_bridged = round(MOST_BRIDGED_S * known.spec.data.sample_rate_hz)
    spoilt[3 : 5 + most_bridged, 2, 1] = 1e9  # long enough to begin anew
    got = np.array([together.step(rows) for rows in spoilt])
    np.testing.assert_allclose(got, follow(apart, spoilt), atol=1e-6)
    assert np.isfinite(got).all()
    total, parts = together.status, [p.status for p in apart]
    for name in ("num_steps", "num_held", "num_restarts", "num_flagged"):
        assert getattr(total, name) == sum(getattr(part, name) for part in parts)
    assert total.num_held == 2 + 2 + most_bridged
    assert total.last_problem.startswith("stream 2: expected y_ref within")


def test_strict_names_the_stream_and_changes_none(known, blocks):
    together = group(known)
    for rows in blocks[:5]:
        together.step(rows)
    before, spoilt = together.carry, blocks[5].copy()
    spoilt[1, 3] = np.nan
    with pytest.raises(InputError, match=r"step: stream 1: expected a finite vy_ref, got nan\."):
        together.step(spoilt)
    np.testing.assert_array_equal(together.carry, before)
    bad = blocks[5:8].copy()
    bad[2, 1, 0] += 50
    with pytest.raises(InputError, match=r"predict_ahead: row 2, stream 1: expected x_ref to move"):
        together.predict_ahead(bad)
    with pytest.raises(InputError, match=r"reset\(1\) first"):
        together.step(blocks[5] + np.array([[0], [50], [0]]) * np.array([1, 0, 0, 0]))


def test_single_streams_are_reset_and_rewound(known, blocks):
    together = group(known)
    start = together.carry
    first = np.array([together.step(rows) for rows in blocks])
    kept = together.carry
    together.reset(1)
    after = together.carry
    np.testing.assert_array_equal(after[1], start[1])
    np.testing.assert_array_equal(after[[0, 2]], kept[[0, 2]])
    together.reset([0, 2])
    np.testing.assert_array_equal([together.step(rows) for rows in blocks], first)
    together.reset()
    np.testing.assert_array_equal(together.carry, start)
    together.carry = kept
    np.testing.assert_array_equal(together.carry, kept)


@pytest.mark.parametrize("streams", [3, -1, [0, 3], 1.0, "all", [[0]]])
def test_unknown_streams_are_refused(shared_group, streams):
    with pytest.raises(InputError, match=r"reset: expected streams from 0 to 2, got"):
        shared_group.reset(streams)


@pytest.fixture(scope="module")
def shared_group(known):
    return group(known)


@pytest.mark.parametrize(
    "samples",
    [np.zeros((3, 3)), np.zeros((2, 4)), np.zeros(4), [["0"] * 4] * 3, np.zeros((3, 4), complex)],
)
def test_other_shapes_and_types_are_refused(shared_group, samples):
    with pytest.raises(InputError, match=r"samples: expected real numbers of shape \(3, 4\), got"):
        shared_group.step(samples)


def test_loads_from_a_run(trained, known, blocks):
    loaded = Predictor.load(trained.run.path, num_streams=STREAMS)
    np.testing.assert_array_equal(loaded.step(blocks[0]), group(known).step(blocks[0]))
    loaded.warm()
    for wrong in (0, -1, 1.5):
        with pytest.raises(InputError, match=r"num_streams: expected an integer >= 1, got"):
            Predictor.load(trained.run.path, num_streams=wrong)
