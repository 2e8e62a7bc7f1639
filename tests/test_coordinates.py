from dataclasses import replace

import pandas as pd
import pytest
from imod_models import model

from isonet2.data.coordinates import Grid, read_coordinates
from isonet2.data.star import write_table
from isonet2.errors import InputError

GRID = Grid("TS_01", (48, 56, 64), 10.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x,y,z\n1,2,3\n", [[3, 2, 1]]),
        ('"Z","Y","X"\n3,2,1\n', [[3, 2, 1]]),
        ("index,axis-0,axis-1,axis-2\n0,40,50,60\n", [[40, 50, 60]]),
        ("1 2 3\n", [[3, 2, 1]]),
    ],
)
def test_a_heading_says_which_coordinate_is_which(tmp_path, text, expected):
    (tmp_path / "p.csv").write_text(text)
    assert read_coordinates(tmp_path / "p.csv", GRID).tolist() == expected


def test_points_outside_and_points_of_another_tomogram_are_said(tmp_path, caplog):
    (tmp_path / "p.txt").write_text("1 2 3\n64 2 3\n1 -1 3\n")
    with pytest.raises(InputError, match="2 of 3 points lie outside TS_01"):
        read_coordinates(tmp_path / "p.txt", GRID)
    names = "data_\nloop_\n_rlnTomoName\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnCoordinateZ\n"
    (tmp_path / "p.star").write_text(f"{names}TS_05 1 2 3\n")
    assert read_coordinates(tmp_path / "p.star", GRID).tolist() == [[3, 2, 1]]
    assert "holds points of TS_05, taken for TS_01" in caplog.text


def test_points_of_an_imod_model(tmp_path):
    path = model(tmp_path / "p.mod", [[(30, 20, 10), (31, 21, 11)], [(1, 2, 3)]])
    assert read_coordinates(path, GRID).tolist() == [[10, 20, 30], [11, 21, 31], [3, 2, 1]]


def test_angstrom_from_the_middle_as_relion_writes_them(tmp_path):
    path = tmp_path / "p.star"
    point = {"X": -10, "Y": 20, "Z": 30}
    columns = {f"rlnCenteredCoordinate{axis}Angst": [value] for axis, value in point.items()}
    write_table(path, pd.DataFrame(columns))
    assert read_coordinates(path, GRID).tolist() == [[24 + 3, 28 + 2, 32 - 1]]
    with pytest.raises(InputError, match="voxel size of TS_01 is not known; fill in rlnPixelSize"):
        read_coordinates(path, replace(GRID, pixel_size=None))


def test_a_heading_without_coordinates_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(InputError, match="names no columns x, y and z"):
        read_coordinates(tmp_path / "p.csv", GRID)


@pytest.mark.parametrize("line", ["12,5\t30,2\t44,1", "12,5 30 44", "1 2 3, particle 7"])
def test_commas_that_may_be_decimal_are_refused(tmp_path, line):
    (tmp_path / "p.txt").write_text(f"{line}\n")
    with pytest.raises(InputError, match="commas and blanks between its numbers"):
        read_coordinates(tmp_path / "p.txt", GRID)
    (tmp_path / "p.txt").write_text("12.5, 30.2, 44.1\n")
    assert read_coordinates(tmp_path / "p.txt", GRID).tolist() == [[44.1, 30.2, 12.5]]


def test_of_points_of_several_tomograms_those_of_one_are_taken(tmp_path):
    columns = {f"rlnCoordinate{axis}": [1.0, 2.0] for axis in "XYZ"}
    path = tmp_path / "p.star"
    write_table(path, pd.DataFrame({"rlnTomoName": ["a", "b"], **columns}))
    with pytest.raises(InputError, match=r"points of 2 tomograms .* none of TS_01"):
        read_coordinates(path, GRID)
    for name in ("TS_01", "tomograms/TS_01.mrc"):
        write_table(path, pd.DataFrame({"rlnTomoName": ["a", name], **columns}))
        assert read_coordinates(path, GRID).tolist() == [[2, 2, 2]]
    write_table(path, pd.DataFrame({"rlnTomoName": ["a", "a"], **columns}))
    assert len(read_coordinates(path, GRID)) == 2


def test_parts_of_a_tomogram_are_no_voxels(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("0.25 0.5 0.9\n0.1 0.2 0.3\n")
    with pytest.raises(InputError, match="all points lie between 0 and 1"):
        read_coordinates(path, Grid("a", (20, 24, 28), 10.0))
    path.write_text("0 1 1\n")
    assert len(read_coordinates(path, Grid("a", (20, 24, 28), 10.0))) == 1
