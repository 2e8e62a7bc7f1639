"""What the labels in headers say of volumes: who made them, and what was done already."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isonet2.data.volumes import Volume, open_volume
from isonet2.errors import InputError

AVERAGE_LABEL = "mean of the even and the odd half"
DECONVOLVED_LABEL, RESTORED_LABEL = "CTF deconvolution", "restored, do not average"
"""What the labels of this program's results say."""
OF_TWO = "network 1 of 2", "network 2 of 2"
"""What the labels of two networks' results say besides."""
LETTERS = 80
"""Letters of a label in a header."""
Wedge = Literal["filled", "empty", "kept"]
_STATE = re.compile(r"IsoNet2 state: (.+); by ([0-9a-f]+); (.+)")


@dataclass(frozen=True, slots=True)
class Restoration:
    """What networks have made of a volume.

    Attributes
    ----------
    denoised
        Whether noise was taken away.
    wedge
        Whether the missing wedge holds what networks put there, nothing, or what they let through.
    ctf
        CTF mode of the networks.
    network
        First digits of the SHA-256 of their weights.
    version
        Of this program.
    """

    denoised: bool
    wedge: Wedge
    ctf: str
    network: str
    version: str

    @property
    def words(self) -> str:
        """Noise, wedge and CTF, in words."""
        noise = "denoised, " if self.denoised else ""
        return f"{noise}wedge {self.wedge}, CTF {self.ctf}"

    @property
    def label(self) -> str:
        """The line of a header that says all of it."""
        return f"IsoNet2 state: {self.words}; by {self.network}; {self.version}"[:LETTERS]


def restored_state(volume: Volume) -> str | None:
    """What networks have made of a volume, in words; None where no label says that they have."""
    for label in reversed(volume.header.labels):
        if said := _STATE.fullmatch(label):
            words, network, version = said.groups()
            return f"{words}, by network {network} of IsoNet2 {version}"
        if RESTORED_LABEL in label:
            return "by IsoNet2, whose label does not say how"
    return None


def is_labelled(path: Path, beginning: str) -> bool:
    """Whether a volume is there that has a label with this beginning."""
    try:
        return any(label.startswith(beginning) for label in open_volume(path).header.labels)
    except InputError:
        return False


def refuse_foreign(path: Path) -> None:
    """Raise InputError when a file that would be replaced is no result of this program."""
    if path.exists() and not is_labelled(path, "IsoNet2"):
        raise InputError(
            f"{path}: is there already, and no result of this program; choose another output_dir"
        )


def is_average(volume: Volume) -> bool:
    """Whether a volume is what `prepare_star --create_average` made of two halves."""
    return AVERAGE_LABEL in " ".join(volume.header.labels)
