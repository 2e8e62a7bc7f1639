"""Folders of results and of jobs: the name of every file in them, and earlier runs set aside whole.

What `params.yaml` is called, `parameters/record.py` says, which writes it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from isonet2.data.files import locked, make_folder
from isonet2.errors import InputError

PROGRESS, PROGRESSES = "progress.json", "progress*.json"
"""What the run that began last tells of itself; this, and the same of others in the folder."""
JOB, CARD, STATE, BATCH = "job.json", "card.json", "state.json", "batch.json"
"""Of a job: what to run, what people write on it, where it stands, its number at a scheduler."""
CLAIM, CANCEL = "claimed", "cancel"
"""Of a job: who has taken it, and that somebody wants it to end."""
LOG, RUNNER_LOG, SCRIPT = "log.txt", "runner.txt", "script.sh"
"""Of a job: all that its command says; what its runner says; its batch script."""
TABLE, METHODS = "input_table.star", "methods.txt"
"""Of a job: the table as it was when the job began; a paragraph for the methods of a paper."""
HIDDEN = ".isonet"
"""Folder in a project that holds what belongs to no single job."""
EARLIER = "earlier_"
"""How the folders begin that earlier runs are set aside in."""
TRAINED = (
    "network_*.pt",
    "training_state.pt",
    "*_training_state.pt",
    "history.csv",
    "history_*.csv",
    "loss_*.png",
    "*_epoch[0-9]*.mrc",
    "*_epoch[0-9]*.png",
    "masks/*_epoch[0-9]*.mrc",
    "tensorboard",
)
"""What training leaves in a folder: see `NetworkFiles`."""
AVERAGES = "averaged_tomos"
"""Folder beside a new table for the means of halves."""
RESIZED = {
    "rlnTomoName": "full",
    "rlnMicrographName": "full",
    "rlnTomoReconstructedTomogram": "full",
    "rlnTomoReconstructedTomogramHalf1": "EVN",
    "rlnTomoReconstructedTomogramHalf2": "ODD",
    "rlnDeconvTomoName": "deconv",
    "rlnDenoisedTomoName": "denoised",
    "rlnCorrectedTomoName": "corrected",
    "rlnCorrectedTomoHalf1": "corrected_half1",
    "rlnCorrectedTomoHalf2": "corrected_half2",
    "rlnDenoisedTomoHalf1": "denoised_half1",
    "rlnDenoisedTomoHalf2": "denoised_half2",
    "rlnTomoReconstructedTomogramDenoised": "relion_denoised",
    "rlnGroundTruth": "truth",
    "rlnMaskName": "mask",
}
"""Columns of volumes, and the folders that `resize` puts their binned files into."""
WHOLE = "full"
"""The part of each tomogram that a network sees which is the only one of its run."""


@dataclass(frozen=True, slots=True)
class NetworkFiles:
    """Where a training run keeps one network, and all that is written beside it.

    Parameters
    ----------
    folder
        Of the run.
    method, arch, cube_size
        Of the network; of an architecture from a file, that file's stem.
    part
        Of the tomograms that the network sees: `full`, `top` or `bottom`.
    """

    folder: Path
    method: str
    arch: str
    cube_size: int
    part: str = WHOLE

    def _named(self, middle: str = "") -> Path:
        stem = f"network_{self.method}_{self.arch}_{self.cube_size}"
        return self.folder / f"{stem}{middle}_{self.part}.pt"

    @property
    def network(self) -> Path:
        """The network as it is after the last epoch."""
        return self._named()

    @property
    def best(self) -> Path:
        """The network that was best on the parts held out."""
        return self._named("_best")

    def of_epoch(self, epoch: int) -> Path:
        """A network that is kept for good."""
        return self._named(f"_epoch{epoch}")

    @property
    def state(self) -> Path:
        """What a stopped run goes on from."""
        name = "training_state.pt"
        return self.folder / (name if self.part == WHOLE else f"{self.part}_{name}")

    @property
    def history(self) -> Path:
        """A row for each epoch."""
        return self.folder / ("history.csv" if self.part == WHOLE else f"history_{self.part}.csv")

    @property
    def curve(self) -> Path:
        """Picture of the history."""
        return self.folder / f"loss_{self.part}.png"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.folder / "tensorboard" / self.part

    def preview(self, tomogram: str, epoch: int, ending: str) -> Path:
        """A tomogram restored after an epoch, or its picture: `mrc` or `png`."""
        part = "" if self.part == WHOLE else f"{self.part}_"
        return self.folder / f"{tomogram}_{part}epoch{epoch}.{ending}"

    def mask(self, tomogram: str, epoch: int) -> Path:
        """A tomogram's mask, made anew after an epoch."""
        return self.folder / "masks" / f"{tomogram}_{self.part}_epoch{epoch}.mrc"

    @property
    def _note(self) -> Path:
        return self.folder / f".unfinished_{self.part}"

    @contextmanager
    def noted(self, work: str) -> Iterator[None]:
        """Leave a note while a block runs; it stays only where the process is killed in it."""
        self._note.write_text(work, encoding="utf-8")
        try:
            yield
        finally:
            self._note.unlink(missing_ok=True)

    def cut_off(self) -> str | None:
        """The work that an earlier process was killed in, if it was, and forget it."""
        if not self._note.is_file():
            return None
        work = self._note.read_text(encoding="utf-8")
        self._note.unlink()
        return work


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a training run, which no other run uses meanwhile.

    Parameters
    ----------
    path
        Of the folder.
    """

    path: Path

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Make the folder and keep other runs out of it.

        A run that is refused before it has left anything there leaves no folder that it made.

        Raises
        ------
        InputError
            When another run uses it, or it cannot be written to.
        """
        fresh = [place for place in (self.path, *self.path.parents) if not place.exists()]
        make_folder(self.path)
        try:
            with locked(self.path / "run", timeout=1, name=self.path):
                yield
        except InputError:
            if fresh and {path.name for path in self.path.iterdir()} <= {PROGRESS}:
                (self.path / PROGRESS).unlink(missing_ok=True)
                with suppress(OSError):
                    for place in fresh:
                        place.rmdir()
            raise

    def set_aside(self, record: str) -> Path | None:
        """Move everything that an earlier training left into a folder of its own.

        Files that training does not make stay where they are.

        Parameters
        ----------
        record
            Name of the file that holds the parameters, which goes with the rest.

        Returns
        -------
        Path or None
            That folder; None where there was nothing.
        """
        left = [path for pattern in TRAINED for path in self.path.glob(pattern)]
        if not left:
            return None
        number = 1
        while (aside := self.path / f"{EARLIER}{number}").exists():
            number += 1
        for path in [*left, self.path / record]:
            if path.exists():
                goal = aside / path.relative_to(self.path)
                goal.parent.mkdir(parents=True, exist_ok=True)
                path.rename(goal)
        for note in self.path.glob(".unfinished_*"):
            note.unlink()
        return aside


