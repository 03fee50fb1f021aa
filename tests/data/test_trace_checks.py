"""Bad samples and wrong velocities are refused by field and sample; good traces are not."""

import re
from pathlib import Path

import numpy as np
import pytest
from toy import RATE_HZ, circle, write_circle

from jaxcorr.data import trace, trace_checks
from jaxcorr.errors import InputError

N = 400


def bent(name, change):
    """A circle's fields with one of them changed in place."""
    fields = circle(N)
    change(fields[name])
    return {name: fields[name]}


def at(k, value):
    return lambda column: column.__setitem__(k, value)


def shift(k, by_mm):
    return lambda column: column.__setitem__(slice(k, None), column[k:] + by_mm)


SAMPLES = {
    "a position of 0": (bent("x_ref", at(100, 0.0)), r"x_ref: expected a way of .* to sample 101"),
    "positions of 0": (bent("y_ref", at(slice(100, 120), 0.0)), r"y_ref: .* to sample 101, as vy"),
    "a jump": (bent("x_ref", shift(50, 5.0)), r"x_ref: .* to sample 51, as vx_ref says, within"),
    "a spike": (bent("x_ref", at(70, 125.0)), r"x_ref: .* sample 71, .* 1 more\)\. Mend or cut"),
    "a velocity of 0": (
        bent("vx_ref", at(50, 0.0)),
        r"vx_ref: expected about -62\.\d+ mm/s at sam",
    ),
    "velocities of 0": (bent("vx_ref", at(slice(45, 55), 0.0)), r"vx_ref: .* at sample 4[67], as"),
    "a wild velocity": (bent("vy_ref", at(30, 900.0)), r"y_ref: expected a way of 4.* sample 31"),
    "an impossible one": (
        bent("vy_ref", at(30, 9e3)),
        r"vy_ref: expected at most 2000 mm/s, got 9000 at sample 31\. Mend or cut",
    ),
    "a wild error": (bent("error_x", at(9, 3.0)), r"error_x: expected about .* 10, as around it"),
    "an error of 0": (bent("error_x", at(150, 0.0)), r"error_x: .* at sample 151, .*, got 0 mm\."),
    "errors of 0": (bent("error_y", at(slice(40, 60), 0.0)), r"error_y: .* 41, .* \(and 19 more\)"),
}
SAMPLES["small errors of 0"] = (
    {"error_x": np.where(np.arange(N) // 2 == 60, 0.0, 0.1 * circle(N)["error_x"])},
    r"error_x: expected other values than 0 at sample 121, .* \(and 1 more\)",
)
PLAIN = circle(N)
# Two axes that go nearly the same way, as in infill at 45 degrees.
SLANTED = {
    "x_ref": PLAIN["x_ref"],
    "vx_ref": PLAIN["vx_ref"] + PLAIN["vy_ref"] / 2,
    "y_ref": PLAIN["x_ref"] + PLAIN["y_ref"] / 2,
    "vy_ref": PLAIN["vx_ref"],
}
MOTIONS = {
    "swapped": (
        {"vx_ref": PLAIN["vy_ref"], "vy_ref": PLAIN["vx_ref"]},
        "vx_ref: expected the speed of x_ref, got that of another axis; vy_ref is. Swap the two.",
    ),
    "swapped where both go nearly the same way": (
        SLANTED,
        "vx_ref: expected the speed of x_ref, got that of ano",
    ),
    "negated": (
        {"vy_ref": -PLAIN["vy_ref"]},
        "vy_ref: expected the speed of y_ref, got its negative. Change the sign of vy_ref.",
    ),
    "scaled": (
        {"vx_ref": 2 * PLAIN["vx_ref"]},
        "vx_ref: expected the speed of x_ref, got 2 times it. Convert the file to mm and mm/s.",
    ),
    "in m/s": ({"vx_ref": PLAIN["vx_ref"] / 1e3}, "vx_ref: expected the speed of x_ref, got 0.001"),
    "time in ms": (
        {"time": 1e3 * PLAIN["time"]},
        "time: expected seconds, got steps of 10, which are ms at 100 Hz. Multiply time by 0.001.",
    ),
    "time in days": (
        {"time": PLAIN["time"] / 86400.0},
        "time: expected seconds, got steps of 1.15741e-07, which are days at 100 Hz. Multiply",
    ),
    "a gap": (
        {"time": PLAIN["time"] + 0.35 * (np.arange(N) > 120)},
        "time: expected steps of 10 ms, got 360 ms before sample 122. Cut the trace at the gap",
    ),
}


def refusal(path):
    with pytest.raises(InputError) as caught:
        trace_checks.check(trace.read(path), RATE_HZ)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", SAMPLES)
def test_bad_samples_are_named_as_matlab_counts_them(tmp_path, name):
    changes, message = SAMPLES[name]
    text = refusal(write_circle(tmp_path / "a.mat", N, **changes))
    assert re.match(message, text), text


@pytest.mark.parametrize("name", MOTIONS)
def test_what_does_not_belong_together_is_said(tmp_path, name):
    changes, message = MOTIONS[name]
    assert refusal(write_circle(tmp_path / "a.mat", N, **changes)).startswith(message)


def joined(num, by_mm=0.0, at=0):
    """Moves of a second each, 5 mm apart where they rest; one jump more, of `by_mm` at a sample."""
    ramp = np.minimum(np.minimum(np.arange(100), np.arange(100)[::-1]) / 25, 1.0)
    move = {name: np.zeros(100) for name in circle(100)}
    move |= {"vx_ref": 20 * ramp, "x_ref": 5 + np.cumsum(20 * ramp) / RATE_HZ}
    move["error_x"] = 1e-3 * move["vx_ref"] + 1e-6 * np.arange(100)
    fields = {name: np.tile(values, num) for name, values in move.items()}
    fields["time"] = np.arange(100 * num) / RATE_HZ
    fields["x_ref"][at:] += by_mm
    return trace.Trace(Path("a.mat"), "", fields, {})


def test_pieces_may_be_joined_at_rest():
    trace_checks.check(joined(2), RATE_HZ)
    trace_checks.check(joined(8), RATE_HZ)  # in more than one sample of a hundred
    with pytest.raises(
        InputError, match=r"x_ref: expected a way of 0.2 mm to sample 351, as vx_ref"
    ):
        trace_checks.check(joined(8, 1.0, 350), RATE_HZ)


def test_no_machine_stops_for_a_single_sample():
    made = joined(1)
    wobble = 5 * np.sin(np.arange(100))  # changes that are no less than the velocity
    made.fields["vx_ref"][:] += wobble * (made.fields["vx_ref"] > 0)
    made.fields["x_ref"][:] = np.cumsum(made.fields["vx_ref"]) / RATE_HZ
    trace_checks.check(made, RATE_HZ)
    made.fields["vx_ref"][50] = 0.0
    with pytest.raises(InputError, match=r"vx_ref: expected about .* at sample 51, as x_ref"):
        trace_checks.check(made, RATE_HZ)


def test_training_says_the_same_as_inspect_of_a_sign(tmp_path):
    path = write_circle(tmp_path / "a.mat", N, x_act=PLAIN["x_ref"] - PLAIN["error_x"])
    names = ("x_ref", "vx_ref", "error_x")
    with pytest.raises(InputError, match=r"error_x: expected x_act - x_ref, .* Change the sign"):
        trace_checks.check(trace.read(path, (*names, "time")), RATE_HZ, names)
