"""Bad samples and wrong velocities are refused by field and sample; good traces are not."""

import re

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
PLAIN = circle(N)
MOTIONS = {
    "swapped": (
        {"vx_ref": PLAIN["vy_ref"], "vy_ref": PLAIN["vx_ref"]},
        "vx_ref: expected the speed of x_ref, got that of another axis; vy_ref is. Swap the two.",
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


def test_pieces_may_be_joined_at_rest(tmp_path):
    turns = circle(N)
    ramp = np.minimum(np.minimum(np.arange(N), np.arange(N)[::-1]) / 50, 1.0)
    rest = {
        "vx_ref": 20 * ramp,
        "x_ref": 5 + np.cumsum(20 * ramp) / RATE_HZ,
        "y_ref": np.full(N, 9.0),
    }
    twice = {name: np.tile({**turns, **rest}[name], 2) for name in turns}
    twice |= {"vy_ref": np.zeros(2 * N), "time": np.arange(2 * N) / RATE_HZ}
    trace.write(tmp_path / "a.mat", twice, {})
    trace_checks.check(trace.read(tmp_path / "a.mat"), RATE_HZ)


def test_training_says_the_same_as_inspect_of_a_sign(tmp_path):
    path = write_circle(tmp_path / "a.mat", N, x_act=PLAIN["x_ref"] - PLAIN["error_x"])
    names = ("x_ref", "vx_ref", "error_x")
    with pytest.raises(InputError, match=r"error_x: expected x_act - x_ref, .* Change the sign"):
        trace_checks.check(trace.read(path, (*names, "time")), RATE_HZ, names)
