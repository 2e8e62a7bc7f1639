"""Repair the missing wedge, the noise and the CTF of cryo-electron tomograms.

Every command and its parameters can be imported from here: `from isonet2 import refine,
RefineParameters`. They are loaded when they are asked for, so that `import isonet2` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isonet2.commands.check import check as check
    from isonet2.commands.deconv import deconv as deconv
    from isonet2.commands.denoise import denoise as denoise
    from isonet2.commands.fsc import fsc as fsc
    from isonet2.commands.inspect import inspect as inspect
    from isonet2.commands.json2star import json2star as json2star
    from isonet2.commands.make_mask import make_mask as make_mask
    from isonet2.commands.power_law import power_law as power_law
    from isonet2.commands.predict import predict as predict
    from isonet2.commands.prepare_star import prepare_star as prepare_star
    from isonet2.commands.psf import psf as psf
    from isonet2.commands.refine import refine as refine
    from isonet2.commands.resize import resize as resize
    from isonet2.commands.simulate import simulate as simulate
    from isonet2.commands.star2json import star2json as star2json
    from isonet2.commands.submit import submit as submit
    from isonet2.commands.validate import validate as validate
    from isonet2.errors import InputError as InputError
    from isonet2.model import Model as Model
    from isonet2.model import Optics as Optics
    from isonet2.model import train as train
    from isonet2.parameters import CheckParameters as CheckParameters
    from isonet2.parameters import DeconvParameters as DeconvParameters
    from isonet2.parameters import DenoiseParameters as DenoiseParameters
    from isonet2.parameters import FscParameters as FscParameters
    from isonet2.parameters import InspectParameters as InspectParameters
    from isonet2.parameters import JobsParameters as JobsParameters
    from isonet2.parameters import Json2StarParameters as Json2StarParameters
    from isonet2.parameters import MakeMaskParameters as MakeMaskParameters
    from isonet2.parameters import PowerLawParameters as PowerLawParameters
    from isonet2.parameters import PredictParameters as PredictParameters
    from isonet2.parameters import PrepareStarParameters as PrepareStarParameters
    from isonet2.parameters import PsfParameters as PsfParameters
    from isonet2.parameters import RefineParameters as RefineParameters
    from isonet2.parameters import ResizeParameters as ResizeParameters
    from isonet2.parameters import SimulateParameters as SimulateParameters
    from isonet2.parameters import Star2JsonParameters as Star2JsonParameters
    from isonet2.parameters import SubmitParameters as SubmitParameters
    from isonet2.parameters import ValidateParameters as ValidateParameters
    from isonet2.parameters import read_parameters as read_parameters
    from isonet2.parameters import write_parameters as write_parameters

    __version__: str

MODEL = ("Model", "Optics", "train")
"""What Python sees beside commands and their parameters."""


def __getattr__(name: str) -> Any:
    """Load a command, a parameter model or the version when it is first asked for."""
    parameters = import_module("isonet2.parameters")
    if name == "__version__":
        return parameters.package_version()
    if name == "InputError":
        return import_module("isonet2.errors").InputError
    if name in MODEL:
        return getattr(import_module("isonet2.model"), name)
    if name == "jobs":  # the room, whose `Jobs` does what the command of this name does
        return import_module("isonet2.jobs")
    if name in parameters.COMMANDS:
        return getattr(import_module(f"isonet2.commands.{name}"), name)
    if name in parameters.__all__:
        return getattr(parameters, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """All names that can be imported from here."""
    parameters = import_module("isonet2.parameters")
    return [*parameters.COMMANDS, *parameters.__all__, *MODEL, "InputError", "__version__"]
