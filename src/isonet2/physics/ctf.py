"""The contrast transfer function, its Wiener weight, and where each CTF mode applies it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


def wavelength(voltage_kv: float) -> float:
    """Relativistic electron wavelength in angstrom for an acceleration voltage."""
    volts = voltage_kv * 1e3
    return 12.2643 / math.sqrt(volts * (1 + 0.978466e-6 * volts))


@dataclass(frozen=True, slots=True)
class ContrastTransfer:
    """The CTF of one tomogram.

    Parameters
    ----------
    defocus
        Angstrom, positive for underfocus.
    voltage
        kV.
    spherical_aberration
        mm.
    amplitude_contrast
        Fraction.
    phase_shift
        Of a phase plate, degrees.
    bfactor
        Square angstrom; the envelope is `exp(-B k^2 / 4)`.
    """

    defocus: float
    voltage: float = 300.0
    spherical_aberration: float = 2.7
    amplitude_contrast: float = 0.1
    phase_shift: float = 0.0
    bfactor: float = 0.0

    def phase(self, k: Tensor) -> Tensor:
        """Aberration phase chi in radians at frequencies `k` in cycles per angstrom."""
        lam = wavelength(self.voltage)
        cs = self.spherical_aberration * 1e7
        k2 = k * k
        shift = math.radians(self.phase_shift)
        return math.pi * lam * self.defocus * k2 - math.pi / 2 * cs * lam**3 * k2 * k2 + shift

    def curve(self, k: Tensor) -> Tensor:
        """CTF at frequencies `k` in cycles per angstrom; positive for bright protein at low k."""
        chi = self.phase(k)
        a = self.amplitude_contrast
        wave = math.sqrt(1 - a * a) * torch.sin(chi) + a * torch.cos(chi)
        return wave * torch.exp(-self.bfactor / 4 * k * k)

    def first_peak(self, highest: float) -> float:
        """Frequency (cycles per angstrom) of the first maximum, at most `highest`."""
        k = torch.linspace(0, highest, 4096, dtype=torch.float64)
        c = self.curve(k)
        falling = torch.nonzero(c[1:] < c[:-1])
        return float(k[int(falling[0])]) if len(falling) else highest

    def clipped(self, k: Tensor, mode: int, highest: float) -> Tensor:
        """CTF whose part below the first maximum is lifted, so that contrast stays natural.

        Parameters
        ----------
        k
            Frequencies, cycles per angstrom.
        mode
            0 as it is, 1 constant, 2 at least a falling sine, 3 at least a cosine.
        highest
            Nyquist frequency, cycles per angstrom; bounds the search for the maximum.
        """
        c = self.curve(k)
        peak = self.first_peak(highest)
        if mode == 0 or peak == 0.0:
            return c
        top = self.curve(torch.tensor(peak, dtype=k.dtype, device=k.device))
        floor = FIRST_PEAK_FLOORS[mode](k / peak) * top
        return torch.where(k < peak, torch.maximum(c, floor), c)


FIRST_PEAK_FLOORS: dict[int, Callable[[Tensor], Tensor]] = {
    1: torch.ones_like,
    2: lambda t: 1 - torch.sin(math.pi / 2 * t),
    3: lambda t: torch.cos(math.pi / 2 * t),
}


@dataclass(frozen=True, slots=True)
class WienerSettings:
    """How strongly the Wiener weight trusts the data at each frequency."""

    snrfalloff: float = 1.0
    deconvstrength: float = 1.0
    highpassnyquist: float = 0.02

    def signal_to_noise(self, k: Tensor, pixel_size: float) -> Tensor:
        """Assumed spectral SNR at frequencies `k` in cycles per angstrom."""
        nyquist = k * (2 * pixel_size)
        high = (
            torch.clamp(nyquist / self.highpassnyquist, max=1.0)
            if self.highpassnyquist
            else (torch.ones_like(nyquist))
        )
        highpass = 1 - torch.cos(math.pi * high)
        return (
            torch.exp(-100 * self.snrfalloff * nyquist / pixel_size)
            * 10**self.deconvstrength
            * highpass
        )


def wiener(ctf: Tensor, snr: Tensor) -> Tensor:
    """Wiener weight `C / (C^2 + 1/SNR)`; 0 where the SNR is 0."""
    return ctf * snr / (ctf * ctf * snr + 1)


@dataclass(frozen=True, slots=True)
class CtfSlots:
    """Where the CTF acts: filters on the network's way, as curves or as volumes, or None."""

    input: Tensor | None = None
    fill: Tensor | None = None
    prediction: Tensor | None = None
    target: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "CtfSlots":
        """The same slots with each filter changed."""
        return CtfSlots(*(None if f is None else change(f) for f in self.filters))

    @property
    def filters(self) -> tuple[Tensor | None, ...]:
        """All four, in the order of their declaration."""
        return self.input, self.fill, self.prediction, self.target


