"""Comments of slicers: names, features, layer changes, settings, the print time.

Dialects: PrusaSlicer and SuperSlicer, OrcaSlicer, Bambu Studio and Creality Print, Cura, Slic3r,
Simplify3D, ideaMaker, KISSlicer. What no comment says is taken from Z.
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
# then those of OrcaSlicer, Bambu Studio and Creality Print, Cura's, Simplify3D's, ideaMaker's and
# KISSlicer's.
_NAMES = {
    "custom": ["custom"],
    "outer_wall": [
        *("external perimeter", "thin wall", "outer wall", "wall-outer", "outer perimeter"),
        *("single extrusion", "outer-shell", "perimeter path"),
    ],
    "inner_wall": [
        *("perimeter", "internal perimeter", "inner wall", "wall-inner", "inner perimeter"),
        *("inner-shell", "loop path"),
    ],
    "overhang_wall": ["overhang perimeter", "overhang wall"],
    "infill": [
        *("internal infill", "infill", "sparse infill", "fill"),
        *("sparse infill path", "stacked sparse infill path"),
    ],
    "solid_infill": [
        *("solid infill", "internal solid infill", "floating vertical shell", "skin"),
        *("solid layer", "solid-fill", "solid path"),
    ],
    "top_surface": ["top solid infill", "top surface", "crown path"],
    "bottom_surface": ["bottom surface"],
    "bridge": ["bridge infill", "internal bridge infill", "bridge", "internal bridge"],
    "gap_fill": ["gap fill", "gap infill", "gap-fill"],
    "ironing": ["ironing"],
    "skirt": ["skirt/brim", "skirt", "skirt path"],
    "brim": ["brim", "raft", "raft path"],
    "support": [
        *("support material", "support", "support transition", "support (may stack) path"),
    ],
    "support_interface": [
        *("support material interface", "support interface", "support-interface"),
        *("dense support", "support interface path"),
    ],
    "prime_tower": [
        *("wipe tower", "prime tower", "prime-tower", "prime pillar", "prime pillar path"),
    ],
}
_CODES = {name: FEATURES.index(feature) for feature, names in _NAMES.items() for name in names}

# Every part is bounded: a comment may be a megabyte long.
_COMMENT = re.compile(
    r";[ \t]{0,9}(?:"
    r"(?P<change>LAYER_CHANGE|CHANGE_LAYER)\b"
    r"|LAYER:[ \t]{0,9}(?P<layer>-?[0-9]{1,9})\b"
    r"|(?:;[ \t]{0,3}-{3}[ \t]{0,3})?[Ll]ayer[ \t]{1,3}#?(?P<numbered>[0-9]{1,9})"
    r"(?=[ \t]{0,3}(?:$|[,/(]|of\b))"
    r"|BEGIN_LAYER_[A-Z_]{3,40}[ \t]{1,3}z=(?P<begin>[0-9.]{1,20})"
    r"|(?:Z(?:_HEIGHT)?)?:[ \t]{0,9}(?P<z>[0-9.]{1,20})"
    r"|(?:TYPE:|FEATURE:|feature )(?P<feature>.{1,80})"
    r"|'(?P<path>[A-Z][A-Za-z ()]{2,40} Path)'"
    r"|(?P<slicer>BambuStudio|KISSlicer|Creality Print)\b"
    r"|(?:[Gg]|G-Code g)enerated (?:by|with) (?P<generator>.{1,80})"
    r"|Sliced by (?P<sliced>.{1,80})"
    r"|(?P<bare>(?:(?:outer|inner) perimeter|solid layer|infill|skirt|bridge|gap fill|prime pillar"
    r"|(?:dense )?support|raft))[ \t]{0,9}$"
    r")",
    re.ASCII,
)
# What settings and summaries say: for which firmware the file is, how thick a layer is, mm, and how
# long the print takes by the slicer's own reckoning.
_SETTINGS = {
    "Producer": "slicer",
    "gcode_flavor": "flavor",
    "FLAVOR": "flavor",
    "layer_height": "height",
    "Layer height": "height",
    "Layer Height": "height",
    "layerHeight": "height",
    "layer_thickness_mm": "height",
    "estimated printing time (normal mode)": "time",
    "estimated printing time": "time",
    "total estimated time": "time",
    "TIME": "time",
    "PRINT.TIME": "time",
    "Print Time": "time",
    "Build time": "time",
    "Estimated Build Time": "time",
}
_SETTING = re.compile(
    r";[ \t]{0,9}(?:model printing time: .{1,40}; )?"
    rf"({'|'.join(map(re.escape, _SETTINGS))})[ \t]{{0,9}}[=:,][ \t]{{0,9}}(.{{1,80}})",
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
    "simplify3d": "Simplify3D",
    "ideamaker": "ideaMaker",
    "kisslicer": "KISSlicer",
}
# The firmware that a flavour means, by its start in lower case; any other flavour is Marlin's.
_FLAVOURS = {
    "klipper": "klipper",
    "creality os": "klipper",
    "reprapfirmware": "reprapfirmware",
    "rrf": "reprapfirmware",
    "duet": "reprapfirmware",
}

PRIMING_WIDTH_MM = 2.0
SPIRAL_LAYERS = 1.5  # a spiral that is marked climbs by one height a mark

# Layer marks in the order of trust: a file may carry several kinds at once. Cura and ideaMaker
# write "layer" once a layer; "numbered" (Simplify3D, Slic3r, Kiri:Moto) and "begin" (KISSlicer) may
# come again within one.
LAYER_KINDS = ("change", "layer", "numbered", "begin", "z")
_MAY_REPEAT = ("numbered", "begin", "z")
_KINDS = {"path": "feature", "bare": "feature", "generator": "slicer", "sliced": "slicer"}


def read_comment(comment: str) -> tuple[str, str] | None:
    """What a comment line says: (kind, value), or None for nothing of interest.

    Kinds are "slicer", "feature", those of LAYER_KINDS, "flavor" (of the firmware), "height" (of a
    layer) and "time" (of the print).
    """
    match = _COMMENT.match(comment)
    if match is None:
        match = _SETTING.match(comment)
        if match is None:
            return None
        kind, value = _SETTINGS[match[1]], match[2].strip()
    else:
        group = match.lastgroup or ""
        kind, value = _KINDS.get(group, group), match[group].strip()
    return kind, slicer_name(value) if kind == "slicer" else value


def read_inline_comment(comment: str) -> tuple[str, str] | None:
    """What Slic3r says behind a command, the layer or the feature; as `read_comment` has it."""
    match = _INLINE_LAYER.match(comment)
    if match:
        return "numbered", match[1]
    return ("feature", comment) if feature_code(comment) is not None else None


def firmware_of(flavor: str) -> str | None:
    """The firmware that a slicer's flavour of G-code means; None for Marlin and the like."""
    if flavor == "RepRap":  # Cura's name for it; PrusaSlicer's reprap is the old Sprinter
        return "reprapfirmware"
    lowered = flavor.strip().lower()
    return next((name for key, name in _FLAVOURS.items() if lowered.startswith(key)), None)


