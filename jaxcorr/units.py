"""The unit of each field of a trace, by its name, the sign of an error, and the largest number."""

# Of mm and mm/s: no printer comes near, and float32 arithmetic beyond would overflow and spoil a
# recurrent state for good.
MOST = 1e6
SIGN = "error = actual - reference"
DERIVATIVES = {"v": "mm/s", "a": "mm/s2", "j": "mm/s3"}


def unit_of(name: str) -> str:
    """x_ref is mm, vx_cmd mm/s, ax_ref mm/s2, jx_ref mm/s3."""
    if name == "time":
        return "s"
    if name == "error_direction":
        return "rad"
    if name.startswith(("is_", "layer_num", "feature_code")):
        return "1"
    is_derivative = name.endswith(("_ref", "_cmd", "_mag")) and name[0] in DERIVATIVES
    return DERIVATIVES[name[0]] if is_derivative else "mm"
