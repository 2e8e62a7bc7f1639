"""Pictures of what deconv and make_mask would make while their parameters are chosen."""

import asyncio
import os
import time

import numpy as np
import pytest
from gui_app import named, until, visiting

from isonet2 import live
from isonet2.commands.deconv import deconv
from isonet2.commands.make_mask import make_mask
from isonet2.data.star import update
from isonet2.data.volumes import open_volume
from isonet2.gui.components import live_preview
from isonet2.gui.live import Painter
from isonet2.gui.project import Project
from isonet2.live import Live, binning_of, part_of, scaled
from isonet2.parameters import DeconvParameters, MakeMaskParameters
from isonet2.physics.masking import Boundary


def request(command, folder, **parameters):
    values = {"star_file": "tomograms.star", **parameters}
    return {
        "command": command, "parameters": values, "index": 1, "place": [24, 28, 32],
        "folder": str(folder),
    }  # fmt: skip


def test_a_small_tomogram_is_deconvolved_as_by_the_command(star, tmp_path):
    answer = Live().answer(request("deconv", tmp_path, snrfalloff=0.7))
    assert answer["region"] == [(0, 48), (0, 56), (0, 64)]
    deconv(DeconvParameters(star_file=star, snrfalloff=0.7))
    seen = open_volume(answer["second"]).read()
    made = open_volume("deconv/TS_01_deconv.mrc").read()
    assert np.corrcoef(seen.ravel(), made.ravel())[0, 1] > 0.99999
    assert open_volume(answer["second"]).voxel_size == (10.0, 10.0, 10.0)


def test_a_small_tomogram_is_masked_as_by_the_command(star, tmp_path):
    answer = Live().answer(request("make_mask", tmp_path, density_percentage=30, z_crop=0.1))
    given = {"density_percentage": 30, "z_crop": 0.1}
    make_mask(MakeMaskParameters(star_file=star, **given))
    seen = open_volume(answer["mask"]).read()
    made = open_volume("mask/TS_01_mask.mrc").read()
    assert (np.kron(seen, np.ones((2, 2, 2))) == made).all()
    assert answer["kept"] == pytest.approx(made.mean())


def test_of_a_large_tomogram_the_part_around_a_place_is_seen(star, tmp_path, monkeypatch):
    monkeypatch.setattr(live, "PART", (16, 32, 32))
    working = Live()
    asked = request("deconv", tmp_path)
    first = working.answer(asked)
    assert first["region"] == [(16, 32), (12, 44), (16, 48)]
    before = open_volume(first["first"]).read()
    moved = working.answer({**asked, "place": [0, 28, 60]})
    assert moved["region"] == [(0, 16), (12, 44), (32, 64)]
    assert not np.array_equal(open_volume(moved["first"]).read(), before)


def test_of_a_large_tomogram_a_coarser_mask_is_seen(star, tmp_path, monkeypatch):
    fine = Live().answer(request("make_mask", tmp_path, exclude_gold=False))
    voxels = np.kron(open_volume(fine["mask"]).read(), np.ones((2, 2, 2)))
    monkeypatch.setattr(live, "BINNED_VOXELS", 3000)
    coarse = Live().answer(request("make_mask", tmp_path, exclude_gold=False))
    assert coarse["binning"] == 4
    assert open_volume(coarse["mask"]).voxel_size == (40.0, 40.0, 40.0)
    rough = np.kron(open_volume(coarse["mask"]).read(), np.ones((4, 4, 4)))
    assert rough.shape == voxels.shape
    assert (rough == voxels).mean() > 0.8


@pytest.mark.parametrize(
    ("command", "given", "said"),
    [
        ("deconv", {"snrfalloff": -1}, "snrfalloff"),
        ("deconv", {"star_file": "absent.star"}, "absent.star"),
        ("make_mask", {"input_column": "rlnNothing"}, "rlnNothing"),
        ("make_mask", {"z_crop": 0.99}, "mask is empty"),
    ],
)
def test_what_is_wrong_is_said_and_the_next_request_is_answered(
    star, tmp_path, command, given, said
):
    working = Live()
    assert said in working.answer(request(command, tmp_path, **given))["problem"]
    assert "problem" not in working.answer(request(command, tmp_path))


