"""Train a network that fills the missing wedge and takes noise away."""

from collections.abc import Sequence
from pathlib import Path

from isonet2.commands.deconv import deconv
from isonet2.commands.make_mask import make_mask
from isonet2.commands.predict import predict_after
from isonet2.data.labels import is_average
from isonet2.data.star import Tomogram, TomogramTable
from isonet2.data.volumes import open_volume
from isonet2.errors import InputError
from isonet2.machine.started import started_rank
from isonet2.parameters import DeconvParameters, MakeMaskParameters, RefineParameters
from isonet2.runs.each import SomeFailed
from isonet2.runs.networks import train
from isonet2.runs.plan import recipe_of
from isonet2.training.objectives import METHODS


def refine(parameters: RefineParameters) -> list[Path]:
    """Train on the tomograms of a table.

    Returns
    -------
    list of Path
        The checkpoint that `predict` takes; two with `split_halves`.
    """
    table = TomogramTable.read(parameters.star_file).only(parameters.tomo_idx)
    method = choose_method(parameters, table.tomograms)
    if parameters.with_deconv:
        parameters = deconvolve_first(parameters)
        table = TomogramTable.read(parameters.star_file).only(parameters.tomo_idx)
    networks = train(parameters, METHODS[method], table, recipe_of(parameters))
    predict_after(parameters, networks)
    return networks


def choose_method(parameters: RefineParameters, tomograms: Sequence[Tomogram]) -> str:
    """The method asked for, or the one that the parameters and the table's columns point to.

    Parameters that only full tomograms have a use for point to isonet2. Averages that
    `prepare_star --create_average` made of the halves are no choice of their own.

    Raises
    ------
    InputError
        When the table lists neither halves nor full tomograms for every row, or both.
    """
    if parameters.method != "auto":
        return parameters.method
    halves = all(t.half1 is not None and t.half2 is not None for t in tomograms)
    full = all(t.full is not None or t.deconvolved is not None for t in tomograms)
    noisy = full and parameters.noise_level
    if parameters.input_column or parameters.with_deconv or noisy:
        return "isonet2"
    if not halves and not full:
        raise InputError(
            f"method auto: {parameters.star_file} lists neither the halves nor the full tomogram "
            f"of every row; fill in rlnTomoReconstructedTomogramHalf1 and ...Half2, or rlnTomoName"
        )
    own = next((t.full for t in tomograms if _is_own(t.full)), None)
    if halves and full and own is not None:
        raise InputError(
            f"method auto: {parameters.star_file} lists halves, and full tomograms that are not "
            f"their averages ({own}); say --method isonet2-n2n to train on the halves, or "
            f"--method isonet2 to train on the full tomograms"
        )
    return "isonet2-n2n" if halves else "isonet2"


def _is_own(full: Path | None) -> bool:
    """Whether a full tomogram is there and is not made of the halves."""
    return full is not None and full.exists() and not is_average(open_volume(full))


def deconvolve_first(parameters: RefineParameters) -> RefineParameters:
    """Run `deconv` and `make_mask`, and return parameters that train on what they made.

    Raises
    ------
    InputError
        When one of them failed, or several processes would run them at once.
    """
    made = {"input_column": "rlnDeconvTomoName", "with_mask": True}
    if started_rank() is not None:
        raise InputError(
            "with_deconv True: several processes would deconvolve at once; run isonet.py deconv "
            "and isonet.py make_mask first, then refine with --input_column rlnDeconvTomoName"
        )
    told = {"snrfalloff", "deconvstrength", "highpassnyquist"} & parameters.model_fields_set
    deconvolution = DeconvParameters(
        star_file=parameters.star_file,
        phaseflipped=parameters.isCTFflipped,
        **{name: getattr(parameters, name) for name in told},
        ncpus=parameters.ncpus,
        tomo_idx=parameters.tomo_idx,
    )
    masking = MakeMaskParameters(
        star_file=parameters.star_file, ncpus=parameters.ncpus, tomo_idx=parameters.tomo_idx
    )
    try:
        deconv(deconvolution)
        make_mask(masking)
    except SomeFailed as error:
        raise InputError(
            "with_deconv True: not every tomogram could be deconvolved and masked (see above); "
            "mend or remove those rows"
        ) from error
    return parameters.model_copy(update=made)
