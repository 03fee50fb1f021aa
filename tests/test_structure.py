"""The shape of the package: which module may import which, what loads where, who prints."""

import ast
import fnmatch
import itertools
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jaxcorr"
# A module imports only from the rows above its own. The rows follow the data flow.
LEVELS = (
    ("errors",),
    (
        "files",
        "interrupts",
        "octave",
        "spool",
        "spec",
        "ranges",
        "status",
        "units",
        "words",
        "arcs",
        "limits",
        "slicers",
    ),
    ("trace", "machine", "safety", "selection", "locks", "rendezvous", "sweep_spec"),
    (
        "gcode",
        "correction",
        "knot_inverse",
        "plant",
        "disturbance",
        "windows",
        "normalize",
        "metrics",
        "recurrent",
        "runs",
        "bootstrap",
        "oscillation",
    ),
    ("linear_path",),
    (
        "planner",
        "shapers",
        "pipeline",
        "probe",
        "gate",
        "compensate",
        "model",
        "losses",
        "optimizer",
        "dataset",
        "inspection",
        "overview",
        "compiled",
        "devices",
        "hosts",
        "labels",
        "baselines",
    ),
    (
        "simulate",
        "model_map",
        "contour",
        "predict",
        "predictions",
        "update",
        "checkpoint",
        "records",
        "latency",
        "lanes",
        "export_model",
    ),
    (
        "scales",
        "remainder",
        "keeper",
        "drive",
        "breakdown",
        "evidence",
        "predictor_group",
        "export_graph",
        "export_c",
        "export_matlab",
        "export_stablehlo",
    ),
    ("export_path",),
    (
        "judge",
        "linear_inverse",
        "command_files",
        "friction",
        "collect",
        "train",
        "stream",
        "plots",
        "study",
        "torch_reference",
        "export_onnx",
    ),
    ("predictor", "compensator", "remedies", "model_card"),
    (
        "plant_map",
        "gated",
        "trial",
        "figures",
        "report_text",
        "experiment",
        "evaluate",
        "export",
        "bench",
        "bench_parts",
        "control",
    ),
    (
        "verdicts",
        "collect_octave",
        "learned",
        "trial_cases",
        "figures_path",
        "figures_motion",
        "report_run",
        "ceiling",
        "pairing",
    ),
    (
        "figures_compensation",
        "plots_control",
        "bench_contest",
        "bench_data",
        "bench_latency",
        "bench_compensate",
        "console",
        "evaluation",
    ),
    ("trainings", "versus", "horizons", "crossval", "figures_horizons"),
    ("comparison", "sweep"),
    (
        "console_compensation",
        "console_control",
        "session",
        "report",
        "console_evaluation",
        "console_sweep",
        "console_bench",
        "console_export",
    ),
    ("workflow",),
    ("cli_options", "console_pipeline"),
    (
        "cli_compensation",
        "cli_control",
        "cli_simulation",
        "cli_sweep",
        "cli_evaluation",
        "cli_bench",
        "cli_export",
        "cli_pipeline",
        "cli_listing",
        "cli_training",
    ),
    ("cli",),
    ("__main__",),
)
LEVEL_OF = {name: level for level, row in enumerate(LEVELS) for name in row}
WITHOUT_JAX = {name for row in LEVELS[:4] for name in row} - {"metrics", "plant", "recurrent"}
INSIDE_FUNCTIONS = {"jinja2", "onnx", "onnxruntime", "matplotlib", "torch", "h5py"}
MAY_PRINT = ("cli", "console", "session")  # and what their names begin
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def parse(name):
    return ast.parse((PACKAGE / f"{name}.py").read_text())


def imports(nodes):
    """Every module that these nodes import, `from jaxcorr import a` as jaxcorr.a."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            whole = node.module == "jaxcorr"
            yield from (f"jaxcorr.{a.name}" for a in node.names) if whole else (node.module,)


def at_load(tree):
    """The nodes that run when the module loads: all but the bodies of functions."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from at_load(node)


def test_every_module_has_a_level():
    assert sorted(LEVEL_OF) == MODULES, "list each module of the package in LEVELS, once"
    assert len(LEVEL_OF) == sum(map(len, LEVELS))


@pytest.mark.parametrize("name", MODULES)
def test_imports_come_from_lower_levels(name):
    used = {m.split(".")[1] for m in imports(ast.walk(parse(name))) if m.startswith("jaxcorr.")}
    wrong = {other for other in used if LEVEL_OF.get(other, 99) >= LEVEL_OF.get(name, -1)}
    assert not wrong, f"{name} imports from its own level or above: {sorted(wrong)}"


@pytest.mark.parametrize("name", sorted(WITHOUT_JAX))
def test_the_lower_levels_need_no_jax(name):
    used = {module.split(".")[0] for module in imports(ast.walk(parse(name)))}
    assert not used & {"jax", "jaxlib", "flax", "optax", "orbax", "grain"}


@pytest.mark.parametrize("name", MODULES)
def test_heavy_libraries_load_where_they_are_used(name):
    loaded = {module.split(".")[0] for module in imports(at_load(parse(name)))}
    assert not loaded & INSIDE_FUNCTIONS


@pytest.mark.parametrize("name", [n for n in MODULES if not n.startswith(MAY_PRINT)])
def test_only_the_command_line_prints_and_reads_arguments(name):
    tree = parse(name)
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & {"print", "input", "breakpoint"}
    attributes = {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert not attributes & {"sys.argv", "sys.stdout", "sys.stderr", "sys.exit"}
    assert not {"rich", "typer", "argparse"} & {m.split(".")[0] for m in imports(ast.walk(tree))}


def test_help_and_reading_traces_load_neither_jax_nor_plots():
    code = (
        "import sys, jaxcorr, jaxcorr.cli, jaxcorr.inspection, jaxcorr.overview, jaxcorr.gcode\n"
        "print(sorted({'jax', 'flax', 'torch', 'matplotlib', 'onnx'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["__init__", *MODULES])
def test_every_module_says_what_it_does(name):
    assert len(ast.get_docstring(parse(name)) or "") > 40


def lines_of(folder):
    return [len(path.read_text().splitlines()) for path in folder.glob("*.py")]


def test_files_are_short():
    assert statistics.median(lines_of(PACKAGE)) < 230
    assert max(lines_of(PACKAGE)) <= 500


def test_tests_are_in_proportion():
    assert 0.4 < sum(lines_of(Path(__file__).parent)) / sum(lines_of(PACKAGE)) < 0.9


def test_the_tree_in_the_readme_names_every_module_and_no_other():
    readme = (PACKAGE.parent / "README.md").read_text()
    tree = readme.partition("\n    jaxcorr/\n")[2].partition("\n    matlab/")[0]
    # Two spaces part the names of a line from each other and from what they do.
    cells = itertools.chain(*(re.split(r" {2,}", line.strip()) for line in tree.splitlines()))
    found = {c: fnmatch.filter(MODULES, c) for c in cells if re.fullmatch(r"[a-z0-9_*]+", c)}
    assert set(MODULES) - set(itertools.chain(*found.values())) <= {"__main__"}
    assert all(found.values()), "no module of that name"
