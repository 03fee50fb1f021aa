# Recipes are thin calls of .venv/bin/jaxcorr; the environment is made and kept up to date on the way.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments

bin := ".venv/bin"

# List the recipes
[private]
default:
    @just --list --unsorted

# Train a spec into a new run: just train specs/medium_hybrid.toml [--set KEY=VALUE]
[group('train')]
[no-exit-message]
train *ARGS: _setup
    @{{bin}}/jaxcorr train "$@"

# Go on with an interrupted run: just resume runs/<id>
[group('train')]
[no-exit-message]
resume *ARGS: _setup
    @{{bin}}/jaxcorr resume "$@"

# Collect, train, evaluate and export: just pipeline [SPEC] [--set KEY=VALUE]
[group('train')]
[no-exit-message]
pipeline *ARGS: _setup
    @{{bin}}/jaxcorr pipeline "$@"

# Evaluate a run, with a report: just eval runs/<id> [--traces GLOB] [--json]
[group('judge')]
[no-exit-message]
eval *ARGS: _setup
    @{{bin}}/jaxcorr eval "$@"

# Do two runs differ beyond chance: just compare runs/<a> runs/<b>
[group('judge')]
[no-exit-message]
compare *ARGS: _setup
    @{{bin}}/jaxcorr compare "$@"

# Leave out one part after the other: just crossval SPEC [--epochs N]
[group('judge')]
[no-exit-message]
crossval *ARGS: _setup
    @{{bin}}/jaxcorr crossval "$@"

# R2 and MAE against horizon: just horizons SPEC [--from -5 --to 5] [--epochs N]
[group('judge')]
[no-exit-message]
horizons *ARGS: _setup
    @{{bin}}/jaxcorr horizons "$@"

# Search a space of specs: just sweep specs/sweep_reference.toml [--workers 2]
[group('judge')]
[no-exit-message]
sweep *ARGS: _setup
    @{{bin}}/jaxcorr sweep "$@"

# Losses against sizes over seeds: just table [--seeds 3] [--epochs N]
[group('judge')]
[no-exit-message]
table *ARGS: _setup
    @{{bin}}/jaxcorr table "$@"

# Write a run's model as ONNX, StableHLO, C and for MATLAB: just export runs/<id>
[group('use')]
[no-exit-message]
export *ARGS: _setup
    @{{bin}}/jaxcorr export "$@"

# Predict in a paced control loop: just demo-control runs/<id> [--rate HZ] [--plot FILE]
[group('use')]
[no-exit-message]
demo-control *ARGS: _setup
    @{{bin}}/jaxcorr demo-control "$@"

# Find better commands for layers, and judge them: just compensate runs/<id> PART
[group('use')]
[no-exit-message]
compensate *ARGS: _setup
    @{{bin}}/jaxcorr compensate "$@"

# Judge it on printers unlike the trained one too: just compensate-suite runs/<id>
[group('use')]
[no-exit-message]
compensate-suite *ARGS: _setup
    @{{bin}}/jaxcorr compensate-suite "$@"

# Correct G-code for a run's printer: just rewrite runs/<id> IN.gcode --out OUT.gcode
[group('use')]
[no-exit-message]
rewrite *ARGS: _setup
    @{{bin}}/jaxcorr rewrite "$@"

# Correct a file for a printer, all steps: just printer PART.gcode --printer ender3_v2
[group('train')]
[no-exit-message]
printer *ARGS: _setup
    @{{bin}}/jaxcorr printer "$@"

# List runs with their state and metrics
[group('train')]
[no-exit-message]
runs *ARGS: _setup
    @{{bin}}/jaxcorr runs "$@"

# Make traces from logs: just import FILE... --time t --command x_cmd --actual x_act
[group('traces')]
[no-exit-message]
import *ARGS: _setup
    @{{bin}}/jaxcorr import "$@"

# Import EMPS, hold out speeds, train, compare: just measured DATA_EMPS.mat [RATE_HZ]
[group('traces')]
[no-exit-message]
measured FILE RATE_HZ="100": _setup
    #!/usr/bin/env bash
    set -euo pipefail
    rate="${2:-100}" traces="emps_${2:-100}hz"
    echo "EMPS at $rate Hz: three trainings, each evaluated; 2 to 3 minutes on two idle cores" >&2
    [ -d "$traces" ] || {{bin}}/jaxcorr import "$1" --format emps --rate-hz "$rate" --shortest-s 0.3 --out "$traces"
    {{bin}}/jaxcorr crossval specs/own_traces.toml --set data.traces="[\"$traces/*.mat\"]" \
        --set data.sample_rate_hz="$rate" --set data.window_ms=300 --set data.stride_ms=100 \
        --set data.augment.time_shift=$((rate / 20)) \
        --set data.features='["x_ref", "vx_ref"]' --set data.targets='["error_x"]' \
        --leave-out '83 mm/s=*_[02][26],*_[13]0,*_1[48]' --leave-out '125 mm/s=*_[02][37],*_[13]1,*_1[59]' \
        --leave-out 'second half=*_1[7-9],*_2?,*_3?'

