"""A training run that takes seconds, for tests of what it writes."""

from isonet2.runs.each import SomeFailed

QUICK = {
    "arch": "unet-small",
    "cube_size": 32,
    "batch_size": 2,
    "with_preview": False,
    "ncpus": 1,
}
NAME = "network_isonet2-n2n_unet-small_32"


def status(command, parameters):
    """Exit status that the command line makes of a call."""
    try:
        command(parameters)
    except SomeFailed:
        return 2
    return 0
