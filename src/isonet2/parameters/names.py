"""The names that a user may write for a parameter or a command, and the nearest to a wrong one."""

from collections.abc import Iterable
from difflib import get_close_matches

from isonet2.parameters.base import Parameters
from isonet2.parameters.words import fold, in_words

ALIASES: dict[str, dict[str, str]] = {
    "*": {
        "ncpu": "ncpus",
        "iterations": "epochs",
        "subtomo_size": "cube_size",
        "phaseflipped": "isCTFflipped",
        "isCTFflipped": "phaseflipped",
        "result_dir": "output_dir",
        "subtomo_star": "star_file",
        "preprocessing_ncpus": "ncpus",
    },
    "prepare_star": {"outputstar": "star_name", "rlnDefocus": "defocus", "folder_name": "full"},
    "deconv": {"deconvfolder": "output_dir"},
    "make_mask": {"maskfolder": "output_dir"},
    "resize": {"star_file": "volumes", "apix": "pixel_size", "out_folder": "output_dir"},
    "fsc": {"t1": "first", "t2": "second", "m": "mask"},
    "power_law": {"h1": "volume", "o": "output"},
    "json2star": {"star_name": "star_file"},
}
"""Other words for a parameter, by command; `*` holds for every command that has it."""

_TABLE = "is read from the table: {} of prepare_star, or the column {}, says it."
_NETWORK = "is part of the network here: --arch chooses one, or a YAML file that defines it."
_NOT_NEEDED = "is not needed: leave it out; {}."
_SAMPLING = {
    "number_subtomos": _TABLE.format("--number_subtomos", "rlnNumberSubtomo"),
    "select_subtomo_number": _TABLE.format("--number_subtomos", "rlnNumberSubtomo"),
    "steps_per_epoch": _TABLE.format("--number_subtomos", "rlnNumberSubtomo"),
    "data_dir": _NOT_NEEDED.format("sub-tomograms are drawn from the tomograms in every step"),
    "remove_intermediate": _NOT_NEEDED.format("there are no intermediate files"),
    "continue_from": "is --resume True here, which goes on in output_dir where the run stopped.",
    "noise_dir": _NOT_NEEDED.format("noise is made in every step, as noise_mode says"),
    **dict.fromkeys(
        ("convs_per_depth", "drop_out", "filter_base", "kernel", "pool", "unet_depth"), _NETWORK
    ),
    "batch_normalization": "is --normalization batch here.",
}
GONE: dict[str, dict[str, str]] = {
    "*": {
        "log_level": _NOT_NEEDED.format("everything that matters is said"),
        "normalize_percentile": _NOT_NEEDED.format("mean and deviation are used"),
        "use_deconv_tomo": "is --input_column here: rlnDeconvTomoName, or rlnTomoName.",
    },
    "refine": _SAMPLING,
    "denoise": _SAMPLING,
    "deconv": {
        "voltage": _TABLE.format("--voltage", "rlnVoltage"),
        "cs": _TABLE.format("--cs", "rlnSphericalAberration"),
    },
    "make_mask": {
        "mask_boundary": "is read from the table: write the IMOD model into rlnMaskBoundary.",
    },
    "predict": {
        "cube_size": "is that of the network's training; --chunk_size sets the size of tiles.",
        "crop_size": "is no parameter of its own: --padding_factor, or --chunk_size and "
        "--overlap_rate, say how tiles overlap.",
        "number_subtomos": _NOT_NEEDED.format("the whole tomogram is restored"),
    },
    "psf": {
        "output": "is a folder here: --output_dir FOLDER gets wedge.mrc and psf.mrc.",
        "between_tilts": _NOT_NEEDED.format("--tilt_file says which tilts were measured"),
        "w": _NOT_NEEDED.format("what lies between neighbouring tilts counts as measured"),
    },
    "power_law": {
        "low_res": _NOT_NEEDED.format("the whole spectrum is measured; --finest cuts its end"),
    },
}
"""What other versions' parameters are here, to stand after their names; `*` as above."""

GONE_COMMANDS = {
    "extract": "is not needed: refine draws sub-tomograms from the tomograms by itself.",
    "prepare_subtomo_star": "is not needed: refine takes the table of the tomograms.",
    "generate_command": "is not needed: prepare_star, refine and predict are the whole way.",
    "powerlaw_filtering": "is power_law here.",
    "simulate_noise_F": "is not needed: refine makes noise by itself, as noise_mode says.",
    "postprocessing": "is no command here: fsc compares two maps, power_law sharpens one.",
    "map_refine": "is no command here: it is for tomograms, with refine.",
}
"""What other versions' commands are here, to stand after their names."""


def spellings(model: type[Parameters]) -> dict[str, str]:
    """Every name that a parameter of `model` goes by, folded, and its true name."""
    aliases = {**ALIASES["*"], **ALIASES.get(model.command, {})}
    known = {fold(old): name for old, name in aliases.items() if name in model.model_fields}
    return known | {fold(name): name for name in model.model_fields}


def other_words(model: type[Parameters], name: str) -> list[str]:
    """The aliases of parameter `name`, as a user may write them."""
    known = spellings(model)
    tables = (ALIASES["*"], ALIASES.get(model.command, {}))
    return [
        old
        for table in tables
        for old, new in table.items()
        if new == name and known[fold(old)] == name and fold(old) != fold(name)
    ]


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name most like `word`, or None where none is like it."""
    folded = {fold(name): name for name in names}
    found = get_close_matches(fold(word), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def unknown(
    word: str, model: type[Parameters], others: Iterable[type[Parameters]], mark: str = "--"
) -> str:
    """Say that `model` has no parameter `word`, and which name may have been meant.

    Parameters
    ----------
    word
        What the user wrote.
    model
        The command that was to take it.
    others
        Commands that may have it.
    mark
        What stands before a name where the user wrote it.
    """
    known = spellings(model)
    for command in (model.command, "*"):
        for old, said in GONE.get(command, {}).items():
            if fold(old) == fold(word):
                return f"{model.command}: {mark}{word} {said}"
    sentence = f"{model.command} has no parameter {mark}{word}"
    if near := nearest(word, known):
        return f"{sentence}: did you mean {mark}{known[near]}?"
    owners = [other.command for other in others if fold(word) in spellings(other)]
    if owners:
        return f"{sentence}; {in_words(owners, 'and')} {'has' if len(owners) == 1 else 'have'} it."
    return f"{sentence}: isonet.py {model.command} --help lists them."
