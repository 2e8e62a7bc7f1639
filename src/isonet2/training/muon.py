"""Muon: an optimiser whose steps are orthogonal matrices, for the weights that are matrices."""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
ITERATIONS = 5
QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the iteration: small singular values rise quickly, to between 0.7 and 1.2."""
ADAM_STEP = 0.2
"""Root mean square of AdamW's usual step over its rate, so that one rate suits both."""


def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices with the same singular vectors and singular values near 1.

    Parameters
    ----------
    matrices
        (..., m, n)

    Returns
    -------
    Tensor
        (..., m, n)

    Notes
    -----
    Newton-Schulz iteration `X <- (a + b X X' + c (X X')^2) X` (Jordan et al. 2024, Muon). All
    iterates are polynomials in the first `X X'` times `X`, so only the small Gram matrix is
    iterated, and the large matrix is multiplied twice in all.
    """
    if matrices.shape[-2] > matrices.shape[-1]:
        return orthogonalized(matrices.mT).mT
    x = matrices / (torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    gram = x @ x.mT
    one = torch.eye(gram.shape[-1], dtype=x.dtype, device=x.device)
    product = one
    for _ in range(ITERATIONS):
        present = product @ gram @ product
        product = (a * one + b * present + c * present @ present) @ product
    return product @ x


class Muon(torch.optim.AdamW):
    """Orthogonal steps for the matrices of a network, AdamW for all its other parameters.

    The weight of a linear layer or convolution is the matrix from its inputs (and the kernel's
    places) to its outputs. A step of AdamW follows the few directions in which gradients are
    large; an orthogonal step goes equally far in all of them, and so learns rare features far
    sooner. Layers with a single input or output channel, biases and norms are AdamW's.

    Parameters
    ----------
    network
        Whose parameters learn.
    lr
        Rate; the length of a step is that of AdamW with the same rate.

    Notes
    -----
    Jordan et al. (2024), "Muon"; length of the steps from Liu et al. (2025), "Muon is scalable
    for LLM training".
    """

    def __init__(self, network: nn.Module, lr: float) -> None:
        matrices = [weight for layer in network.modules() if (weight := _matrix(layer)) is not None]
        known = {id(weight) for weight in matrices}
        others = [p for p in network.parameters() if id(p) not in known]
        groups = [{"params": matrices, "muon": True}, {"params": others, "muon": False}]
        super().__init__([group for group in groups if group["params"]], lr)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters once, by the gradients that a closure makes, if there is one."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        groups = self.param_groups
        for group in groups:
            if group["muon"]:
                self._turn(group)
        self.param_groups = [group for group in groups if not group["muon"]]
        try:
            super().step()
        finally:
            self.param_groups = groups
        return loss

    def _turn(self, group: dict[str, Any]) -> None:
        """Orthogonal steps; weights of one shape together."""
        weights = [p for p in group["params"] if p.grad is not None]
        weights.sort(key=lambda p: p.shape)
        for shape, same in itertools.groupby(weights, key=lambda p: p.shape):
            together = list(same)
            steps = orthogonalized(torch.stack([self._direction(p) for p in together]).flatten(2))
            length = ADAM_STEP * max(steps.shape[-2:]) ** 0.5
            for weight, step in zip(together, steps, strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(step.view(shape), alpha=-group["lr"] * length)

    def _direction(self, weight: Tensor) -> Tensor:
        """Nesterov's momentum; the state has the names that AdamW gives to its own."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state |= {"step": torch.tensor(0.0), "exp_avg": torch.zeros_like(weight)}
        state["step"] += 1
        state["exp_avg"].lerp_(weight.grad, 1 - MOMENTUM)
        return weight.grad.lerp(state["exp_avg"], MOMENTUM)


def _matrix(layer: nn.Module) -> Tensor | None:
    """The weight of a layer that mixes several inputs into several outputs."""
    if not isinstance(layer, nn.Linear | nn.Conv3d | nn.ConvTranspose3d):
        return None
    return layer.weight if min(layer.weight.shape[:2]) > 1 else None
