"""The shape of the package: which folder may import which, what loads where, who prints."""

import ast
import functools
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jaxcorr"
# In the order of the data flow: a folder imports from those before it and from the root's words.
FOLDERS = (
    "printer", "identify", "data", "models", "training", "deploy", "export",
    "evaluation", "compensation", "rewrite", "studies", "bench", "cli",
)  # fmt: skip
ENTRANCES = {
    "__init__",
    "__main__",
    "compensator",
    "motion",
}  # of the root: they lead into the folders
INSIDE_FUNCTIONS = {"jinja2", "onnx", "onnxruntime", "jax2onnx", "matplotlib", "torch", "h5py"}
OF_SYS = {"argv", "stdout", "stderr", "exit"}  # the command line's
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
NAMES = [".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in MODULES]
SOURCE_OF = dict(zip(NAMES, MODULES, strict=True))


@functools.cache
def parse(name):
    return ast.parse(SOURCE_OF[name].read_text())


def folder_of(name):
    return name.rpartition(".")[0]


def imports(nodes):
    """Every module that these nodes import, `from jaxcorr.data import trace` as both of them."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_load(tree):
    """The nodes that run when the module loads: all but the bodies of functions."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from at_load(node)


def test_every_folder_has_its_place():
    assert {folder_of(name) for name in NAMES} == {"", *FOLDERS}
    inits = [PACKAGE / folder / "__init__.py" for folder in FOLDERS]
    assert not any(path.read_text() for path in inits), "--help would load what they import"


@pytest.mark.parametrize("name", NAMES)
def test_imports_come_from_earlier_folders(name):
    folder, used = folder_of(name), set(imports(ast.walk(parse(name))))
    places = [module.split(".")[1] for module in used if module.startswith("jaxcorr.")]
    if folder:
        later = set(FOLDERS[FOLDERS.index(folder) + 1 :]) | ENTRANCES
    else:
        later = set() if name in ENTRANCES else {*FOLDERS, *ENTRANCES}
    assert not later & set(places), f"{name} imports from a later folder"


def test_no_two_modules_import_each_other():
    edges = {n: {m[8:] for m in imports(ast.walk(parse(n))) if m[8:] in SOURCE_OF} for n in NAMES}
    seen: set[str] = set()

    def visit(name, path):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in seen:
            for other in edges[name]:
                visit(other, [*path, name])
            seen.add(name)

    for name in NAMES:
        visit(name, [])


@pytest.mark.parametrize("name", NAMES)
def test_heavy_libraries_load_where_they_are_used(name):
    loaded = {module.split(".")[0] for module in imports(at_load(parse(name)))}
    assert not loaded & INSIDE_FUNCTIONS


@pytest.mark.parametrize("name", [name for name in NAMES if folder_of(name) != "cli"])
def test_only_the_command_line_prints_and_reads_arguments(name):
    tree = parse(name)
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & {"print", "input", "breakpoint"}
    streams = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in OF_SYS]
    attributes = {ast.unparse(node) for node in streams}
    assert not attributes & {f"sys.{name}" for name in OF_SYS}
    assert not {"rich", "typer", "argparse"} & {m.split(".")[0] for m in imports(ast.walk(tree))}


def test_programs_import_from_the_root():
    from jaxcorr import Compensator, InputError, Predictor
    from jaxcorr.compensator import Compensator as SameCompensator
    from jaxcorr.deploy.predictor import Predictor as SamePredictor

    assert (Compensator, Predictor) == (SameCompensator, SamePredictor)
    assert issubclass(InputError, Exception)


def test_help_and_reading_traces_load_neither_jax_nor_plots():
    code = (
        "import sys, jaxcorr, jaxcorr.cli.app, jaxcorr.data.inspection\n"
        "import jaxcorr.training.run_folder, jaxcorr.printer.gcode, jaxcorr.printer.planner\n"
        "import jaxcorr.compensation.cases\n"
        "print(sorted({'jax', 'flax', 'torch', 'matplotlib', 'onnx'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", NAMES)
def test_every_module_says_what_it_is(name):
    assert len(ast.get_docstring(parse(name)) or "") > 40


def test_a_wheel_holds_what_programs_without_a_clone_read():
    from hatchling.builders.wheel import WheelBuilder

    root = PACKAGE.parent
    held = {file.distribution_path for file in WheelBuilder(str(root)).recurse_included_files()}
    read = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".toml", ".j2", ".gz"}]
    assert {str(path.relative_to(root)) for path in read} <= held
    assert {f"jaxcorr/specs/{path.name}" for path in (root / "specs").glob("*.toml")} <= held


def lines_of(paths):
    return [len(path.read_text().splitlines()) for path in paths]


def test_files_are_short():
    assert statistics.median(lines_of(MODULES)) < 230
    assert max(lines_of(MODULES)) <= 500


def test_folders_are_small():
    for folder in FOLDERS:
        assert 5 <= len([name for name in NAMES if folder_of(name) == folder]) <= 13, folder


def test_tests_are_in_proportion_and_mirror_the_package():
    tests = Path(__file__).parent
    assert 0.4 < sum(lines_of(tests.rglob("*.py"))) / sum(lines_of(MODULES)) < 0.9
    found = {path.name for path in tests.iterdir() if path.is_dir()} - {"data", "__pycache__"}
    assert found <= set(FOLDERS)
    for path in (path for folder in found for path in (tests / folder).glob("test_*.py")):
        name = f"{path.parent.name}.{path.stem.removeprefix('test_')}"
        assert name in SOURCE_OF, f"no module {name} to test"


def test_the_tree_in_the_docs_names_every_folder():
    page = (PACKAGE.parent / "docs" / "how_it_works.md").read_text()
    tree = page.partition("\n    jaxcorr/ ")[2].partition("\n    matlab/")[0]
    assert tuple(re.findall(r"^      ([a-z]+)/ ", tree, re.MULTILINE))[: len(FOLDERS)] == FOLDERS
