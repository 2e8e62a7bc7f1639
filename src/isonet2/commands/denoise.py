"""Train a network that takes noise away, on pairs of half tomograms."""

from pathlib import Path

from isonet2.commands.predict import predict_after
from isonet2.data.star import TomogramTable
from isonet2.errors import InputError, few
from isonet2.parameters import DenoiseParameters
from isonet2.runs.networks import train
from isonet2.runs.plan import recipe_of
from isonet2.training.objectives import METHODS


def denoise(parameters: DenoiseParameters) -> list[Path]:
    """Train on the halves that a table lists (noise2noise).

    Returns
    -------
    list of Path
        The checkpoint that `predict` takes; two with `split_halves`.

    Raises
    ------
    InputError
        When a tomogram has no halves.
    """
    table = TomogramTable.read(parameters.star_file).only(parameters.tomo_idx)
    lacking = [t.name for t in table.tomograms if t.half1 is None or t.half2 is None]
    if lacking:
        raise InputError(
            f"{parameters.star_file}: denoise learns from pairs of halves, and "
            f"{few(lacking)} has none in rlnTomoReconstructedTomogramHalf1 and ...Half2; "
            f"list them with isonet.py prepare_star --even and --odd, or train on full tomograms "
            f"with isonet.py refine --method isonet2"
        )
    networks = train(parameters, METHODS["n2n"], table, recipe_of(parameters))
    predict_after(parameters, networks)
    return networks