def seconds_of(text: str) -> float | None:
    """A print's time such as `1h 28m 3s`, `2 hours 5 minutes` or `5213`; None for another text."""
    parts = re.findall(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)[ \t]{0,3}([dhms]?)", text.lower())
    units = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}
    return sum(float(number) * units[unit] for number, unit in parts) if parts else None


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
    end_mm: np.ndarray,
    marks: Sequence[tuple[int, str, str]],
    height_mm: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Gives every move its layer, from the marks or, where there is none, from Z.

    A layer reaches from its mark to the next that is followed by printing. What comes before the
    first layer belongs to none (-1), and neither does what comes after the last printing move: the
    end G-code retracts, wipes and parks, and would distort it. A spiral vase that rises on and on
    within a layer is cut by height. A file that neither prints nor marks is one layer.

    Args:
        is_printing: (N,) moves that extrude along XY, outside custom G-code.
        is_z_step: (N,) moves that change Z and do not print.
        end_mm: (N, 3) where each move ends.
        marks: (index of the next move, kind, value) of every layer comment, in order.
        height_mm: Of a layer, as the slicer says; None to take it from the first one.

    Returns:
        (N,) int32 layers from 0, -1 for none, and (L,) Z of each layer's first printing move.
    """
    num_moves = len(is_printing)
    starts = _starts_from_marks([mark for mark in marks if mark[0] < num_moves])
    starts = starts or _starts_from_z(is_printing, is_z_step, end_mm)
    printing = np.flatnonzero(is_printing)
    starts = _cut_spirals(_with_printing(starts, printing), printing, end_mm[:, 2], height_mm)
    raw = np.searchsorted(np.asarray(starts, dtype=np.int64), np.arange(num_moves), "right") - 1
    if not starts:
        raw = np.zeros(num_moves, dtype=np.int64)
    if len(printing) and raw[printing[-1]] == raw[-1]:
        raw[printing[-1] + 1 :] = -1
    used, layer = np.unique(raw, return_inverse=True)
    layer = layer.astype(np.int32) - np.int32(used[0] < 0)
    return layer, _layer_z(layer, is_printing, end_mm[:, 2])


def _starts_from_marks(marks: Sequence[tuple[int, str, str]]) -> list[int]:
    """Index of each layer's first move, by the most trusted kind of mark in the file."""
    for kind in LAYER_KINDS:
        chosen = [(at, value) for at, found, value in marks if found == kind]
        if chosen:
            return [
                at
                for i, (at, value) in enumerate(chosen)
                if i == 0 or kind not in _MAY_REPEAT or value != chosen[i - 1][1]
            ]
    return []


