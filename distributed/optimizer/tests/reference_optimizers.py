"""What optimizers_against_pytorch.py compares with where torch.optim has nothing, written from the papers; and a repair."""
import contextlib

import math

import numpy as np
import torch


class Lamb(torch.optim.Optimizer):
    """You et al. 2020, arXiv 1904.00962v5, algorithm 2, phi(z) = z."""

    def __init__(self, parameters, lr, beta1=0.9, beta2=0.999, eps=1e-6, weight_decay=0.0, adapts_vectors=True):
        super().__init__(parameters, dict(lr=lr, beta1=beta1, beta2=beta2, eps=eps, decay=weight_decay, vectors=adapts_vectors))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for x in group["params"]:
                if x.grad is None:
                    continue
                state, g = self.state[x], x.grad
                if not state:
                    state.update(step=0, exp_avg=torch.zeros_like(x), exp_avg_sq=torch.zeros_like(x))
                state["step"] += 1
                m = state["exp_avg"].mul_(group["beta1"]).add_(g, alpha=1 - group["beta1"])
                v = state["exp_avg_sq"].mul_(group["beta2"]).add_(g * g, alpha=1 - group["beta2"])
                m_hat, v_hat = m / (1 - group["beta1"] ** state["step"]), v / (1 - group["beta2"] ** state["step"])
                update = m_hat / (v_hat.sqrt() + group["eps"]) + group["decay"] * x
                ratio = 1.0
                if group["vectors"] or x.ndim > 1:
                    norms = x.double().norm().item(), update.double().norm().item()
                    ratio = norms[0] / norms[1] if min(norms) > 0 else 1.0
                x.sub_(update, alpha=group["lr"] * ratio)


class Lars(torch.optim.Optimizer):
    """You, Gitman, Ginsburg 2017, arXiv 1708.03888, algorithm 1; the learning rate outside the momentum, as in torch.optim.SGD."""

    def __init__(self, parameters, lr, momentum=0.9, weight_decay=0.0, trust_coefficient=0.001, nesterov=False, adapts_vectors=True):
        super().__init__(parameters, dict(lr=lr, momentum=momentum, decay=weight_decay, trust=trust_coefficient,
                                          nesterov=nesterov, vectors=adapts_vectors))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is None:
                    continue
                weight, gradient = w.double().norm().item(), w.grad.double().norm().item()
                local = 1.0
                if (group["vectors"] or w.ndim > 1) and weight > 0 and gradient > 0:
                    local = group["trust"] * weight / (gradient + group["decay"] * weight)
                g = local * (w.grad + group["decay"] * w)
                state = self.state[w]
                if group["momentum"]:
                    first = "momentum" not in state
                    b = state["momentum"] = g.clone() if first else group["momentum"] * state["momentum"] + g
                    g = g + group["momentum"] * b if group["nesterov"] else b
                w.sub_(g, alpha=group["lr"])


class Muon:
    """torch.optim.Muon for matrices, also those of convolutions, and torch.optim.AdamW for the rest."""

    def __init__(self, parameters, lr, momentum=0.95, nesterov=True, weight_decay=0.0, original=False, adamw_factor=1.0,
                 beta1=0.9, beta2=0.999, eps=1e-8):
        self.matrices = {p: torch.nn.Parameter(p.detach().view(len(p), -1)) for p in parameters if p.ndim > 1}
        self.muon = torch.optim.Muon(self.matrices.values(), lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay,
                                     adjust_lr_fn="original" if original else "match_rms_adamw")
        self.adamw = torch.optim.AdamW([p for p in parameters if p.ndim <= 1], lr=lr * adamw_factor, betas=(beta1, beta2), eps=eps,
                                       weight_decay=weight_decay, foreach=False, fused=False)
        self.param_groups = self.muon.param_groups + self.adamw.param_groups

    def step(self):
        for parameter, matrix in self.matrices.items():
            matrix.grad = None if parameter.grad is None else parameter.grad.view(len(parameter), -1)
        self.muon.step()
        self.adamw.step()

    @property
    def state(self):
        flat = {parameter: {key: value.view(parameter.shape) for key, value in self.muon.state[matrix].items()}
                for parameter, matrix in self.matrices.items()}
        return {**flat, **self.adamw.state}


@contextlib.contextmanager
def no_bfloat16():
    """torch.optim.Muon computes in bfloat16; in here it keeps the type of the gradient."""
    before = torch.Tensor.bfloat16
    torch.Tensor.bfloat16 = torch.Tensor.clone
    try:
        yield
    finally:
        torch.Tensor.bfloat16 = before


@contextlib.contextmanager
def exact_square_root():
    """torch's square root on the CPU (MKL) is off by a unit in the last place now and then; in here it is rounded correctly."""
    before = torch.Tensor.sqrt
    torch.Tensor.sqrt = lambda tensor: torch.from_numpy(np.sqrt(tensor.detach().numpy()))
    try:
        yield
    finally:
        torch.Tensor.sqrt = before
