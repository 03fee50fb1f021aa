"""Mutated and random G-code: a clear refusal or a correct parse, no crash, no hang.

Quick in the suite, with twice as many cases in continuous integration. The thorough profile
takes 10,000, also of real files where they are named:

    JAXCORR_FUZZ_GCODE=big.gcode:other.gcode \\
        python -m pytest tests/test_gcode_fuzz.py --hypothesis-profile=thorough
"""

import gzip
import importlib.util
import os
import random
import re
import tempfile
import time
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxcorr.errors import InputError
from jaxcorr.printer.firmware import MAX_COORDINATE_MM
from jaxcorr.printer.gcode import FEATURES, Program, parse, read

CASES = settings(
    max_examples=min(10_000, 3 * settings().max_examples),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SLOWEST_S = 5.0  # a case takes milliseconds; the margin is for a busy machine

DATA = Path(__file__).parent / "data" / "gcode"
SNIPPETS = (DATA / "snippets.txt").read_text().splitlines()
TOKENS = [
    *(
        "nan",
        "-inf",
        "1e9",
        "E",
        "-",
        "--1",
        ".",
        "1.2.3",
        "0",
        "-0.0",
        "1e-400",
        "9" * 400,
        "10000",
    ),
    *("-10000.5", "0.0000000000001", "*", "*71", ";", "(", ")", "\0", "\r", "\n", "\t", "N", "N-1"),
    *(
        "G",
        "G1",
        "G91\n",
        "G20\n",
        "F0",
        "F-1",
        "I",
        "R0",
        "R-5",
        "P99",
        "P1e3",
        "\u0661",
        "é",
        "\ud800",
    ),
    *("\x85", "\u2028", "\ufeff", " " * 5000, "X1" * 500, "%", "_", "=", '"'),
]


def corpus() -> list[list[str]]:
    """Lines of the fixtures, of the files named, and of another package's examples."""
    files = sorted(DATA.glob("*.gcode"))
    files += [Path(name) for name in os.environ.get("JAXCORR_FUZZ_GCODE", "").split(":") if name]
    found = importlib.util.find_spec("pyGCodeDecode")
    if found and found.origin:
        files += sorted((Path(found.origin).parent / "examples" / "data").glob("*.gcode"))
    texts = [file.read_bytes()[:20_000_000].decode("utf-8", "replace") for file in files]
    return [SNIPPETS, *(text.splitlines(keepends=False) for text in texts)]


CORPUS = corpus()


def mutated(rng: random.Random) -> str:
    """A few dozen lines from somewhere, damaged in up to eight places."""
    source = rng.choice(CORPUS)
    at = rng.randrange(len(source))
    chunk = list(source[at : at + rng.randrange(1, 60)])
    chunk += rng.choices(SNIPPETS, k=rng.randrange(8))
    for _ in range(rng.randrange(9)):
        i = rng.randrange(len(chunk))
        line = chunk[i]
        j = rng.randrange(len(line) + 1)
        chunk[i] = rng.choice(
            [
                line[:j] + line[j + 1 :],
                line[:j] + rng.choice(TOKENS) + line[j:],
                line[:j] + chr(rng.randrange(32, 127)) + line[j:],
                re.sub(r"[0-9.]+", lambda _: rng.choice(TOKENS), line, count=1),
                line.lower(),
                line.replace(" ", ""),
                line + chunk[rng.randrange(len(chunk))],
                chunk[rng.randrange(len(chunk))],
                "",
            ]
        )
    if rng.random() < 0.2:
        rng.shuffle(chunk)
    return rng.choice(["\n", "\n", "\r\n", "\r"]).join(chunk)


def check_program(program: Program) -> None:
    """What holds for every program, whatever the text."""
    num = len(program.line)
    assert num > 0
    assert program.start_mm.shape == program.end_mm.shape == (num, 3)
    for array in (program.start_mm, program.end_mm):
        assert (np.abs(array) <= MAX_COORDINATE_MM).all()
    joined = (program.start_mm[1:] == program.end_mm[:-1]) | (program.start_mm[1:] == 0)
    assert joined.all()
    assert np.isfinite(program.extrude_mm).all()
    length = np.linalg.norm(program.end_mm - program.start_mm, axis=1)
    assert ((length > 0) | (program.extrude_mm != 0)).all()
    assert ((program.feedrate_mm_s > 0) & (program.feedrate_mm_s < 1e8)).all()
    assert ((program.dwell_s >= 0) & np.isfinite(program.dwell_s)).all()
    assert (np.diff(program.line) >= 0).all()
    assert program.line[0] >= 1
    # Layers are numbered in order, without gaps; -1 only before and after.
    inside = program.layer[program.layer >= 0]
    assert (np.diff(inside) >= 0).all()
    assert np.array_equal(np.unique(inside), np.arange(program.num_layers))
    assert np.isfinite(program.layer_z_mm).all()
    is_xy = (program.start_mm[:, :2] != program.end_mm[:, :2]).any(axis=1)
    is_extruding = is_xy & (program.extrude_mm > 0)
    travel, retraction = FEATURES.index("travel"), FEATURES.index("retraction")
    assert np.array_equal(
        is_extruding, (program.feature != travel) & (program.feature != retraction)
    )
    assert np.array_equal(length == 0, program.feature == retraction)
    assert program.feature.max() < len(FEATURES)
    assert len(program.limits_index) == num
    assert program.limits_index.max() < len(program.limits)


def check(parse_fn) -> None:
    """Runs a parse: it gives a sound program, or one clear sentence, soon."""
    started = time.perf_counter()
    try:
        check_program(parse_fn())
    except InputError as refusal:
        text = str(refusal)
        assert re.fullmatch(r"[^:]+(:\d+)?: expected .+, got .+\.", text), text
        assert text.isprintable(), text
        assert len(text) < 300, text
    assert time.perf_counter() - started < SLOWEST_S


@given(seed=st.integers(0, 2**63))
@CASES
def test_mutated_gcode(seed):
    text = mutated(random.Random(seed))
    check(lambda: parse(text, "fuzz.gcode"))


@given(
    text=st.lists(
        st.one_of(st.sampled_from(SNIPPETS), st.sampled_from(TOKENS), st.text(max_size=30)),
        max_size=30,
    ).map(lambda parts: "".join(f"{part}\n" if len(part) > 3 else part for part in parts))
)
@CASES
def test_random_text(text):
    check(lambda: parse(text, "fuzz.gcode"))


@given(seed=st.integers(0, 2**63), content=st.binary(max_size=200), is_packed=st.booleans())
@CASES
def test_damaged_files(seed, content, is_packed):
    rng = random.Random(seed)
    data = mutated(rng).encode("utf-8", "surrogatepass")
    data = gzip.compress(data, compresslevel=1) if is_packed else data
    at = rng.randrange(len(data) + 1)
    data = data[:at] + content[: rng.randrange(len(content) + 1)] + data[at + rng.randrange(9) :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz.gcode"
        path.write_bytes(data)
        check(lambda: read(path))
