"""Whether a run may go on from a saved state: what the two must have in common."""

import logging
from pathlib import Path
from typing import Any

from isonet2.errors import InputError, counted, few
from isonet2.machine.tensors import load_tensors
from isonet2.training.state import Training
from isonet2.training.tomogram import changes

log = logging.getLogger(__name__)

FREE_TO_CHANGE = {
    "resume", "gpuID", "ncpus", "output_dir", "with_predict", "with_preview", "prev_tomo_idx",
    "tensorboard", "learning_rate", "learning_rate_min", "mixed_precision", "epochs",
    "patience", "save_interval", "star_file",
}  # fmt: skip
"""Parameters that a resumed run need not share with the run that it continues; the table may be
named in another way, since its rows are compared."""


def shared(told: dict[str, Any]) -> dict[str, Any]:
    """What of a run's parameters a run that goes on from it must share."""
    return {name: value for name, value in told.items() if name not in FREE_TO_CHANGE}


def take_over(training: Training, state: Path, record: dict[str, Any]) -> bool:
    """Go on from a saved state, if there is one.

    Parameters
    ----------
    training
        Takes the state over.
    state
        `training_state.pt`.
    record
        What the runs must share; under `tomograms`, the identity of each tomogram by name.

    Returns
    -------
    bool
        Whether there was one.

    Raises
    ------
    InputError
        When the state is of another run; it names the parameter or the fact that differs.
    """
    if not state.is_file():
        log.warning("resume: there is no %s yet; starting from the beginning", state)
        return False
    saved = load_tensors(state, "start anew without --resume")
    earlier = saved["run"]
    changed = [
        name for name, value in record.items() if name != "tomograms" and earlier.get(name) != value
    ]
    if changed:
        raise InputError(
            f"resume: {', '.join(changed)} differ from the run in {state.parent} (it had "
            f"{', '.join(f'{name} {earlier.get(name)}' for name in changed)}); give the same "
            f"parameters, or start from its network with --pretrained_model"
        )
    found = changes(earlier["tomograms"], record["tomograms"])
    if found:
        raise InputError(
            f"resume: the table has changed since the run in {state.parent} began: "
            f"{few(found, 3)}; give the table as it was, or start from the run's network with "
            f"--pretrained_model"
        )
    training.load(saved)
    done = counted(training.epoch, "epoch"), counted(training.step, "step")
    log.info("going on after %s and %s", *done)
    return True
