"""The options of `simulate`: one for each field of the printer, checked as a spec is."""

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jaxcorr.cli import app, options
from jaxcorr.errors import InputError
from jaxcorr.printer_spec import Simulation
from jaxcorr.schema import check

APP = typer.Typer(rich_markup_mode=None)


@APP.command(cls=options.SimulationCommand)
def show(context: typer.Context, accel_mm_s2: float | None = None) -> None:
    """Prints what was given."""
    print(accel_mm_s2, options.given_simulation(context).model_dump_json())


def given(*arguments):
    """What the command makes of its arguments: its own option and the printer."""
    done = CliRunner().invoke(APP, list(arguments))
    if done.exception:
        raise done.exception
    own, _, rest = done.stdout.partition(" ")
    return own, check(Simulation, json.loads(rest), "shown")


def test_without_options_all_is_as_declared():
    assert given() == ("None", Simulation())


def test_every_field_has_an_option_with_its_default_and_its_help():
    text = " ".join(CliRunner().invoke(APP, ["--help"], terminal_width=400).stdout.split())
    for name, field in Simulation.model_fields.items():
        if name == "limits":  # of a printer file alone
            continue
        flag = f"--{field.serialization_alias or name}".replace("_", "-")
        assert re.search(rf"{flag} .*{re.escape(field.description)}", text), flag
    assert "--mass-kg X Y Moving mass, x and y. [default: 0.35, 0.45]" in text
    assert "--damping relative|ground" in text


def test_what_is_left_out_is_the_printers():
    own = Simulation.model_validate({"printer": "ender3_v2", "mass_kg": (0.3, 0.4)})
    assert given("--printer", "ender3_v2", "--mass-kg", "0.3", "0.4") == ("None", own)
    assert own.stiffness_n_m != Simulation().stiffness_n_m


def test_values_of_every_kind_arrive():
    arguments = "--mass-kg 0.5 0.6 --damping ground --off floor --off jitter --seed 7 --floor-hz 20"
    arguments += " --sweep-accel-mm-s2 400 --sweep-accel-mm-s2 900 --accel-mm-s2 3 --probe-um 40"
    assert given(*arguments.split()) == (
        "3.0",
        Simulation(
            mass_kg=(0.5, 0.6),
            damping="ground",
            sources_off=("floor", "jitter"),
            seed=7,
            floor_hz=20.0,
            accel_mm_s2=(400.0, 900.0),
            probe_um=(40.0,),
        ),
    )


def test_a_spec_that_a_wheel_brings_is_found_where_there_is_no_clone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jaxcorr" / "specs").mkdir(parents=True)
    (tmp_path / "jaxcorr" / "specs" / "smoke.toml").touch()
    monkeypatch.setattr(options, "__file__", str(tmp_path / "jaxcorr" / "cli" / "options.py"))
    found = tmp_path / "jaxcorr" / "specs" / "smoke.toml"
    assert options.find_spec(Path("specs/smoke.toml")) == found
    for own in (Path("specs/other.toml"), Path("smoke.toml"), tmp_path / "specs" / "smoke.toml"):
        assert options.find_spec(own) == own


def test_every_mistake_gets_its_line():
    wrong = ("--rate-hz", "300", "--plant-rate-hz", "2000")
    with pytest.raises(InputError) as caught:
        given("--damping", "air", "--microstep-um", "-1", *wrong)
    assert str(caught.value).splitlines() == [
        "simulate damping: expected one of 'relative', 'ground', got 'air'. Change the value.",
        "simulate microstep_um: expected a number >= 0, got -1.0. Change the value.",
        "simulate: expected rate_hz to divide plant_rate_hz = 2000, got 300. Change one of them.",
    ]


def test_an_argument_that_may_be_repeated_says_what_one_of_it_is():
    text = CliRunner().invoke(app.app, ["inspect", "--help"]).stdout
    assert "files... <path>" in text
    assert "list[" not in text
