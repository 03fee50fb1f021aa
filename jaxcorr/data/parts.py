"""Parts and layers by name: which G-code file a part is, and which layers a selection means.

Layers are counted from 1, as people, file
names and MATLAB count them.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from jaxcorr.errors import InputError

FOLDER = Path(__file__).parent.parent / "parts"
# Name -> our own bundled part in its spirit. A user's `<name>.gcode` in FOLDER takes precedence.
# `3dbenchy`, the reference document's name for traces, is another one of the tug boat.
BUNDLED = {
    "tugboat": "tugboat.gcode.gz",
    "3dbenchy": "tugboat.gcode.gz",
    "bearing5": "bearing5.gcode.gz",
    "nautilus": "nautilus.gcode.gz",
    "boat": "boat.gcode.gz",
    "standard_trajectory": "standard_trajectory.gcode",
}

Layers = str | int | Sequence[int]


def find_part(name: str, folder: Path = FOLDER) -> tuple[Path, str]:
    """Finds the G-code of a part, and says in a line which file it is.

    Args:
        name: one of BUNDLED, or the path of a file of G-code (see printer/containers.py).
        folder: where parts by name are looked for.

    Raises:
        InputError: the name is neither a file nor a known part.
    """
    if Path(name).is_file():
        return Path(name), f"{name}: your own file"
    for own in (f"{name}.gcode", f"{name}.gcode.gz"):
        if name in BUNDLED and own != BUNDLED[name] and (folder / own).is_file():
            return folder / own, f"{name}: your own {own} in the folder of parts"
    if name not in BUNDLED:
        known = ", ".join(sorted(BUNDLED))
        raise InputError(
            f"part: expected a G-code file or one of {known}, got '{name}'. Check the name."
        )
    return folder / BUNDLED[name], f"{name}: the bundled part {BUNDLED[name]}"


def part_name(name: str) -> str:
    """What stands for a part in folder names: its name, or that of its file, less the ending."""
    if name in BUNDLED:
        return "3dbenchy" if name == "tugboat" else name
    stem = re.sub(r"\.b?gcode(\.gz|\.3mf)?$", "", Path(name).name, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9-]+", "_", stem)


def select_layers(selection: Layers, num_layers: int) -> list[int]:
    """Layer numbers, from 1, in print order.

    Args:
        selection: 'sampled:N' (layers 1, 1 + N, ...), 'all', a number, '3,7,12', or numbers.
        num_layers: how many the part has.

    Raises:
        InputError: the selection is malformed, or names a layer that the part does not have.
    """
    text = _spell(selection)
    if text == "all":
        return list(range(1, num_layers + 1))
    if match := re.fullmatch(r"sampled:([1-9]\d*)", text):
        return list(range(1, num_layers + 1, int(match.group(1))))
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise InputError(
            f"layers: expected 'sampled:N', 'all', a number or numbers such as 3,7,12, "
            f"got '{text}'. Choose one of them."
        )
    numbers = sorted({int(number) for number in text.split(",")})
    for number in numbers:
        if not 1 <= number <= num_layers:
            raise InputError(
                f"layers: expected numbers from 1 to {num_layers}, got {number}. "
                "Choose layers of this part."
            )
    return numbers


def folder_name(part: str, selection: Layers) -> str:
    """`data_simulation_<part>_<layers>`: sampled:5 -> sampled5, 3 -> layer3, 3,7 -> layers3_7."""
    text = _spell(selection)
    if text[:1].isdigit():
        text = ("layers" if "," in text else "layer") + text.replace(",", "_")
    return f"data_simulation_{part}_{text.replace(':', '')}"


def _spell(selection: Layers) -> str:
    if isinstance(selection, str | int):
        return re.sub(r"\s", "", str(selection))
    return ",".join(str(number) for number in selection)
