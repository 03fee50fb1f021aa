"""What a resonance test told, as plain values and as the rows and sentences that people read."""

from collections.abc import Sequence
from typing import Any

from jaxcorr.identify.axis_response import ONE_MODE_RESIDUAL, AxisResponse
from jaxcorr.identify.modes import FIT_HZ
from jaxcorr.identify.resonance_test import stiff_share
from jaxcorr.identify.shapers import Setting
from jaxcorr.identify.weighings import Weighing

MODE_COLUMNS = ("mode", "frequency", "95% interval", "damping ratio", "95% interval", "share")
SHAPER_COLUMNS = ("shaper", "on the file", "on the model")


def describe(response: AxisResponse) -> dict[str, Any]:
    """An axis as plain values, for programs."""
    spectrum, fit = response.spectrum, response.fit
    return {
        "file": str(spectrum.path),
        "axis": spectrum.axis,
        "moved": response.moved,
        "modes": [
            {
                **mode._asdict(),
                "frequency_hz_95": [low.frequency_hz, high.frequency_hz],
                "damping_ratio_95": [low.damping_ratio, high.damping_ratio],
            }
            for mode, low, high in zip(fit.modes, fit.low, fit.high, strict=True)
        ],
        "stiff_share": stiff_share(fit.modes),
        "residual": fit.residual,
        "shapers": {
            kind: {
                "on_file": response.on_file[kind]._asdict(),
                "on_model": response.on_model[kind]._asdict(),
            }
            for kind in response.on_file
        },
    }


def mode_rows(response: AxisResponse) -> list[list[str]]:
    """A row for each mode, under MODE_COLUMNS; the first gives way most."""
    fit = response.fit
    return [
        [
            str(i + 1),
            f"{mode.frequency_hz:.2f} Hz",
            f"{low.frequency_hz:.2f} to {high.frequency_hz:.2f}",
            f"{mode.damping_ratio:.4f}",
            f"{low.damping_ratio:.4f} to {high.damping_ratio:.4f}",
            f"{mode.share:.2f}",
        ]
        for i, (mode, low, high) in enumerate(zip(fit.modes, fit.low, fit.high, strict=True))
    ]


def shaper_rows(response: AxisResponse) -> list[list[str]]:
    """A row for each shaper, under SHAPER_COLUMNS."""
    return [
        [kind.upper(), _setting(response.on_file[kind]), _setting(response.on_model[kind])]
        for kind in response.on_file
    ]


def sentences(response: AxisResponse) -> list[str]:
    """What the rows leave open: the direction, the residual, and why there are two modes."""
    fit, one = response.fit, response.one_mode
    lines = [
        f"residual of the fit {fit.residual:.3f}, about {100 * fit.residual:.0f}% of the power, "
        f"between {FIT_HZ[0]:g} and {FIT_HZ[1]:g} Hz"
    ]
    if response.moved != response.spectrum.axis:
        lines.insert(0, f"the accelerometer's {response.moved} moved most, and is what is fitted")
    if one is not None:
        why = (
            f"leaves {one.fit.residual:.3f}"
            if one.fit.residual > ONE_MODE_RESIDUAL
            else f"sets MZV to {_setting(one.on_model['mzv'])}"
        )
        lines.append(f"one mode does not do: it {why}")
    if len(fit.modes) > 1:
        # Adding zero keeps a rounded -0.001 from showing as -0.00.
        share = round(stiff_share(fit.modes), 2) + 0.0
        lines.append(f"{share:.2f} of the motion follows the motor stiffly")
    return lines


def about_printer(responses: Sequence[AxisResponse]) -> list[str]:
    """What a printer file of these axes says in its head, a line an axis."""
    lines = []
    for one in responses:
        modes = [
            f"{mode.frequency_hz:.2f} Hz, damping ratio {mode.damping_ratio:.4f}"
            for mode in one.fit.modes
        ]
        lines.append(f"{one.spectrum.axis}: {'; '.join(modes)}, from {one.spectrum.path.name}.")
    return lines


def describe_weighing(weighing: Weighing) -> dict[str, Any]:
    """Tests with masses as plain values, for programs."""
    return weighing._asdict() | {"worst_share": worst_share(weighing)}


def worst_share(weighing: Weighing) -> float | None:
    """By how much the others miss a test's frequency, at most; None of two tests."""
    if not weighing.predicted_hz:
        return None
    pairs = zip(weighing.predicted_hz, weighing.frequency_hz, strict=True)
    return max(abs(predicted / found - 1.0) for predicted, found in pairs)


def weighing_sentences(weighing: Weighing) -> list[str]:
    """What moves, and how well the tests agree on it."""
    axis, worst = weighing.axis, worst_share(weighing)
    lines = [f"{axis}: {weighing.moving_kg:.2f} kg move, by 1 / f^2 over the mass that was added"]
    for i, predicted in enumerate(weighing.predicted_hz):
        lines.append(
            f"{axis} with {weighing.added_kg[i]:g} kg: {weighing.frequency_hz[i]:.2f} Hz, by the "
            f"other tests {predicted:.2f} Hz"
        )
    if worst is not None:
        lines.append(f"{axis}: the tests predict each other within {100 * worst:.1f}%")
    return lines


def _setting(setting: Setting) -> str:
    return f"{setting.frequency_hz:.1f} Hz ({100 * setting.vibrations:.1f}% left)"
