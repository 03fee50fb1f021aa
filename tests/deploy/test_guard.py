"""Samples are judged: what training did is quiet, further is flagged, nonsense is refused."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import oscillator
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcorr.deploy import guard as safety
from jaxcorr.deploy.compiled_step import Status, Tally
from jaxcorr.deploy.guard import FAR, MARGIN_MM, Guard
from jaxcorr.errors import InputError
from jaxcorr.models.ranges import Ranges

FEATURES = ("x_ref", "y_ref", "vx_ref", "vy_ref")
# Speeds to 100 mm/s, changes by 10 mm/s a sample, and 0.1 mm that they leave unexplained.
RANGES = Ranges((50, 60, -100, -80), (150, 140, 90, 80), (0.1, 0.1), (1000.0, 1000.0))
VOLUME = safety.ENDER3_V2_MM
GOOD = (100.0, 100.0, 50.0, 0.0)
NEXT = (100.5, 100.0, 50.0, 0.0)


def make(ranges=RANGES, sees_position=False):
    return Guard(FEATURES, 100.0, ranges, VOLUME, sees_position)


GUARD = make()


def test_a_sample_as_in_training_is_quiet():
    for before in (None, GOOD):
        assert GUARD.is_quiet(NEXT, before)
        assert GUARD.examine(NEXT, before) == (None, {})
    assert GUARD.is_quiet(tuple(map(np.float32, NEXT)), GOOD)
    assert GUARD.is_quiet((100, 100, 50, 0), None)


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ((1.0, 2.0, 3.0), r"expected 4 values \(x_ref, y_ref, vx_ref, vy_ref\), got 3\."),
        ((*GOOD, 1.0), r"got 5\."),
        (("1", 100.0, 0.0, 0.0), r"expected x_ref to be a real number, got '1' \(str\)\."),
        ((100.0, None, 0.0, 0.0), r"expected y_ref to be a real number, got None \(NoneType\)\."),
        ((100.0, 100.0, True, 0.0), r"expected vx_ref to be a real number, got True \(bool\)\."),
        ((100.0, 100.0, 0.0, 1j), r"expected vy_ref to be a real number, got 1j \(complex\)\."),
        ((np.ones(1), 100.0, 0.0, 0.0), r"got array\(\[1\.\]\) \(ndarray\)\."),
        (("a" * 10**7, 100.0, 0.0, 0.0), r"got 'a{79}\.\.\. \(str\)\."),
    ],
)
def test_a_call_that_is_wrong_in_form_is_refused_in_words(sample, said):
    assert not GUARD.is_quiet(sample, None)
    with pytest.raises(InputError, match=said) as caught:
        GUARD.numbers_of(sample)
    assert "\n" not in str(caught.value)


def test_numbers_of_every_library_count():
    given = (np.array(100.0), np.longdouble(100), jnp.float32(50), jnp.bfloat16(0))
    assert not GUARD.is_quiet(given, None)
    assert GUARD.numbers_of(given) == (100.0, 100.0, 50.0, 0.0)
    assert list(map(type, GUARD.numbers_of(given))) == [float] * 4


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ((float("nan"), 100.0, 0.0, 0.0), r"expected a finite x_ref, got nan\."),
        ((100.0, 100.0, 0.0, -np.inf), r"expected a finite vy_ref, got -inf\."),
        ((10**400, 100.0, 0.0, 0.0), r"got an integer beyond 1e300\."),
        ((231.0, 100.0, 0.0, 0.0), r"expected x_ref within -10\.\.230 mm .*, got 231\."),
        ((100.0, 100.0, -401.0, 0.0), r"expected vx_ref within -400\.\.400 mm/s .*, got -401\."),
        ((100.0, 100.0, 0.0, 401.0), r"vy_ref within -400\.\.400 mm/s \(4 times the most"),
    ],
)
def test_nonsense_is_refused_in_words(sample, said):
    assert not GUARD.is_quiet(sample, None)
    found = GUARD.examine(sample, GOOD)
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(found.problem)
    assert "\n" not in str(found.problem)


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ((101.0, 100.0, 50.0, 0.0), r"x_ref to move by 0\.5 mm .* within 0\.4 mm, got 1 mm\."),
        ((100.5, 99.0, 50.0, 0.0), r"y_ref to move by 0 mm .*, got -1 mm\."),
        ((100.8, 100.0, 100.0, 0.0), r"vx_ref to change by at most 40 mm/s.*, got 50 mm/s\."),
    ],
)
def test_what_speed_cannot_explain_is_refused(sample, said):
    assert GUARD.examine(sample, None).problem is None
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(GUARD.examine(sample, GOOD).problem)


@pytest.mark.parametrize("sample", [(231.0, 100.0, 0.0, 0.0), (100.0, 100.0, -401.0, 0.0)])
def test_commands_are_judged_as_references_are(sample):
    names = tuple(name.replace("_ref", "_cmd") for name in FEATURES)
    said = make().examine(sample, None).problem
    told = Guard(names, 100.0, RANGES, VOLUME, False).examine(sample, None).problem
    assert told == said.replace("_ref", "_cmd")


def test_more_is_allowed_across_samples_that_were_made_up():
    assert "to move" in str(GUARD.examine((101.0, 100.0, 50.0, 0.0), GOOD).problem)
    assert GUARD.examine((101.0, 100.0, 50.0, 0.0), GOOD, num_missed=2).problem is None


@pytest.mark.parametrize(
    ("sample", "name", "excess"),
    [
        ((100.0, 100.0, 130.0, 0.0), "vx_ref", 130 - 90),
        ((100.0, 100.0, 0.0, -81.0), "vy_ref", 1),
        ((100.7, 100.0, 50.0, 0.0), "jump_x", 0.2 - 0.1),
        ((100.6, 100.0, 70.0, 0.0), "accel_x", 2000 - 1000),
    ],
)
def test_beyond_training_is_flagged_with_feature_and_amount(sample, name, excess):
    before = GOOD if name[0] in "ja" else None
    found = GUARD.examine(sample, before)
    assert found.problem is None
    assert list(found.outside) == [name]
    assert found.outside[name] == pytest.approx(excess, rel=0.2)
    assert not GUARD.is_quiet(sample, before)


def test_position_is_flagged_only_where_the_model_sees_it():
    elsewhere = (20.0, 100.0, 0.0, 0.0)
    assert GUARD.is_quiet(elsewhere, None)
    found = make(sees_position=True).examine(elsewhere, None)
    assert found.outside == {"x_ref": pytest.approx(30, abs=0.2)}


@pytest.mark.parametrize(
    ("span", "reach"),
    [
        ((50, 150), (0, 220)),
        ((-40, 40), (-180, 180)),  # a bed of 220 mm that holds both
        ((100, 300), (80, 320)),
        ((-200, 200), (-200, 200)),  # more than the bed is known to be reached
    ],
)
def test_other_coordinates_leave_as_much_room_as_the_bed_has(span, reach):
    low, high = (
        (x, *rest) for x, rest in zip(span, (RANGES.low[1:], RANGES.high[1:]), strict=True)
    )
    guard = make(RANGES._replace(low=low, high=high))
    for edge, sign in zip(reach, (-1, 1), strict=True):
        assert guard.is_quiet((edge + sign * MARGIN_MM, 100.0, 0.0, 0.0), None)
        beyond = (edge + sign * (MARGIN_MM + 1), 100.0, 0.0, 0.0)
        assert "the printer's volume" in str(guard.examine(beyond, None).problem)


numbers = st.floats(-450, 450) | st.floats()


@given(st.tuples(*[numbers] * 4), st.none() | st.just(GOOD) | st.tuples(*[st.floats(-90, 90)] * 4))
def test_three_judges_agree(sample, before):
    """Quiet means that nothing is found; many at once are refused as one by one."""
    found = GUARD.examine(sample, before)
    assert GUARD.is_quiet(sample, before) == (found == (None, {}))
    earlier = np.full(4, np.nan) if before is None else np.array(before)
    assert bool(GUARD.is_far(np.array([sample]), earlier[None])[0]) == (found.problem is not None)


def test_all_that_training_did_is_quiet():
    rng = np.random.default_rng(0)
    columns = oscillator.make_layer(rng, 300)
    rows = np.stack([columns[name] for name in FEATURES], axis=1)
    from jaxcorr.models.ranges import measure_ranges

    guard = make(measure_ranges(FEATURES, rows, np.zeros(1, np.int64), 100.0), sees_position=True)
    table = [tuple(row) for row in rows.tolist()]
    assert all(map(guard.is_quiet, table, [None, *table]))


def test_moves_on_at_the_same_speed():
    np.testing.assert_allclose(GUARD.move_on((1.0, 2.0, 30.0, -40.0)), (1.3, 1.6, 30.0, -40.0))
    assert FAR > 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("lax", VOLUME), r"mode: expected one of strict, hold, got 'lax'"),
        (("hold", (1.0, 2.0)), r"volume_mm: expected three sides above 0 mm, got \(1\.0, 2\.0\)"),
        (("hold", (1.0, 2.0, -1.0)), r"volume_mm: expected three sides above 0 mm"),
    ],
)
def test_options_are_checked(options, said):
    with pytest.raises(InputError, match=said):
        safety.guard_for(oscillator.make_spec(), RANGES, *options)


def test_counts_keep_the_furthest():
    tally = Tally()
    before = tally.status()
    for outside in ({"vx_ref": 3.0}, {}, {"vx_ref": 1.0, "jump_x": 0.5}):
        tally.flag(outside)
    assert before == Status()
    assert tally.status().num_flagged == 2
    assert tally.status().outside == {"vx_ref": 3.0, "jump_x": 0.5}
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.num_steps = 1
