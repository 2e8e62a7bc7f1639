"""One tomogram after the other; one that fails does not stop the others."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from isonet2.data.star import Tomogram
from isonet2.errors import InputError

log = logging.getLogger(__name__)


def for_each(
    tomograms: Sequence[Tomogram],
    work: Callable[[Tomogram, str], None],
    done: str,
    folder: Path,
) -> int:
    """Do something with every tomogram, and say at the end how many it went well with.

    Parameters
    ----------
    tomograms
        All of them.
    work
        Takes a tomogram, and its name with its number among the others.
    done
        What was done, for messages: "deconvolved".
    folder
        Where the results lie.

    Returns
    -------
    int
        Exit status: 0 when all went well, else 2.
    """
    failed = []
    for number, tomogram in enumerate(tomograms, start=1):
        try:
            work(tomogram, f"{tomogram.name} ({number} of {len(tomograms)})")
        except InputError as error:
            log.error("%s: %s", tomogram.name, error)
            failed.append(tomogram.name)
        except Exception:
            log.exception("%s: could not be %s", tomogram.name, done)
            failed.append(tomogram.name)
    log.info("%d %s in %s", len(tomograms) - len(failed), done, folder)
    if failed:
        log.error("%d failed: %s", len(failed), ", ".join(failed))
    return 2 if failed else 0