def _with_printing(starts: list[int], printing: np.ndarray) -> list[int]:
    """The starts that printing follows before the next one; all where nothing is printed at all."""
    if not len(printing):
        return starts
    before = np.searchsorted(printing, [*starts, np.iinfo(np.int64).max])
    return [at for at, i, j in zip(starts, before[:-1], before[1:], strict=True) if j > i]


def _starts_from_z(is_printing: np.ndarray, is_z_step: np.ndarray, end_mm: np.ndarray) -> list[int]:
    """Index of the first Z step before printing goes on at another height.

    A Z hop comes back to the same height, and a spiral has no Z step: neither is a new layer.
    """
    printing = np.flatnonzero(is_printing)
    if not len(printing):
        return []
    steps = np.flatnonzero(is_z_step)
    z = end_mm[printing, 2]
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
    return starts[first + _num_priming(starts[first:], printing, end_mm) :]


def _num_priming(starts: list[int], printing: np.ndarray, end_mm: np.ndarray) -> int:
    """1 where the first layer is a line along an axis, and the second is not: it primes the nozzle.

    Lines side by side, as wide as the nozzle is, count as one.
    """
    if len(starts) < 2:
        return 0
    widths = []
    for first, last in ((starts[0], starts[1]), (starts[1], (*starts, len(end_mm))[2])):
        path = end_mm[printing[(printing >= first) & (printing < last)], :2]
        widths.append(float(np.min(np.ptp(path, axis=0))))
    return int(widths[0] < PRIMING_WIDTH_MM <= widths[1])


def _cut_spirals(
    starts: list[int], printing: np.ndarray, z_mm: np.ndarray, height_mm: float | None
) -> list[int]:
    """The starts, and one more for each height of a layer that printing climbs without a step."""
    if not len(printing) or not starts:
        return starts
    first_z = float(z_mm[printing[0]])
    height = height_mm or (first_z if 0.03 <= first_z <= 1.2 else 0.2)
    before = np.searchsorted(printing, [*starts, len(z_mm)])
    cuts: list[int] = []
    for at, i, j in zip(starts, before[:-1], before[1:], strict=True):
        cuts.append(at)
        moves = printing[i:j]
        from_z, to_z = z_mm[np.maximum(moves - 1, 0)], z_mm[moves]
        climb = to_z - from_z
        is_spiral = climb.sum() > SPIRAL_LAYERS * height and bool(np.all(climb >= 0.0))
        if not is_spiral or to_z[-1] - from_z[0] > 1.2 * climb.sum():
            continue
        # A turn belongs to the height that it ends at; what is level before it is a layer too.
        turn = np.ceil((to_z - from_z[0]) / height - 1e-6).astype(np.int64)
        cuts += [int(moves[k]) for k in np.flatnonzero(np.diff(turn) > 0) + 1]
    return cuts


def _layer_z(layer: np.ndarray, is_printing: np.ndarray, end_z_mm: np.ndarray) -> np.ndarray:
    """Z of each layer's first printing move, or of its first move where it prints nothing."""
    z = np.zeros(int(layer.max(initial=-1)) + 1)
    for chosen in (layer >= 0, (layer >= 0) & is_printing):
        index = np.flatnonzero(chosen)[::-1]  # written last, so the first move wins
        z[layer[index]] = end_z_mm[index]
    return z
