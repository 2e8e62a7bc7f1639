"""A training run that takes seconds, for tests of what it writes."""

QUICK = {
    "arch": "unet-small",
    "cube_size": 32,
    "batch_size": 2,
    "with_preview": False,
    "ncpus": 1,
}
NAME = "network_isonet2-n2n_unet-small_32"
