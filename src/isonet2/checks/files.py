"""Whether a tomogram's files can be used: readable, of one grid, halves that belong together."""

from isonet2.checks.findings import Finding
from isonet2.checks.halves import halves_findings
from isonet2.checks.voxels import filled_findings, voxel_findings
from isonet2.data.pairing import TomogramFiles, open_files
from isonet2.data.volumes import Volume
from isonet2.data.voxels import Statistics, statistics
from isonet2.errors import InputError


def files_findings(source: TomogramFiles) -> tuple[list[Volume], list[Finding]]:
    """Open a tomogram's files, read them once, and see whether they can be used.

    Returns
    -------
    volumes : list of Volume
        Those that could be opened.
    findings : list of Finding
        Unreadable or empty volumes, unequal shapes or voxel sizes, voxels that are no densities,
        halves that do not belong together.
    """
    volumes, problems = open_files(source)
    said: list[Finding] = []
    read: list[Statistics] = []
    for volume in volumes:
        try:
            found = statistics(volume)
        except InputError as error:
            problems.append(str(error))
        else:
            read.append(found)
            said += voxel_findings(volume, found, source.name)
    said += [Finding("unusable", "refusal", text, tomogram=source.name) for text in problems]
    if not problems and source.half1 is not None and source.half2 is not None:
        spreads = read[0].std, read[1].std
        said += halves_findings(volumes[0], volumes[1], spreads, source.name)
        said += filled_findings(read[0], read[1], source.name)
    return volumes, said
