"""What the labels in headers say of volumes: who made them, and what was done already."""

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isonet2.data.volumes import Volume, open_volume
from isonet2.errors import InputError

log = logging.getLogger(__name__)

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


def key_of(sources: Sequence[Path], *facts: object) -> str:
    """Letters that tell a result from those of other files, and of these made in another way.

    Parameters
    ----------
    sources
        Files that it is made of: their places, sizes and times of change count.
    facts
        All else that decides over its voxels, as their `repr` says it.

    Returns
    -------
    str
        16 hexadecimal digits, for its label.
    """
    states = [(str(path.resolve()), path.stat()) for path in sources]
    told = [(place, state.st_size, state.st_mtime_ns) for place, state in states]
    return hashlib.sha256(repr((told, facts)).encode()).hexdigest()[:16]


def is_there(name: str, labels: dict[Path, str]) -> bool:
    """Whether results are there already, by their labels; says so.

    Parameters
    ----------
    name
        Of the tomogram, for the message.
    labels
        What each result's label begins with, by its file.
    """
    if not all(is_labelled(path, label) for path, label in labels.items()):
        return False
    places = " and ".join(map(str, labels))
    log.info("%s: %s is there already (--overwrite True makes it anew)", name, places)
    return True


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