def progress_of(command: str, pid: int, ticks: int) -> str:
    """Name of the progress of a run that still works where a later one has begun."""
    return f"progress.{command}.{pid:x}-{max(ticks, 0):x}.json"


def last_word_of(command: str) -> str:
    """Name of the progress of a command that has ended where another one has followed."""
    return f"progress.{command}.json"


def kept_state(folder: Path, attempt: int) -> Path:
    """Where an attempt at a job stood, once there is another."""
    return folder / f"state.{attempt}.json"


def attempts(folder: Path) -> int:
    """How many attempts at a job were there before."""
    return len(list(folder.glob("state.*.json")))


@dataclass(frozen=True, slots=True)
class PreviewFile:
    """What a network restored of a tomogram while it was learning.

    Attributes
    ----------
    name
        The tomogram, and the part of it where there are two networks.
    epoch
        After which.
    picture
        PNG file.
    volume
        The restored tomogram; None where it is gone.
    """

    name: str
    epoch: int
    picture: Path
    volume: Path | None


_PREVIEW = re.compile(r"(?P<name>.+)_epoch_?(?P<epoch>\d+)")
"""As we name pictures, and as the published program does."""
_VOLUMES = (".mrc", ".rec", ".tif", ".h5", ".zarr")


def previews(folder: Path) -> list[PreviewFile]:
    """Previews in a folder, by tomogram and epoch."""
    found = []
    for path in folder.glob("*_epoch*.png"):
        told = _PREVIEW.fullmatch(path.stem)
        if told is not None:
            volume = path.with_suffix(".mrc")
            there = volume if volume.exists() else None
            found.append(PreviewFile(told["name"], int(told["epoch"]), path, there))
    return sorted(found, key=lambda preview: (preview.name, preview.epoch))


def histories(folder: Path) -> list[Path]:
    """Histories of a run's networks."""
    return sorted([*folder.glob("history.csv"), *folder.glob("history_*.csv")])


def networks(folder: Path) -> list[Path]:
    """Trained networks in a folder: the last one first, then the best, then those of epochs."""

    def order(path: Path) -> tuple[int, float]:
        kind = 2 if "_epoch" in path.name else 1 if "_best_" in path.name else 0
        return kind, -path.stat().st_mtime

    return sorted(folder.glob("network_*.pt"), key=order)


def volumes(folder: Path) -> list[Path]:
    """Volumes that a command wrote into its folder, other than previews."""
    found = (path for path in folder.glob("*") if path.suffix in _VOLUMES)
    return sorted(path for path in found if "_epoch" not in path.stem and path.name[0] != ".")


def pictures(folder: Path) -> list[Path]:
    """Pictures that a command wrote beside its volumes, other than previews and curves."""
    seen = (path for path in sorted(folder.glob("*.png")) if "_epoch" not in path.stem)
    return [path for path in seen if not path.stem.startswith("loss")]


def reports(folder: Path) -> list[Path]:
    """Reports for people that a command wrote."""
    return sorted(folder.glob("*.html"))
