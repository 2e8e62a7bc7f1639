"""What the labels in headers say of volumes: who made them, and what was done already."""

from pathlib import Path

from isonet2.data.volumes import Volume, open_volume
from isonet2.errors import InputError

AVERAGE_LABEL = "mean of the even and the odd half"
DECONVOLVED_LABEL, RESTORED_LABEL = "CTF deconvolution", "restored, do not average"
"""What the labels of this program's results say."""
OF_TWO = "network 1 of 2", "network 2 of 2"
"""What the labels of two networks' results say besides."""


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
