"""Comments of slicers: the slicer's name, features and layer changes.

Dialects: PrusaSlicer and SuperSlicer, OrcaSlicer, Bambu Studio and Creality Print, Cura, Slic3r.
What no comment says is taken from Z.
"""

import re
from collections.abc import Sequence

import numpy as np

# Index = code. "travel" is motion without extrusion, "retraction" is extrusion without motion; both
# are decided by the move itself. "unknown" is extrusion under no label, or one that is not known.
FEATURES: tuple[str, ...] = (
    "travel",
    "retraction",
    "unknown",
    "custom",
    "outer_wall",
    "inner_wall",
    "overhang_wall",
    "infill",
    "solid_infill",
    "top_surface",
    "bottom_surface",
    "bridge",
    "gap_fill",
    "ironing",
    "skirt",
    "brim",
    "support",
    "support_interface",
    "prime_tower",
)
TRAVEL, RETRACTION, UNKNOWN, CUSTOM = range(4)

# What each feature is called, in lower case: PrusaSlicer's, SuperSlicer's and Slic3r's names first,
# then those of OrcaSlicer, Bambu Studio and Creality Print, then Cura's.
_NAMES = {
    "custom": ["custom"],
    "outer_wall": ["external perimeter", "thin wall", "outer wall", "wall-outer"],
    "inner_wall": ["perimeter", "internal perimeter", "inner wall", "wall-inner"],
    "overhang_wall": ["overhang perimeter", "overhang wall"],
    "infill": ["internal infill", "infill", "sparse infill", "fill"],
    "solid_infill": ["solid infill", "internal solid infill", "floating vertical shell", "skin"],
    "top_surface": ["top solid infill", "top surface"],
    "bottom_surface": ["bottom surface"],
    "bridge": ["bridge infill", "internal bridge infill", "bridge", "internal bridge"],
    "gap_fill": ["gap fill", "gap infill"],
    "ironing": ["ironing"],
    "skirt": ["skirt/brim", "skirt"],
    "brim": ["brim"],
    "support": ["support material", "support", "support transition"],
    "support_interface": ["support material interface", "support interface", "support-interface"],
    "prime_tower": ["wipe tower", "prime tower", "prime-tower"],
}
_CODES = {name: FEATURES.index(feature) for feature, names in _NAMES.items() for name in names}

# Every part is bounded: a comment may be a megabyte long.
_COMMENT = re.compile(
    r";[ \t]{0,9}(?:"
    r"(?P<change>LAYER_CHANGE|CHANGE_LAYER)\b"
    r"|LAYER:[ \t]{0,9}(?P<layer>-?[0-9]{1,9})\b"
    r"|Z(?:_HEIGHT)?:[ \t]{0,9}(?P<z>[0-9.]{1,20})"
    r"|(?:TYPE|FEATURE):(?P<feature>.{1,80})"
    r"|(?P<slicer>BambuStudio)\b"
    r"|[Gg]enerated (?:by|with) (?P<generator>.{1,80})"
    r")",
    re.ASCII,
)
_INLINE_LAYER = re.compile(r"[ \t]{0,9}move to next layer \(([0-9]{1,9})\)")
_SLICERS = {
    "prusaslicer": "PrusaSlicer",
    "superslicer": "SuperSlicer",
    "orcaslicer": "OrcaSlicer",
    "bambustudio": "BambuStudio",
    "creality": "Creality Print",
    "cura": "Cura",
    "slic3r": "Slic3r",
}

# Layer marks in the order of trust: a file may carry several kinds at once.
LAYER_KINDS = ("change", "layer", "z")


def read_comment(comment: str) -> tuple[str, str] | None:
    """What a comment line says: (kind, value), or None for nothing of interest.

    Kinds are "slicer", "feature" and those of LAYER_KINDS.
    """
    match = _COMMENT.match(comment)
    if match is None:
        return None
    kind = match.lastgroup or ""
    if kind == "generator":
        return "slicer", slicer_name(match[kind])
    return kind, match[kind].strip()


def read_inline_comment(comment: str) -> tuple[str, str] | None:
    """What Slic3r says behind a command, the layer or the feature; as `read_comment` has it."""
    match = _INLINE_LAYER.match(comment)
    if match:
        return "layer", match[1]
    return ("feature", comment) if feature_code(comment) is not None else None


