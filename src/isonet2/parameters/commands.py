"""The commands by name, in the order in which one uses them."""

from isonet2.parameters.base import Parameters
from isonet2.parameters.preparation import PrepareStarParameters, SimulateParameters
from isonet2.parameters.processing import PredictParameters
from isonet2.parameters.training import RefineParameters

COMMANDS: dict[str, type[Parameters]] = {
    "prepare_star": PrepareStarParameters,
    "refine": RefineParameters,
    "predict": PredictParameters,
    "simulate": SimulateParameters,
}
