"""What a user can set, written down once: one frozen model for each command."""

from isonet2.parameters.base import Parameters
from isonet2.parameters.commands import COMMANDS
from isonet2.parameters.inspection import InspectParameters, ValidateParameters
from isonet2.parameters.jobs import JobsParameters, SubmitParameters
from isonet2.parameters.preparation import PrepareStarParameters, SimulateParameters
from isonet2.parameters.processing import DeconvParameters, MakeMaskParameters, PredictParameters
from isonet2.parameters.record import package_version, read_parameters, write_parameters
from isonet2.parameters.shared import ARCHITECTURES
from isonet2.parameters.tools import (
    CheckParameters,
    FscParameters,
    Json2StarParameters,
    PowerLawParameters,
    PsfParameters,
    ResizeParameters,
    Star2JsonParameters,
)
from isonet2.parameters.training import DenoiseParameters, RefineParameters, TrainingParameters

__all__ = [
    "ARCHITECTURES",
    "COMMANDS",
    "CheckParameters",
    "DeconvParameters",
    "DenoiseParameters",
    "FscParameters",
    "InspectParameters",
    "JobsParameters",
    "Json2StarParameters",
    "MakeMaskParameters",
    "Parameters",
    "PowerLawParameters",
    "PredictParameters",
    "PrepareStarParameters",
    "PsfParameters",
    "RefineParameters",
    "ResizeParameters",
    "SimulateParameters",
    "Star2JsonParameters",
    "SubmitParameters",
    "TrainingParameters",
    "ValidateParameters",
    "package_version",
    "read_parameters",
    "write_parameters",
]