def asked(command, **parameters):
    values = {"star_file": "tomograms.star", **parameters}
    if command == "prepare_star":
        values = {"full": ".", **parameters}
    return Live().answer({"command": command, "curves": True, "parameters": values, "index": 1})


def test_the_ctf_of_a_new_table_is_drawn_with_its_first_zero():
    optics = {"voltage": 300, "cs": 0, "ac": 0, "pixel_size": 5}
    told = asked("prepare_star", defocus=[30000, 500000 / 10], **optics)
    k = np.array(told["k"])
    lam = 12.2643 / np.sqrt(300e3 * (1 + 0.978466e-6 * 300e3))
    assert k[-1] == 0.1
    assert np.allclose(told["curves"]["ctf"], np.sin(np.pi * lam * 30000 * k**2), atol=2e-4)
    assert told["zero"] == pytest.approx(np.sqrt(lam * 30000), rel=1e-3)
    assert set(told["curves"]) == {"ctf"}
    assert asked("prepare_star", defocus=2000, **optics | {"pixel_size": 20})["zero"] is None
    assert "give defocus and pixel_size" in asked("prepare_star", defocus=30000)["problem"]
    assert "voltage = 3" in asked("prepare_star", voltage=3)["problem"]


def test_curves_show_what_the_parameters_make_of_a_ctf(star):
    drawn = {
        mode: asked("refine", CTF_mode=mode, clip_first_peak_mode=1, bfactor=300)["curves"]
        for mode in ("None", "phase_only", "network", "wiener")
    }
    plain = np.array(drawn["None"]["ctf"])
    assert {mode: set(curves) - {"ctf"} for mode, curves in drawn.items()} == {
        "None": set(),
        "phase_only": {"sign"},
        "network": {"sign", "transfer"},
        "wiener": {"sign", "wiener"},
    }
    assert (np.array(drawn["phase_only"]["sign"]) == np.where(plain < 0, -1, 1)).mean() > 0.99
    transfer = np.array(drawn["network"]["transfer"])
    assert transfer[:100].std() < 1e-6
    k = np.linspace(0, 0.05, len(plain))
    assert np.allclose(transfer[-200:], np.abs(plain * np.exp(-75 * k**2))[-200:], atol=2e-4)
    weight = np.array(asked("deconv", snrfalloff=0.5)["curves"]["wiener"])
    assert (weight[5:] * plain[5:] >= 0).all()
    assert asked("deconv", deconvstrength=-5)["curves"]["wiener"][500] == pytest.approx(0, abs=1e-3)
    update(star, 1, {"rlnDefocus": None})
    assert "rlnDefocus" in asked("refine")["problem"]
    assert "rlnDefocus" in asked("deconv")["problem"]


def test_the_page_draws_the_ctf_as_the_form_says_it(star, tmp_path, monkeypatch):
    working = Live()
    seen = []

    async def ask(self, request):
        seen.append(request)
        return working.answer(request)

    monkeypatch.setattr(Painter, "ask", ask)

    async def look():
        async with visiting(Project.at(tmp_path)) as user:
            await user.open("/refine")
            assert not seen
            named(user, "CTF_mode").set_value("network")
            panel(user, "CTF curve").set_value(True)
            await user.should_see("Defocus 30000 Å. The first zero lies at")
            chart = next(iter(user.find(marker="ctf").elements))
            assert len(chart.options["series"]) == 3
            named(user, "CTF_mode").set_value("None")
            await until(lambda: len(chart.options["series"]) == 1)
            named(user, "epochs").set_value("x")
            await user.should_see("epochs = x is not allowed")
            star.unlink()
            await user.open("/prepare")
            panel(user, "CTF curve").set_value(True)
            await user.should_see("give defocus and pixel_size")
            named(user, "defocus").set_value("3.9")
            named(user, "pixel_size").set_value("10")
            await user.should_see("did you mean 39000 angstrom")
            named(user, "defocus").set_value("39000")
            await user.should_see("Defocus 39000 Å.")
        async with visiting(Project.at(tmp_path), "reader") as user:
            await user.open("/refine")
            await user.should_not_see("CTF curve")

    asyncio.run(look())


