import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import image

from isonet2.reports.pictures import (
    compare_picture,
    loss_picture,
    overlay_picture,
    power_spectrum,
)
from isonet2.reports.progress import MANY, followed, progress_bar
from isonet2.reports.table import show_table


def test_a_table_keeps_every_letter_when_it_goes_to_a_file(capsys):
    path = "a/very/long/path/" * 12 + "TS_01.mrc"
    show_table("tomograms [2]", ["name", "defocus"], [[path, "39057.0"], ["[red]b", "1.5"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tomograms [2]")
    assert any(path in line for line in lines)
    assert any("[red]b" in line for line in lines)
    ends = [line.index(number) + len(number) for line in lines for number in ("39057.0", "1.5")
            if f" {number} " in line]  # fmt: skip
    assert len(ends) == 2
    assert ends[0] == ends[1]


def test_a_table_without_rows_still_has_its_head(capsys):
    show_table("nothing", ["a", "b"], [])
    assert "a" in capsys.readouterr().out


def test_a_table_too_wide_for_the_terminal_lists_what_is_the_same_in_all_rows(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    rows = [[str(n), "shared/" * 6, "300.0"] for n in range(2)]
    show_table("wide", ["index", "folder", "voltage"], rows)
    text = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert text.count("shared/" * 6) == 1
    assert text.count("300.0") == 1
    assert "in all rows" in text
    assert max(map(len, text.splitlines())) <= 60


def test_the_spectrum_shows_a_wave_where_it_lies():
    z, y, x = np.mgrid[:32, :20, :48]
    volume = np.cos(2 * np.pi * (8 * z / 32 + 6 * x / 48)) + 0 * y + 5
    power = power_spectrum(volume)
    assert power.shape == (32, 48)
    peaks = {tuple(int(i) for i in divmod(int(p), 48)) for p in np.argsort(power.ravel())[-2:]}
    assert peaks == {(16 + 8, 24 + 6), (16 - 8, 24 - 6)}


def test_the_spectrum_of_a_large_volume_is_that_of_its_middle():
    volume = np.zeros((8, 4, 300), np.float32)
    volume[:, :, :10] = 1e6
    volume[4, 2, 150] = 1.0
    assert power_spectrum(volume).shape == (8, 256)
    assert power_spectrum(volume).max() < 3


def test_comparison_has_three_rows_and_a_column_for_each_volume(tmp_path):
    rng = np.random.default_rng(0)
    volume = rng.normal(size=(24, 32, 40)).astype(np.float32)
    volumes = {"input": volume, "restored": 100 * volume, "truth": np.zeros_like(volume)}
    compare_picture(tmp_path / "new/compare.png", volumes, 10.0)
    two = dict(list(volumes.items())[:2])
    compare_picture(tmp_path / "two.png", two, 10.0)
    three_wide = image.imread(tmp_path / "new/compare.png")
    two_wide = image.imread(tmp_path / "two.png")
    assert three_wide.shape[0] == two_wide.shape[0] > 1000
    assert three_wide.shape[1] / two_wide.shape[1] == pytest.approx(1.5, abs=0.01)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "two.png"]


def test_loss_curves_are_drawn_also_from_the_first_epoch_on(tmp_path):
    rows = [{"epoch": 1, "loss": 2.0, "n2n": 1.0, "mw": 0.0}]
    loss_picture(tmp_path / "loss.png", rows)
    first = image.imread(tmp_path / "loss.png")
    loss_picture(tmp_path / "loss.png", [*rows, {"epoch": 2, "loss": 1.0, "n2n": 0.5, "mw": 0.1}])
    assert not np.array_equal(first, image.imread(tmp_path / "loss.png"))
    loss_picture(tmp_path / "loss.png", [])


def test_the_mask_outline_lies_over_the_slices(tmp_path):
    volume = np.random.default_rng(1).normal(size=(16, 24, 24)).astype(np.float32)
    mask = np.zeros(volume.shape, np.uint8)
    overlay_picture(tmp_path / "empty.png", volume, mask)
    mask[4:12, 6:18, 6:18] = 1
    overlay_picture(tmp_path / "mask.png", volume, mask)
    red = {}
    for name in ("empty", "mask"):
        pixels = image.imread(tmp_path / f"{name}.png")
        red[name] = int(((pixels[..., 0] > 0.7) & (pixels[..., 1] < 0.4)).sum())
    assert red["empty"] == 0
    assert red["mask"] > 500
    with pytest.raises(ValueError, match="does not lie over"):
        overlay_picture(tmp_path / "mask.png", volume, mask[1:])


def test_pictures_load_matplotlib_only_to_draw():
    code = "import sys, isonet2.reports.pictures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("total", "lines"), [(MANY - 1, 0), (MANY, 11)])
def test_many_results_are_followed_by_a_bar(capsys, total, lines):
    assert list(followed("opening", iter(range(total)), total)) == list(range(total))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == lines
    assert all(line.startswith("opening: ") for line in said)


@pytest.mark.parametrize("terminal", [True, False])
def test_names_with_brackets_stand_in_progress_as_they_are(monkeypatch, capsys, terminal):
    name = "TS_01[bold red]x[/] [1]"
    monkeypatch.setenv("FORCE_COLOR" if terminal else "NO_COLOR", "1")
    with progress_bar(name, 2) as bar:
        bar.update(1, 2, "[dim]note")
        bar.describe(f"{name} again")
        bar.update(2, 2, "[/]")
    said = capsys.readouterr().err
    assert name in said
    assert "[dim]note" in said or terminal
