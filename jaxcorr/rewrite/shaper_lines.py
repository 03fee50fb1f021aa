"""Input shapers of the firmware, set layer by layer to the run's printer.

The printed mass lies on the axis that moves the bed and lowers its frequency, so that a shaper set
once is too high at the end of a heavy print. Every line of the file stays; those that set the
shaper come before a layer's first move, where a frequency has changed by a tenth of a hertz.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from jaxcorr.compensation.baselines import natural
from jaxcorr.errors import InputError
from jaxcorr.identify.shapers import KINDS
from jaxcorr.printer.gcode import Program
from jaxcorr.printer_spec import Printer
from jaxcorr.rewrite.dialect import number
from jaxcorr.rewrite.source import ending, marked

STEP_HZ = 0.1


def settings(program: Program, printer: Printer, kind: str) -> dict[int, list[str]]:
    """What sets the shaper, by the line that it comes before.

    Args:
        program: of the file.
        printer: whose axes are shaped, without a print on its bed.
        kind: one of shapers.KINDS; Marlin has ZV alone.

    Raises:
        InputError: the firmware has no such command, or no such shaper.
    """
    if program.firmware == "reprapfirmware":
        raise InputError(
            "--shaper-only: expected a file for Klipper or Marlin, got one for reprapfirmware, "
            "which shapes both axes alike. Set M593 in config.g."
        )
    kinds = KINDS if program.firmware == "klipper" else KINDS[:1]
    if kind not in kinds:
        raise InputError(
            f"--shaper-only: expected {', '.join(kinds)} for {program.firmware}, got '{kind}'. "
            "Choose one of them."
        )
    before: dict[int, list[str]] = {}
    last = (0.0, 0.0)
    for layer in range(program.num_layers):
        loaded = printer.loaded(program.filament_before_mm(layer))
        axes = [natural(loaded, axis) for axis in (0, 1)]
        found = axes[0][0], axes[1][0]
        if max(abs(new - old) for new, old in zip(found, last, strict=True)) < STEP_HZ:
            continue
        last = found
        line = int(program.line[np.argmax(program.layer == layer)])
        before[line] = _commands(program.firmware, kind, axes)
    return before


def lines(source: Iterable[str], before: dict[int, list[str]], marker: str) -> Iterator[str]:
    """The lines of a text with these before them, and the marker behind the first."""
    end = "\n"
    for line_number, line in enumerate(source, 1):
        end = ending(line) or end
        yield from (made + end for made in before.get(line_number, ()))
        yield line
        if line_number == 1:
            yield marked(line, end, marker)


def _commands(firmware: str, kind: str, axes: list[tuple[float, float]]) -> list[str]:
    (x_hz, x_ratio), (y_hz, y_ratio) = axes
    if firmware == "klipper":
        words = [
            f"SHAPER_FREQ_X={number(x_hz, 1)} SHAPER_FREQ_Y={number(y_hz, 1)}",
            f"SHAPER_TYPE={kind}",
            f"DAMPING_RATIO_X={number(x_ratio, 3)} DAMPING_RATIO_Y={number(y_ratio, 3)}",
        ]
        return ["SET_INPUT_SHAPER " + " ".join(words)]
    return [
        f"M593 X F{number(x_hz, 1)} D{number(x_ratio, 3)}",
        f"M593 Y F{number(y_hz, 1)} D{number(y_ratio, 3)}",
    ]
