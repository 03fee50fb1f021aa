"""The plant as matrices: the same as sample by sample, for any friction."""

import elastic
import jax
import numpy as np
import oscillator
import pytest

from jaxcorr.models import network as model
from jaxcorr.models import plant_matrices, plant_path

SPEC = oscillator.make_spec(model={"path": "plant"})


def follow(path_fn, path):
    """Errors of a stream of the tests' motion, sample by sample."""
    position, velocity, _ = elastic.motion()
    samples = np.concatenate([position, velocity], axis=1)[:80].astype(np.float32)
    carry = model.carry_for(SPEC, 1)

    def step(carry, sample):
        memory, errors = path_fn(SPEC, path, carry, sample)
        return carry._replace(
            path=memory, previous=sample, is_started=carry.is_started * 0 + 1
        ), errors

    return np.asarray(jax.lax.scan(step, carry, samples[:, None])[1])


@pytest.mark.parametrize(
    ("plant", "friction"), [(elastic.PLANT, 0.0), (elastic.PLANT, 3.0), (elastic.COREXY, 1.0)]
)
def test_equals_the_path_of_any_friction(plant, friction):
    axes = elastic.axes_of(plant)
    axes = axes._replace(friction_mm=axes.friction_mm * friction)
    path = plant_path.from_axes(axes, elastic.RATE_HZ)
    expected, found = (follow(of, path) for of in (model.follow_path, plant_matrices.follow))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.std(expected) > 1e-3


def test_a_blank_path_says_nothing():
    blank = plant_path.blank(2, elastic.RATE_HZ)
    np.testing.assert_array_equal(follow(plant_matrices.follow, blank), 0)
