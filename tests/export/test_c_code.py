"""The generated C: warning-free C99, exact weights, accurate without libm, and refusals."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import oscillator
import pytest
import test_deployed
import toy

from jaxcorr.errors import InputError
from jaxcorr.export import c_code, parameters
from jaxcorr.training.run_folder import Run

COMPILER = c_code.find_compiler()
pytestmark = pytest.mark.skipif(
    COMPILER is None and os.environ.get("CI") != "true", reason="no C compiler"
)
STRICT = (
    *("-std=c99", "-O3", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow"),
    *("-Wstrict-prototypes", "-Wdouble-promotion", "-Werror"),
)
EXPONENTIALS = """
#include "step.c"
#include <stdio.h>
int main(void)
{
    for (int i = -9000; i <= 9000; i++) {
        printf("%.9g\\n", (double)exponential((float)i / 100.0f));
    }
    return 0;
}
"""
ELSEWHERE = """
#include "step.h"
int main(void)
{
    jaxcorr_state state;
    float sample[JAXCORR_FEATURES] = {0}, error[JAXCORR_TARGETS] = {7.0f};
    jaxcorr_reset(&state);
    sample[1] = 1e6f;
    const int refused = jaxcorr_step(&state, sample, error);
    if (refused != 1 || error[0] != 7.0f || state.is_started) return 1;
    sample[1] = 0.0f;
    return jaxcorr_step(&state, sample, error) || error[0] == 7.0f || !state.is_started;
}
"""


RAW = {"model": {"num_layers": 1, "inputs": "raw", "hidden_size": 6, "encoder_size": 5}}


@pytest.fixture(scope="module", params=["raw", "xyz", "smooth", "plant"])
def made(request, tmp_path_factory):
    """A folder with step.c and the example, of random weights; and those weights."""
    spec = oscillator.make_spec(**(test_deployed.SPECS | {"raw": RAW})[request.param])
    plain = parameters.plain(spec, test_deployed.draw_weights(spec))
    facts = parameters.facts(Run(Path(toy.NASTY)).id, spec)
    folder = tmp_path_factory.mktemp("c")
    c_code.write_step(folder / "step.c", spec.model, plain, facts)
    c_code.write_header(folder / "step.h", plain, facts)
    c_code.write_example(folder / "stream_csv.c", facts)
    return folder, plain, facts


@pytest.fixture(scope="module")
def program(made):
    """The example, built without a warning."""
    folder, _, _ = made
    c_code.build(COMPILER, folder / "stream_csv.c", folder / "program", STRICT)
    return folder / "program"


def call(program, text, *arguments):
    return subprocess.run([program, *arguments], input=text, capture_output=True, text=True)


def test_weights_read_back_to_the_same_values(made):
    folder, plain, _ = made
    text = (folder / "step.c").read_text()
    for i, layer in enumerate(plain.layers):
        for name, values in (("input", layer.inputs), ("recurrent", layer.recurrent)):
            numbers = re.search(rf"{name}_{i}\[\d+\] = {{(.*?)}};", text, re.DOTALL)[1]
            found = np.array([word.strip().rstrip("f") for word in numbers.split(",")], np.float32)
            np.testing.assert_array_equal(found, values.ravel())


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, 0.1, -3e-42, 3.4028235e38, 16777216.0, 1e-10])
def test_constants_are_exact_floats_of_c(value):
    text = c_code.number(value)
    assert re.fullmatch(r"-?\d+(\.\d+(e[+-]\d+)?|e[+-]\d+)f", text)
    assert np.float32(text[:-1]).tobytes() == np.float32(value).tobytes()


def test_header_says_what_goes_in_and_out(made):
    folder, _, facts = made
    header = (folder / "step.c").read_text().split("*/")[0]
    assert f"run {facts.run};" in header
    for name, unit in zip(facts.features, facts.feature_units, strict=True):
        assert f"{name} ({unit})" in header
    assert "error = actual - reference" in header
    assert "100 samples a second" in header
    meaning = {0: "at the newest sample", 2: "2 samples (20 ms) after the newest"}
    assert meaning[facts.horizon] in header


def test_exponential_is_accurate_and_bounded(made):
    folder, _, _ = made
    (folder / "exponentials.c").write_text(EXPONENTIALS)
    c_code.build(COMPILER, folder / "exponentials.c", folder / "exponentials")
    found = np.array(call(folder / "exponentials", "").stdout.split(), float)
    given = (np.arange(-9000, 9001, dtype=np.float32) / np.float32(100)).clip(-87, 87)
    np.testing.assert_allclose(found, np.exp(given.astype(float)), rtol=3e-7)


def test_step_is_used_from_another_file_and_refuses_untouched(made):
    folder, _, _ = made
    (folder / "elsewhere.c").write_text(ELSEWHERE)
    command = [COMPILER, *STRICT, "elsewhere.c", "step.c", "-lm", "-o", "elsewhere"]
    subprocess.run(command, cwd=folder, check=True)
    assert call(folder / "elsewhere", "").returncode == 0


def test_example_reads_names_and_traces(made, program):
    _, _, facts = made
    row = ",".join("1" for _ in facts.features) + "\n"
    plain = call(program, row + row + "\n" + row).stdout.splitlines()
    assert plain[0] == ",".join(facts.targets)
    assert len(plain) == 4
    assert plain[1] == plain[3] != plain[2]  # the empty line began a new trace
    named = call(program, ",".join(facts.features) + "\n" + row.replace("\n", "\r\n"))
    assert named.stdout.splitlines() == plain[:2]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda row: row.replace("1", "nan", 1), "expected finite numbers within 1e+06"),
        (lambda row: row.replace("1", "1e6", 1), "expected finite numbers within 1e+06"),
        (lambda row: row.replace("1", "one", 1), "as numbers"),
        (lambda row: row.replace(",", ";", 1), "as numbers"),
        (lambda row: row[2:], "as numbers"),
        (lambda row: "1," + row, "as numbers"),
        (lambda row: "y_ref,x_ref\n" + row, "as numbers"),
    ],
)
def test_example_refuses_other_lines(made, program, change, rule):
    _, _, facts = made
    row = ",".join("1" for _ in facts.features) + "\n"
    done = call(program, row + change(row))
    assert done.returncode == 2
    assert done.stderr.startswith("line 2: expected ")
    assert rule in done.stderr


def test_example_times_its_step(made, program):
    _, _, facts = made
    row = ",".join("1" for _ in facts.features) + "\n"
    done = call(program, row, "--time", "1000")
    assert re.fullmatch(
        r"\d+\.\d+ us a step over 1000 steps, mean error_x -?\d+\.\d+\n", done.stdout
    )
    for arguments in (("--time",), ("--time", "0"), ("--other", "5")):
        done = call(program, row, *arguments)
        assert done.returncode == 2
        assert "usage: " in done.stderr


def test_a_compiler_that_fails_is_one_line(made, tmp_path):
    folder, _, _ = made
    with pytest.raises(InputError, match=r"stream_csv.c: expected .* to compile it, got '.*'"):
        c_code.build(COMPILER, folder / "stream_csv.c", tmp_path / "none" / "program")
