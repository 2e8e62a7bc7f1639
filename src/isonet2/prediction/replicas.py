"""The same networks on several devices, applied to batches of cubes."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import torch
from torch import Tensor, nn

from isonet2.networks import channels_last, edge_multiple, folded
from isonet2.physics.fourier import apply_filter
from isonet2.physics.rotation import rotate_exact

OnDevices = Mapping[torch.device, tuple[Tensor | None, Tensor | None]]
"""Weights (z, y, x//2+1) of the networks' inputs and of their results, or None, by device."""


class Replicas:
    """The same networks on several devices, each cube batch going to a free one.

    Parameters
    ----------
    networks
        Copies of them are folded and work in evaluation mode.
    devices
        Where copies live.
    precision
        Type that convolutions run in.
    """

    def __init__(
        self, networks: Sequence[nn.Module], devices: Sequence[torch.device], precision: torch.dtype
    ) -> None:
        self.precision = precision
        self.multiple = math.lcm(*(edge_multiple(n) for n in networks))
        self.free: SimpleQueue[tuple[torch.device, list[nn.Module]]] = SimpleQueue()
        self.devices = list(devices)
        self.count = len(devices)
        self.networks = len(networks)
        for device in devices:
            mine = [channels_last(folded(n).to(device)) for n in networks]
            self.free.put((device, mine))

    def filters(self, weight: Tensor | None, kept: Tensor | None) -> OnDevices:
        """Filters of inputs and results where the networks are, copied there once."""
        return {
            device: (
                None if weight is None else weight.to(device),
                None if kept is None else kept.to(device),
            )
            for device in self.devices
        }

    def run(
        self, cubes: Tensor, filters: OnDevices, turns: list[Tensor], margin: int = 0
    ) -> Tensor:
        """Halves (b, h, z, y, x) restored, (b, networks, h, z, y, x).

        A `margin` on all sides of the halves is filtered with them, and then left out.

        Each network restores all halves; of two networks and two halves each restores its own,
        (b, 2, 1, z, y, x), so that the two results share neither training nor noise. `turns`
        holds rotations (h, 3, 3), one for each half; what the network makes of the turned
        halves is turned back and averaged.
        """
        device, networks = self.free.get()
        try:
            with (
                torch.inference_mode(),
                torch.autocast(
                    device.type, self.precision, enabled=self.precision != torch.float32
                ),
            ):
                weight, kept = filters[device]
                x = apply_filter(cubes.to(device), weight)
                inside = [slice(margin, n - margin) for n in x.shape[2:]]
                x = x[:, :, *inside]
                own = len(networks) == x.shape[1] == 2
                restored = []
                for place, network in enumerate(networks):
                    mine = slice(place, place + 1) if own else slice(None)
                    restored.append(_restore_halves(network, x[:, mine], [t[mine] for t in turns]))
                return apply_filter(torch.stack(restored, 1), kept).cpu()
        finally:
            self.free.put((device, networks))

    def __call__(
        self, cubes: Tensor, filters: OnDevices, turns: list[Tensor], margin: int = 0
    ) -> Tensor:
        """Share a batch among the devices."""
        if self.count == 1:
            return self.run(cubes, filters, turns, margin)
        with ThreadPoolExecutor(self.count) as pool:
            parts = pool.map(
                lambda part: self.run(part, filters, turns, margin), cubes.chunk(self.count)
            )
            return torch.cat(list(parts))


def _restore_halves(network: nn.Module, x: Tensor, turns: list[Tensor]) -> Tensor:
    """Restore halves (b, h, z, y, x), the mean over turns."""
    total = torch.zeros_like(x)
    for turn in turns:
        turned = _turn_halves(x, turn).flatten(0, 1)[:, None]
        turned = turned.contiguous(memory_format=torch.channels_last_3d)
        pieces = torch.split(turned, 1 if x.device.type == "cpu" else len(turned))
        y = torch.cat([network(piece).float() for piece in pieces]).view(x.shape)
        total += _turn_halves(y, turn.mT)
    return total / len(turns)


def _turn_halves(x: Tensor, turn: Tensor) -> Tensor:
    """Turn halves (b, h, z, y, x), each by its own rotation of (h, 3, 3)."""
    return torch.stack([rotate_exact(x[:, i], turn[i]) for i in range(x.shape[1])], 1)
