"""Units of a trace's fields, the sign of an error, its largest number, horizons in words."""

import re

# Of mm and mm/s: no printer comes near, and float32 arithmetic beyond would overflow and spoil a
# recurrent state for good.
MOST = 1e6
SIGN = "error = actual - reference"
DERIVATIVES = {"v": "mm/s", "a": "mm/s2", "j": "mm/s3"}
# A joint may be called a1 or j1: only of x, y, z and of the path are there accelerations and jerks.
DERIVATIVE = re.compile(r"(v.*|[aj][xyz]|[aj]_mag|jerk)_(ref|cmd|mag)")


def unit_of(name: str) -> str:
    """x_ref is mm, vx_cmd mm/s, ax_ref mm/s2, jx_ref mm/s3; j1_ref is mm, vj1_ref mm/s."""
    if name == "time":
        return "s"
    if name == "error_direction":
        return "rad"
    if name.startswith(("is_", "layer_num", "feature_code")):
        return "1"
    return DERIVATIVES[name[0]] if DERIVATIVE.fullmatch(name) else "mm"


def horizon_text(horizon: int, sample_rate_hz: float) -> str:
    """The instant that a prediction is for, in words."""
    if horizon == 0:
        return "at the newest sample"
    size_ms = 1e3 * abs(horizon) / sample_rate_hz
    side = "after" if horizon > 0 else "before"
    return f"{count(abs(horizon), 'sample')} ({size_ms:g} ms) {side} the newest"


def count(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
