"""Names of parts and of layers: what they mean, and what is refused."""

import pytest

from jaxcorr.data import parts
from jaxcorr.data.parts import find_part, folder_name, part_name, select_layers
from jaxcorr.data.trace import part_of
from jaxcorr.errors import InputError


@pytest.mark.parametrize(
    ("text", "layers", "folder"),
    [
        ("sampled:5", [1, 6, 11], "sampled5"),
        ("sampled:20", [1], "sampled20"),
        ("all", list(range(1, 13)), "all"),
        (7, [7], "layer7"),
        ("7", [7], "layer7"),
        ("9, 2", [2, 9], "layers9_2"),
        ([3, 12], [3, 12], "layers3_12"),
    ],
)
def test_layers_count_from_one_and_name_their_folder(tmp_path, text, layers, folder):
    assert select_layers(text, 12) == layers
    assert folder_name("boat", text) == f"data_simulation_boat_{folder}"
    assert part_of(tmp_path / folder_name("boat", text) / "layer01.mat") == "boat"


@pytest.mark.parametrize("text", ["sampled:0", "every 5", "", "-1", [], "1-3", "sampled:x"])
def test_malformed_selections_are_refused(text):
    with pytest.raises(InputError, match="layers: expected 'sampled:N', 'all', a number"):
        select_layers(text, 12)


@pytest.mark.parametrize("number", [0, 13])
def test_layers_that_are_not_there_are_refused(number):
    with pytest.raises(InputError, match=f"expected numbers from 1 to 12, got {number}"):
        select_layers(number, 12)


def test_every_bundled_part_is_there():
    for name in parts.BUNDLED:
        path, line = find_part(name)
        assert path.is_file()
        assert parts.BUNDLED[name] in line


def test_a_file_of_ones_own_takes_precedence_and_the_line_says_so(tmp_path):
    for name in ("tugboat.gcode.gz", "boat.gcode.gz"):
        (tmp_path / name).touch()
    assert find_part("boat", tmp_path)[0].name == "boat.gcode.gz"
    (tmp_path / "boat.gcode").touch()
    (tmp_path / "3dbenchy.gcode.gz").touch()
    path, line = find_part("boat", tmp_path)
    assert path.name == "boat.gcode"
    assert line == "boat: your own boat.gcode in the folder of parts"
    assert find_part("3dbenchy", tmp_path)[0].name == "3dbenchy.gcode.gz"


def test_a_path_is_taken_as_it_is(tmp_path):
    file = tmp_path / "My part v2.gcode"
    file.touch()
    path, line = find_part(str(file))
    assert path == file
    assert "your own file" in line
    assert part_name(str(file)) == "My_part_v2"
    assert part_name("3dbenchy") == part_name("tugboat") == "3dbenchy"
    with pytest.raises(InputError, match=r"expected a G-code file or one of 3dbenchy.*got 'bot'"):
        find_part("bot")
