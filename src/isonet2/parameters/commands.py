"""The commands by name, in the order in which one uses them."""

from isonet2.parameters.base import Parameters
from isonet2.parameters.inspection import InspectParameters, ValidateParameters
from isonet2.parameters.jobs import JobsParameters, SubmitParameters
from isonet2.parameters.preparation import PrepareStarParameters, SimulateParameters
from isonet2.parameters.processing import (
    DeconvParameters,
    MakeMaskParameters,
    PredictParameters,
)
from isonet2.parameters.tools import (
    CheckParameters,
    FscParameters,
    Json2StarParameters,
    PowerLawParameters,
    PsfParameters,
    ResizeParameters,
    Star2JsonParameters,
)
from isonet2.parameters.training import DenoiseParameters, RefineParameters

COMMANDS: dict[str, type[Parameters]] = {
    "prepare_star": PrepareStarParameters,
    "inspect": InspectParameters,
    "deconv": DeconvParameters,
    "make_mask": MakeMaskParameters,
    "denoise": DenoiseParameters,
    "refine": RefineParameters,
    "predict": PredictParameters,
    "validate": ValidateParameters,
    "simulate": SimulateParameters,
    "resize": ResizeParameters,
    "fsc": FscParameters,
    "psf": PsfParameters,
    "power_law": PowerLawParameters,
    "star2json": Star2JsonParameters,
    "json2star": Json2StarParameters,
    "check": CheckParameters,
    "submit": SubmitParameters,
    "jobs": JobsParameters,
}