def panel(user, title):
    found = user.find(live_preview.ui.expansion).elements
    return next(one for one in found if one.text == title)


def test_parts_lie_inside_and_have_the_place_in_the_middle_where_they_can():
    region = part_of((50, 1000, 1000), (25, 500, 0))
    assert [(one.start, one.stop) for one in region] == [(0, 50), (356, 644), (0, 288)]
    assert [one.stop for one in part_of((50, 300, 290), (49, 299, 289))] == [50, 300, 290]


def test_binning_grows_with_the_tomogram():
    assert binning_of((128, 256, 256)) == 2
    assert binning_of((512, 720, 720)) == 6


def test_a_boundary_keeps_its_place_on_coarser_voxels():
    square = np.array([[10.0, 20.0], [30.0, 40.0]])
    made = scaled(Boundary((square,), (8, 16)), 0.5)
    assert (made.polygons[0] == square / 2).all()
    assert made.z_range == (4, 8)


def test_the_painter_starts_works_and_ends(star, tmp_path):
    painter = Painter()

    async def work():
        folder = painter.folder()
        answer = await painter.ask(request("make_mask", folder))
        assert painter.owns(answer["mask"])
        assert not painter.owns(f"{answer['mask']}/../../../etc/passwd")
        assert not painter.owns(star)
        process = painter._process
        await painter.stop()
        assert process.returncode == 0
        root = painter.root
        await painter.close()
        assert not root.exists()

    asyncio.run(work())


def test_a_painter_that_died_is_said_and_another_is_started(star, tmp_path):
    painter = Painter()

    async def work():
        folder = painter.folder()
        await painter.ask(request("make_mask", folder))
        os.kill(painter._process.pid, 9)
        answer = await painter.ask(request("make_mask", folder))
        assert "ended with status -9" in answer["problem"]
        assert "mask" in await painter.ask(request("make_mask", folder))
        await painter.close()

    asyncio.run(work())


def test_what_is_overtaken_is_not_computed(star, tmp_path, monkeypatch):
    asked = []

    async def ask(self, request):
        asked.append(request["parameters"].get("density_percentage", 50))
        await asyncio.sleep(0.3)
        return {"problem": "not now"}

    monkeypatch.setattr(Painter, "ask", ask)

    async def look():
        async with visiting(Project.at(tmp_path)) as user:
            await user.open("/make_mask")
            panel(user, "Live preview").set_value(True)
            await asyncio.sleep(0.2)
            slider = next(
                one
                for one in user.find(live_preview.ui.slider).elements
                if "density" in one.props["aria-label"]
            )
            for value in range(40, 20, -1):
                slider.set_value(value)
                await asyncio.sleep(0.01)
            began = time.monotonic()
            while asked[-1] != 21 and time.monotonic() - began < 5:
                await asyncio.sleep(0.05)

    asyncio.run(look())
    assert asked[0] == 50
    assert asked[-1] == 21
    assert len(asked) <= 5


def test_who_may_only_look_starts_nothing(star, tmp_path):
    async def look(role):
        async with visiting(Project.at(tmp_path), role) as user:
            await user.open("/make_mask")
            await user.should_see("Create Mask")
            found = user.find(live_preview.ui.expansion).elements
            return any(one.text == "Live preview" for one in found)

    assert asyncio.run(look("writer"))
    assert not asyncio.run(look("reader"))
