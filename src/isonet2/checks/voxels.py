"""Whether the voxels of a volume are densities of a tomogram: wild, blank or clipped ones."""

from isonet2.checks.findings import Finding
from isonet2.data.volumes import Volume
from isonet2.data.voxels import Statistics

MOST_ZEROS = 0.5
CLIPPED = 0.01
"""Part of all voxels that have the smallest or the largest value, where a range was cut off."""
BLANK = 0.05
"""Part of an axis whose planes hold one value."""


def voxel_findings(volume: Volume, found: Statistics, name: str = "") -> list[Finding]:
    """Say what of a volume's voxels is no density, by its statistics."""
    findings = []
    if found.wildest is not None:
        z, y, x = found.wildest
        deviations = abs(found.wildest_value - found.mean) / found.std
        others = f" and {found.wild - 1} more" if found.wild > 1 else ""
        told = (
            f"{volume.path}: the voxel at z, y, x = {z}, {y}, {x}{others} is {deviations:.2g} "
            f"deviations from the mean ({found.wildest_value:g})"
        )
        remedy = "it counts for nothing here; remove hot pixels before the reconstruction"
        findings.append(Finding("wild voxels", "warning", told, remedy, name, None, found.wild))
    if found.zeros > MOST_ZEROS:
        told = (
            f"{volume.path}: {100 * found.zeros:.0f} % of its voxels are exactly 0, and count for "
            f"its mean, its deviation and the cubes that are drawn"
        )
        remedy = "trim it to the part that holds something"
        findings.append(Finding("zeros", "warning", told, remedy, name, None, found.zeros))
    elif found.at_ends > CLIPPED and found.zeros < found.at_ends:
        told = (
            f"{volume.path}: {100 * found.at_ends:.1f} % of its voxels have its smallest or its "
            f"largest value, {found.smallest:g} or {found.largest:g}"
        )
        remedy = "its range was cut off; write it with its whole range, best as float"
        findings.append(Finding("clipped", "warning", told, remedy, name, None, found.at_ends))
    for axis, edge, filled in zip("zyx", volume.shape, found.filled or (), strict=False):
        blank = edge - filled[1] + filled[0]
        if blank > BLANK * edge:
            told = (
                f"{volume.path}: {blank} of its {edge} planes along {axis} are blank (it is filled "
                f"from {filled[0]} to {filled[1] - 1})"
            )
            remedy = "trim it, or draw cubes inside a mask"
            findings.append(Finding("blank ends", "remark", told, remedy, name, None, blank))
    for axis, edge, holes in zip("zyx", volume.shape, found.holes, strict=True):
        if holes:
            told = f"{volume.path}: {holes} of its {edge} planes along {axis} are blank, inside it"
            remedy = "reconstruct it again, or trim it to one side of them"
            findings.append(Finding("blank inside", "warning", told, remedy, name, None, holes))
    return findings


def filled_findings(first: Statistics, second: Statistics, name: str = "") -> list[Finding]:
    """Say that one of two halves of one shape is blank where the other is not."""
    if first.filled is None or second.filled is None:
        return []
    for axis, one, two in zip("zyx", first.filled, second.filled, strict=True):
        apart = max(abs(one[0] - two[0]), abs(one[1] - two[1]))
        if apart > BLANK * max(one[1], two[1]):
            told = (
                f"the first half is filled from {one[0]} to {one[1] - 1} along {axis}, the second "
                f"from {two[0]} to {two[1] - 1}"
            )
            remedy = "reconstruct both in the same way"
            return [Finding("halves: filled", "warning", told, remedy, name, one, two)]
    return []
