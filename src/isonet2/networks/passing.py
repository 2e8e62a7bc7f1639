"""A path that carries past a network what is known to be signal."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIRRORED = 4
"""Part of a volume's edge (1 over this) by which its mirror image is laid around it."""


class Passing(nn.Module):
    """A network beside a filter of its input, which is added to what the network says.

    The network begins at zero, and all with what the filter lets through: a Wiener filter,
    where the gains are those of one. So the low frequencies of noisy data are there from the
    first step on, and the network learns what is to be added to them and what to be taken away.

    Parameters
    ----------
    network
        With a last convolution named `final`, and `multiple`.
    shells
        Number of gains: at equal steps from frequency 0 to 0.5 cycles per voxel.
    """

    def __init__(self, network: nn.Module, shells: int) -> None:
        super().__init__()
        self.network = network
        self.multiple = network.multiple
        self.gains: Tensor
        self.register_buffer("gains", torch.zeros(shells))
        for parameter in network.get_submodule("final").parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, z, y, x) to the same shape; edges must be multiples of `self.multiple`."""
        y: Tensor = self.network(x)
        return y.float() + self.passed(x)

    def passed(self, x: Tensor) -> Tensor:
        """What the filter lets through of (b, 1, z, y, x); its mirror image lies around it."""
        margins = [n // MIRRORED for n in x.shape[2:]]
        pads = [margin for margin in reversed(margins) for _ in range(2)]
        wide = F.pad(x.float(), pads, mode="reflect")
        spectra = torch.fft.rfftn(wide, dim=(2, 3, 4)) * self._weight(wide)
        wide = torch.fft.irfftn(spectra, s=wide.shape[2:], dim=(2, 3, 4))
        z, y, x_ = (slice(m, m + n) for m, n in zip(margins, x.shape[2:], strict=True))
        return wide[:, :, z, y, x_]

    def _weight(self, x: Tensor) -> Tensor:
        """Gains of the frequencies of a half spectrum, drawn linearly between shells."""
        sizes = x.shape[2:]
        kz, ky = (torch.fft.fftfreq(n, device=x.device) for n in sizes[:2])
        kx = torch.fft.rfftfreq(sizes[2], device=x.device)
        squares = kz[:, None, None] ** 2 + ky[:, None] ** 2 + kx**2
        last = len(self.gains) - 1
        place = (squares.sqrt() * (2 * last)).clamp_max(last)
        below = place.long().clamp_max(last - 1)
        return torch.lerp(self.gains[below], self.gains[below + 1], place - below)