# Show what .mat files hold and whether they can be trained on: just inspect FILE|GLOB
[group('traces')]
[no-exit-message]
inspect *ARGS: _setup
    @{{bin}}/jaxcorr inspect "$@"

# Make traces with the built-in simulator: just simulate 3dbenchy --layers sampled:5
[group('traces')]
[no-exit-message]
simulate *ARGS: _setup
    @{{bin}}/jaxcorr simulate "$@"

# Find a printer's numbers in traces or resonance files: just identify FILE|GLOB
[group('traces')]
[no-exit-message]
identify *ARGS: _setup
    @{{bin}}/jaxcorr identify "$@"

# Plan G-code, with time, firmware and limits: just plan FILE.gcode [--layers]
[group('traces')]
[no-exit-message]
plan *ARGS: _setup
    @{{bin}}/jaxcorr plan "$@"

# Measure speed, beside PyTorch: just bench train|step|data|endurance|compensate
[group('measure')]
[no-exit-message]
bench *ARGS: _setup
    #!/usr/bin/env bash
    set -euo pipefail
    case "${1:-} $*" in
    *--help* | *--no-torch*) ;;
    "train "* | "step "*) just _torch ;;
    esac
    {{bin}}/jaxcorr bench "$@"

# Open TensorBoard over all runs
[group('train')]
[no-exit-message]
board *ARGS: _setup-dev
    @{{bin}}/tensorboard --logdir runs "$@"

# Run the tests: just test [pytest arguments]
[group('develop')]
[no-exit-message]
test *ARGS: _setup-dev
    @{{bin}}/pytest "$@"

# Check format, lint and types, then run the tests
[group('develop')]
[no-exit-message]
check: _setup-dev
    {{bin}}/ruff format --check jaxcorr tests
    {{bin}}/ruff check jaxcorr tests
    {{bin}}/pyright
    just test

# Build these pages as a site into build/site/
[group('develop')]
[no-exit-message]
docs *ARGS: _setup-dev
    @NO_MKDOCS_2_WARNING=1 {{bin}}/mkdocs build --strict -q "$@"
    @echo "build/site/index.html"

# Put code into the house's format
[group('develop')]
[no-exit-message]
format: _setup-dev
    {{bin}}/ruff format jaxcorr tests
    {{bin}}/ruff check --fix jaxcorr tests

# Regenerate the bundled parts' G-code (needs openscad and prusa-slicer)
[group('develop')]
[no-exit-message]
slice:
    @bash jaxcorr/parts/src/slice.sh

# Pin the newest versions of all dependencies, with hashes
[group('develop')]
[no-exit-message]
lock:
    uv pip compile -q --universal -p 3.11 --upgrade --generate-hashes --no-emit-index-url --no-header \
        --extra build pyproject.toml -o requirements.lock
    uv pip compile -q --universal -p 3.11 --generate-hashes --no-emit-index-url --no-header \
        --extra build --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
    uv pip compile -q --universal -p 3.11 --generate-hashes --no-emit-index-url --no-header \
        --extra build --extra cuda -c requirements.lock pyproject.toml -o requirements-cuda.lock

# Environment for running; with an NVIDIA GPU it takes the cuda extra
_setup:
    #!/usr/bin/env bash
    set -euo pipefail
    if nvidia-smi -L >/dev/null 2>&1; then just _install requirements-cuda.lock
    else just _install requirements.lock; fi

# Environment for running and testing
_setup-dev: _setup
    @just _install requirements-dev.lock

# PyTorch for the comparisons, from wherever pip is set up to find it
_torch:
    #!/usr/bin/env bash
    set -euo pipefail
    {{bin}}/python -c 'import torch' 2>/dev/null && exit 0
    echo "installing PyTorch to compare with, about 1 GB; without it: --no-torch" >&2
    {{bin}}/python -m pip install -q 'torch==2.13.0'

# Install a lock file once; its checksum in .venv tells whether it is there
_install LOCK:
    #!/usr/bin/env bash
    set -euo pipefail
    stamp=".venv/.installed-$1"
    want="$(cat "$1" pyproject.toml | sha256sum)"
    [ -x .venv/bin/jaxcorr ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && exit 0
    echo "installing $1 into .venv" >&2
    [ -x .venv/bin/python ] || uv venv -q .venv
    uv pip install -q --python .venv/bin/python --require-hashes -r "$1"
    uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
    echo "$want" > "$stamp"
