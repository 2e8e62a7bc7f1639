"""Training commands in processes of their own."""

import subprocess
import sys


def command(*words, epochs=4):
    """A refine command line that runs on one thread."""
    return [
        "-m", "isonet2", "refine", "tomograms.star", "--arch", "unet-small", "--cube_size", "32",
        "--batch_size", "2", "--epochs", str(epochs), "--with_preview", "False",
        "--gpuID", "cpu", "--ncpus", "1", *words,
    ]  # fmt: skip


def execute(*words, folder):
    """Run Python with these arguments in a folder, to the end."""
    subprocess.run([sys.executable, *words], cwd=folder, check=True, timeout=300)
