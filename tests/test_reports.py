import os
import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import image

from isonet2.reports import pictures
from isonet2.reports.pictures import (
    compare_picture,
    fsc_picture,
    loss_picture,
    overlay_picture,
    power_spectrum,
    round_details,
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


@pytest.fixture
def figures(monkeypatch):
    """The figures that pictures are made of, in place of files."""
    made = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: made.append(figure))
    return made


@pytest.mark.parametrize("shape", [(24, 32, 40), (60, 90, 30), (8, 200, 100)])
def test_slices_have_one_scale_and_a_bar(figures, shape):
    volume = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    volumes = {"input": volume, "restored": volume}
    compare_picture("x.png", volumes, 10.0, "TS_01, epoch 10")
    (figure,) = figures
    figure.draw_without_rendering()
    slices = [axes for axes in figure.axes if "slice" in axes.get_title()]
    assert len(slices) == 4
    pixels_per_nm = []
    for axes in slices:
        box = axes.get_window_extent()
        low, high = axes.get_xlim(), axes.get_ylim()
        pixels_per_nm += [box.width / (low[1] - low[0]), box.height / (high[1] - high[0])]
    assert np.ptp(pixels_per_nm) < 1e-3 * np.mean(pixels_per_nm)
    assert figure.get_suptitle() == "TS_01, epoch 10"
    assert slices[0].get_title() == f"input: x-y slice {shape[0] // 2 + 1} of {shape[0]}"
    (bar, label) = slices[0].lines[0], slices[0].texts[0]
    nm = float(label.get_text().removesuffix(" nm"))
    assert np.ptp(bar.get_xdata()) * shape[2] * 1.0 == pytest.approx(nm)


def test_an_fsc_names_its_levels_and_its_resolution(figures):
    frequency = np.arange(49) / 960
    fsc_picture("x.png", frequency, {"all": np.linspace(1, 0, 49)}, title="a against b")
    (axes,) = figures[0].axes
    assert {text.get_text() for text in axes.texts} == {"0.5", "0.143"}
    (above,) = axes.child_axes
    ticks = dict(
        zip((t.get_text() for t in above.get_xticklabels()), above.get_xticks(), strict=True)
    )
    assert len(ticks) >= 4
    assert all(place == pytest.approx(1 / float(text)) for text, place in ticks.items())
    assert "angstrom" in above.get_xlabel()
    assert figures[0].get_suptitle() == "a against b"


@pytest.mark.parametrize("highest", [0.5, 0.05, 0.01, 0.143])
def test_round_details_stand_well_apart(highest):
    places = [1 / detail for detail in round_details(highest)]
    assert len(places) >= 4
    assert max(places) <= highest
    assert max(np.diff(places)) < -0.08 * highest


def test_masks_are_drawn_in_nanometres_with_what_they_keep_and_the_gold(figures):
    volume = np.random.default_rng(1).normal(size=(16, 24, 30)).astype(np.float32)
    beads = np.array([[2.0, 5.0, 7.0], [10.0, 20.0, 3.0]])
    mask = volume > 0
    overlay_picture("x.png", volume, mask, voxel_size=20.0, title="keeps 33.5 %", beads=beads)
    (figure,) = figures
    above, beside = figure.axes
    assert above.get_xlabel() == "x (nm)"
    assert above.get_xlim() == (0, 60)
    assert beside.get_ylim() == (0, 32)
    assert figure.get_suptitle() == "keeps 33.5 %"
    (marks,) = (c for c in above.collections if len(c.get_offsets()) == 2)
    np.testing.assert_allclose(marks.get_offsets(), (beads[:, [2, 1]] + 0.5) * 2)
    (legend,) = figure.legends
    assert any("gold: 2 beads" in text.get_text() for text in legend.get_texts())


def test_pictures_do_not_depend_on_the_environment(tmp_path):
    code = (
        "import sys, numpy as np; from isonet2.reports.pictures import fsc_picture; "
        "fsc_picture(sys.argv[1], np.arange(9) / 90, {'all': np.linspace(1, 0, 9)})"
    )
    settings = tmp_path / "matplotlibrc"
    settings.write_text("text.usetex: True\nfigure.facecolor: red\nlines.linewidth: 9\n")
    usual = {k: v for k, v in os.environ.items() if not k.startswith(("MPL", "MATPLOTLIB"))}
    made = []
    for number, odd in enumerate(
        (
            {},
            {"MPLBACKEND": "module://nowhere"},
            {"MPLBACKEND": "x"},
            {"MATPLOTLIBRC": str(settings)},
        )
    ):
        path = tmp_path / f"{number}.png"
        words = [sys.executable, "-c", code, str(path)]
        done = subprocess.run(words, env=usual | odd, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        made.append(image.imread(path))
    assert all(np.array_equal(made[0], other) for other in made[1:])


@pytest.mark.parametrize(
    "draw",
    [
        lambda path, volume: compare_picture(path, {"a": volume}, 10.0),
        lambda path, volume: overlay_picture(path, volume, volume),
        lambda path, volume: fsc_picture(path, volume[0, 0], {"a": volume[0, 0]}),
        lambda path, volume: loss_picture(path, [{"epoch": 1, "loss": 1.0}]),
    ],
)
def test_a_picture_that_fails_is_a_warning(monkeypatch, caplog, tmp_path, draw):
    def fails(*_):
        raise RuntimeError("no font")

    monkeypatch.setattr(pictures, "save", fails)
    draw(tmp_path / "x.png", np.random.default_rng(1).normal(size=(8, 9, 10)))
    assert "x.png: the picture was not drawn: no font" in caplog.text


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