@dataclass(frozen=True, slots=True)
class CtfTreatment:
    """How the CTF of a data set is to be treated; `mode` is a name in `CTF_MODES`.

    `sign_scale` is that of the frequencies, up to Nyquist, at which the sign is taken: 1 where they
    are. The published program samples its curve for a cube of edge n at n points from 0 to
    `0.5 (n - 1) / n`, and lays the last of them at Nyquist: `(n - 1) / n`.
    """

    mode: str = "None"
    clip_first_peak_mode: int = 1
    phaseflipped: bool = False
    do_phaseflip_input: bool = True
    wiener: WienerSettings = WienerSettings(snrfalloff=0.0)
    sign_scale: float = 1.0

    @property
    def needs_ctf(self) -> bool:
        """Whether the mode makes any use of a CTF."""
        return CTF_MODES[self.mode].needs_ctf


@dataclass(frozen=True, slots=True)
class CtfCurves:
    """The three filters of a tomogram that a CTF mode chooses from, (m,) each."""

    sign: Tensor | None
    transfer: Tensor
    wiener: Tensor


@dataclass(frozen=True, slots=True)
class CtfMode:
    """A way of treating the CTF.

    Parameters
    ----------
    slots
        Which filter goes where.
    models_image
        Whether the network's result is compared through the whole transfer function, envelope
        and lifted first peak included.
    needs_ctf
        Whether any slot is filled.
    """

    slots: Callable[[CtfCurves], CtfSlots]
    models_image: bool = False
    needs_ctf: bool = True


CTF_MODES: dict[str, CtfMode] = {
    "None": CtfMode(lambda c: CtfSlots(), needs_ctf=False),
    "phase_only": CtfMode(lambda c: CtfSlots(input=c.sign)),
    "network": CtfMode(
        lambda c: CtfSlots(input=c.sign, fill=c.transfer, prediction=c.transfer), models_image=True
    ),
    "wiener": CtfMode(lambda c: CtfSlots(input=c.sign, fill=c.transfer, target=c.wiener)),
}


def ctf_curves(
    ctf: ContrastTransfer, treatment: CtfTreatment, k: Tensor, pixel_size: float
) -> CtfSlots:
    """Filters of one tomogram for one CTF mode, as curves over the frequency.

    Parameters
    ----------
    ctf
        The microscope's transfer function.
    treatment
        Mode and its settings.
    k
        Frequencies (m,) in cycles per angstrom.
    pixel_size
        Angstrom.

    Returns
    -------
    CtfSlots
        float32 filters (m,), or None where the mode leaves a slot empty.

    Notes
    -----
    The data hold the sign of the CTF unless they were phase-flipped or are flipped at the
    input; only then the absolute values serve in the other slots. The envelope belongs to modes
    that model the image and enters once; `clip_first_peak_mode` likewise.
    """
    mode = CTF_MODES[treatment.mode]
    optics = ctf if mode.models_image else replace(ctf, bfactor=0.0)
    clip = treatment.clip_first_peak_mode if mode.models_image else 0
    plain = optics.curve(k)
    transfer = optics.clipped(k, clip, 0.5 / pixel_size)
    weight = wiener(plain, treatment.wiener.signal_to_noise(k, pixel_size))
    flip = treatment.do_phaseflip_input and not treatment.phaseflipped
    if flip or treatment.phaseflipped:
        transfer, weight = transfer.abs(), weight.abs()
    if treatment.sign_scale != 1:
        plain = optics.curve(k.clamp_max(0.5 / pixel_size) * treatment.sign_scale)
    sign = torch.where(plain < 0, -1.0, 1.0) if flip else None
    return mode.slots(CtfCurves(sign, transfer, weight)).map(Tensor.float)
