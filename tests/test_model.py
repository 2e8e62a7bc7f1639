"""The door for Python: arrays, files and tables in, a network and arrays out."""

import numpy as np
import pytest
import torch

import isonet2
from isonet2.commands.predict import predict
from isonet2.data.star import TomogramTable, update
from isonet2.data.volumes import open_volume, volume_of_array
from isonet2.errors import InputError
from isonet2.networks import build_network
from isonet2.parameters import PredictParameters
from isonet2.physics.ctf import CtfTreatment
from isonet2.prediction.checkpoint import Checkpoint
from isonet2.prediction.usage import Usage

SHORT = {"arch": "unet-small", "cube_size": 32, "batch_size": 2, "epochs": 1, "gpuID": "cpu",
         "ncpus": 1}  # fmt: skip
OPTIONS = {"filters": 4, "levels": 2, "convolutions": 1}


class Scale(torch.nn.Module):
    """A network of one weight."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.weight * x


@pytest.fixture
def model_file(tmp_path):
    """A network that has learned nothing, of a method that fills the wedge from halves."""
    torch.manual_seed(0)
    network = build_network("unet-small", **OPTIONS)
    usage = Usage(32, CtfTreatment(mode="phase_only"), in_ball=True)
    Checkpoint(
        method="isonet2-n2n", reads_halves=True, fills_wedge=True, arch="unet-small", usage=usage,
        weights=network.state_dict(), network_options=OPTIONS,
    ).save(tmp_path / "network.pt")  # fmt: skip
    return tmp_path / "network.pt"


def test_arrays_and_files_are_restored_as_predict_restores_a_table(star, halves, model_file):
    given = {"star_file": star, "model": model_file, "mixed_precision": False, "gpuID": "cpu"}
    (done,) = predict(PredictParameters(**given))
    assert (done.index, done.path) == (1, TomogramTable.read(star).tomograms[0].corrected)
    wanted = open_volume(done.path).read()
    model = isonet2.Model.load(model_file)
    said = {"pixel_size": 10, "tilts": (-60, 60), "defocus": 30000, "gpuID": "cpu",
            "mixed_precision": False}  # fmt: skip
    arrays = tuple(open_volume(path).read() for path in halves[:2])
    for pair in (arrays, tuple(map(str, halves[:2])), (arrays[0], halves[1])):
        np.testing.assert_array_equal(model.restore(pair, **said), wanted)
    path = model.restore(halves[:2][0], output=star.parent / "one.mrc", **said)
    alone = open_volume(path)
    np.testing.assert_array_equal(alone.read(), model.restore(arrays[0], **said))
    assert alone.voxel_size == (10.0, 10.0, 10.0)


def test_what_is_not_said_is_asked_for(model_file, halves):
    model, array = isonet2.Model.load(model_file), np.zeros((40, 40, 40), np.float32)
    array[20] = 1
    with pytest.raises(InputError, match="defocus: a network of CTF_mode phase_only needs it"):
        model.restore(array, pixel_size=10)
    with pytest.raises(InputError, match="pixel_size: a network of CTF_mode phase_only needs it"):
        model.restore(array, defocus=30000)
    with pytest.raises(InputError, match="tilts 60 to -60: give the lowest and the highest"):
        model.restore(array, pixel_size=10, defocus=30000, tilts=(60, -60))
    with pytest.raises(InputError, match="has 2 axes; give a volume of three"):
        model.restore(array[0], pixel_size=10, defocus=30000)
    with pytest.raises(InputError, match="would replace the file that it is made from"):
        model.restore(halves[0], output=halves[0], defocus=30000)
    with pytest.raises(InputError, match="must be of one shape"):
        model.restore((array, array[:20]), pixel_size=10, defocus=30000)


def test_arrays_train_the_network_that_a_table_trains(star, halves, tmp_path):
    update(star, 1, {"rlnNumberSubtomo": 4})
    by_table = isonet2.train(star, output_dir=tmp_path / "t", seed=3, **SHORT)
    arrays = tuple(open_volume(path).read() for path in halves[:2])
    rows = []
    by_array = isonet2.train(
        [arrays], pixel_size=10, defocus=30000, number_subtomos=4, seed=3, on_epoch=rows.append,
        **SHORT,
    )  # fmt: skip
    first, second = by_table.network.state_dict(), by_array.network.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert [row["loss"] for row in rows] == [row["loss"] for row in by_array.history]
    assert by_array.history[0]["loss"] == by_table.history[0]["loss"]
    saved = by_array.save(tmp_path / "kept.pt")
    again = isonet2.Model.load(saved).network.state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert (tmp_path / "t" / "history.csv").is_file()


def test_own_network_loss_and_schedule_take_part(halves, tmp_path):
    def distance(prediction, target, region, shape, weight):
        return (prediction - target).abs().square().mean() / target.abs().square().mean()

    network = Scale()
    model = isonet2.train(
        [tuple(halves[:2])], method="n2n", network=network, loss=distance, number_subtomos=4,
        output_dir=tmp_path / "o", rate=lambda step, steps: 0.25 if step == 0 else 0.0,
        optimizer=lambda module, rate: torch.optim.SGD(module.parameters(), rate), ema=0.0,
        **SHORT | {"mixed_precision": False},
    )  # fmt: skip
    assert model.network is network
    learned = network.weight.item()
    assert 0 < learned < 1
    (path,) = (tmp_path / "o").glob("network_n2n_Scale_32_full.pt")
    with pytest.raises(InputError, match="its user's own Scale; load it from Python"):
        isonet2.Model.load(path)
    again = isonet2.Model.load(path, network=Scale())
    assert again.network.weight.item() == learned
    assert len(again.history) == 1
    array = open_volume(halves[0]).read()
    restored = again.restore(array, pixel_size=10, gpuID="cpu", mixed_precision=False)
    middle = array.mean() + learned * (array - array.mean())
    assert np.corrcoef(restored.ravel(), middle.ravel())[0, 1] > 0.9
    assert (tmp_path / "o" / "tomograms.star").is_file()


def test_lists_that_make_no_table_are_refused(halves):
    with pytest.raises(InputError, match="the list is empty"):
        isonet2.train([], **SHORT)
    with pytest.raises(InputError, match="give one kind"):
        isonet2.train([tuple(halves[:2]), halves[0]], **SHORT)
    with pytest.raises(InputError, match="defocus: 2 numbers for 1 tomograms"):
        isonet2.train([halves[0]], defocus=[1e4, 2e4], **SHORT)
    with pytest.raises(InputError, match="split_halves True: makes two networks"):
        isonet2.train([halves[0]], split_halves=True)
    with pytest.raises(InputError, match="epochs"):
        isonet2.train([halves[0]], **SHORT | {"epochs": 0})


def test_an_array_is_a_volume_that_is_not_copied():
    array = np.arange(24.0).reshape(2, 3, 4)
    volume = volume_of_array(array)
    assert volume.shape == (2, 3, 4)
    np.testing.assert_array_equal(volume.read((slice(1, 2), slice(None), slice(0, 2))),
                                  array[1:2, :, :2])  # fmt: skip
    assert np.shares_memory(volume.reader.read((slice(0, 2),) * 3), array)
    with pytest.raises(InputError, match="complex128 values"):
        volume_of_array(array * 1j)
