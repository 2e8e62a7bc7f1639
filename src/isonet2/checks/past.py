"""What was done to volumes already, and should not be done to them again, by their labels."""

from collections.abc import Sequence

from isonet2.checks.findings import Finding
from isonet2.data.labels import DECONVOLVED_LABEL, restored_state
from isonet2.data.volumes import Volume


def past_findings(volumes: Sequence[Volume], *, ctf: bool, name: str = "") -> list[Finding]:
    """Say that volumes were deconvolved or restored before.

    Parameters
    ----------
    volumes
        The tomogram, or its halves.
    ctf
        Whether its CTF is about to be undone.
    name
        Of the tomogram.
    """
    found = []
    for volume in volumes:
        said = " ".join(volume.header.labels)
        if ctf and DECONVOLVED_LABEL in said:
            told = (
                f"{volume.path} was deconvolved already, and its CTF is about to be undone once "
                f"more"
            )
            remedy = (
                "take the tomogram as reconstructed (--input_column rlnTomoName), or leave the CTF "
                "alone"
            )
            found.append(Finding("deconvolved before", "warning", told, remedy, name))
        state = restored_state(volume)
        if state is not None:
            told = f"{volume.path} was restored already ({state})"
            remedy = "give the tomogram as reconstructed"
            found.append(Finding("restored before", "warning", told, remedy, name))
    return found