def slicer_name(generator: str) -> str:
    """The slicer's usual name; the first word of the text for one that is not known."""
    for key, name in _SLICERS.items():
        if key in generator.lower():
            return name
    return (generator.split() or ["unknown"])[0]


def feature_code(label: str) -> int | None:
    """The index into FEATURES of a slicer's label, None for a label that is not known."""
    return _CODES.get(label.strip().lower())


def assign_layers(
    is_printing: np.ndarray,
    is_z_step: np.ndarray,
    end_z_mm: np.ndarray,
    marks: Sequence[tuple[int, str, str]],
) -> tuple[np.ndarray, np.ndarray]:
    """Gives every move its layer, from the marks or, where there is none, from Z.

    A layer reaches from its mark to the next. What comes before the first mark belongs to no layer
    (-1), and neither does what comes after the last printing move of the last layer: the end
    G-code retracts, wipes and parks, and would distort it. Layers without a move are dropped.
    A file that neither prints nor marks is one layer.

    Args:
        is_printing: (N,) moves that extrude along XY, outside custom G-code.
        is_z_step: (N,) moves that change Z and do not print.
        end_z_mm: (N,) Z at the end of the move.
        marks: (index of the next move, kind, value) of every layer comment, in order.

    Returns:
        (N,) int32 layers from 0, -1 for none, and (L,) Z of each layer's first printing move.
    """
    num_moves = len(is_printing)
    starts = _starts_from_marks([mark for mark in marks if mark[0] < num_moves])
    starts = starts or _starts_from_z(is_printing, is_z_step, end_z_mm)
    raw = np.searchsorted(np.asarray(starts, dtype=np.int64), np.arange(num_moves), "right") - 1
    if not starts:
        raw = np.zeros(num_moves, dtype=np.int64)
    printing = np.flatnonzero(is_printing)
    if len(printing) and raw[printing[-1]] == raw[-1]:
        raw[printing[-1] + 1 :] = -1
    used, layer = np.unique(raw, return_inverse=True)
    layer = layer.astype(np.int32) - np.int32(used[0] < 0)
    return layer, _layer_z(layer, is_printing, end_z_mm)


def _starts_from_marks(marks: Sequence[tuple[int, str, str]]) -> list[int]:
    """Index of each layer's first move, by the most trusted kind of mark in the file."""
    for kind in LAYER_KINDS:
        chosen = [(at, value) for at, found, value in marks if found == kind]
        if chosen:
            # The same number twice in a row is the same layer; LAYER_CHANGE has no number.
            return [
                at
                for i, (at, value) in enumerate(chosen)
                if i == 0 or kind == "change" or value != chosen[i - 1][1]
            ]
    return []


def _starts_from_z(
    is_printing: np.ndarray, is_z_step: np.ndarray, end_z_mm: np.ndarray
) -> list[int]:
    """Index of the first Z step before printing goes on at another height.

    A Z hop comes back to the same height, and a spiral has no Z step: neither is a new layer.
    """
    printing = np.flatnonzero(is_printing)
    if not len(printing):
        return []
    steps = np.flatnonzero(is_z_step)
    z = end_z_mm[printing]
    # The start G-code lifts and primes first; the last Z step before printing reaches the layer.
    before_first = steps[steps < printing[0]]
    starts = [int(before_first[-1] if len(before_first) else printing[0])]
    heights = [z[0]]
    for i in np.flatnonzero(z[1:] != z[:-1]):
        step = np.searchsorted(steps, printing[i])
        if step < len(steps) and steps[step] < printing[i + 1]:
            starts.append(int(steps[step]))
            heights.append(z[i + 1])
    # A print starts at its lowest layer: what is extruded above it beforehand is a priming line.
    first = next((i for i in range(len(heights) - 1) if heights[i] <= heights[i + 1]), 0)
    return starts[first:]


def _layer_z(layer: np.ndarray, is_printing: np.ndarray, end_z_mm: np.ndarray) -> np.ndarray:
    """Z of each layer's first printing move, or of its first move where it prints nothing."""
    z = np.zeros(int(layer.max(initial=-1)) + 1)
    for chosen in (layer >= 0, (layer >= 0) & is_printing):
        index = np.flatnonzero(chosen)[::-1]  # written last, so the first move wins
        z[layer[index]] = end_z_mm[index]
    return z
