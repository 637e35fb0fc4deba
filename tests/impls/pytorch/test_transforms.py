"""`torch.func`, forward-mode and second derivatives: the reference has them, the fast engine names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jvp, vmap

from impls.errors import CellError
from impls.pytorch import GRU, LSTM, SkipGRU, SkipLSTM

# PyTorch's own, the first time that a process differentiates in forward mode.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
LAYERS = (LSTM, GRU, SkipLSTM, SkipGRU)
X = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
EPSILON = 1e-6


def built(layer_class: Any, engine: str) -> Any:
    return layer_class(4, input_size=2, seed=1, dtype="float64", engine=engine)


def loss(layer: Any, x: Tensor) -> Tensor:
    return (layer(x)[0].h ** 2).sum()


def weights_of(layer: Any) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in layer.named_parameters()}


def forward_mode(layer: Any) -> Tensor:
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(loss(layer, forward_ad.make_dual(X, torch.ones_like(X)))).tangent
        return torch.zeros(()) if tangent is None else tangent


def forward_mode_of_weights(layer: Any) -> Tensor:
    weights = weights_of(layer)
    name = next(name for name in weights if name.endswith("weights"))
    return jvp(
        lambda value: (functional_call(layer, {name: value}, (X,))[0].h ** 2).sum(),
        (weights[name],),
        (torch.ones_like(weights[name]),),
    )[1]


def second(layer: Any) -> Tensor:
    x = X.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(layer, x), x, create_graph=True)
    return torch.autograd.grad(first.sum(), x)[0]


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda layer: grad(lambda x: loss(layer, x))(X),
    "grad of weights": lambda layer: grad(lambda weights: (functional_call(layer, weights, (X,))[0].h ** 2).sum())(
        weights_of(layer)
    ),
    "vmap": lambda layer: vmap(lambda x: layer(x[None])[0].h[0])(X),
    "jvp": lambda layer: jvp(lambda x: loss(layer, x), (X,), (torch.ones_like(X),))[1],
    "forward mode": forward_mode,
    "forward mode of weights": forward_mode_of_weights,
    "hessian": lambda layer: hessian(lambda x: loss(layer, x))(X[:1]),
    "second derivative": second,
}


@pytest.mark.parametrize("layer_class", LAYERS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_fast_engine_names_the_reference(transform: str, layer_class: Any) -> None:
    with pytest.raises(CellError, match="give the layer engine='reference'"):
        TRANSFORMS[transform](built(layer_class, "fast"))


def test_fast_engine_names_the_reference_where_draws_alone_are_mapped() -> None:
    with pytest.raises(CellError, match="give the layer engine='reference'"):
        vmap(lambda u: built(LSTM, "fast")(X, updates=u)[0].h)(torch.ones(2, *X.shape[:2], dtype=X.dtype))


@pytest.mark.parametrize("layer_class", LAYERS)
def test_reference_has_them_all(layer_class: Any) -> None:
    layer = built(layer_class, "reference")
    x = X.clone().requires_grad_()
    of_x, *of_weights = torch.autograd.grad(loss(layer, x), [x, *layer.parameters()])
    found = {name: transform(layer) for name, transform in TRANSFORMS.items()}

    def close(one: Any, other: Any, tolerance: float = 1e-10) -> None:
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)

    close(found["grad"], of_x)
    close(list(found["grad of weights"].values()), of_weights)
    close(found["vmap"], layer(X)[0].h.detach())
    for name in ("jvp", "forward mode"):
        close(found[name].detach(), of_x.sum())
    named = dict(zip(dict(layer.named_parameters()), of_weights, strict=True))
    close(
        found["forward mode of weights"].detach(),
        next(value for name, value in named.items() if name.endswith("weights")).sum(),
    )
    if layer_class in (LSTM, GRU):  # a gate is no function whose gradient has a slope
        gradients = [
            torch.autograd.grad(loss(layer, moved), moved)[0]
            for moved in ((X + side * EPSILON).requires_grad_() for side in (1, -1))
        ]
        close(found["second derivative"], (gradients[0] - gradients[1]) / (2 * EPSILON), tolerance=1e-7)
    close(found["hessian"].sum(dim=(3, 4, 5))[:1], found["second derivative"][:1], tolerance=1e-10)


@pytest.mark.parametrize("engine", ["reference"])
def test_gradients_by_sequence_add_up(engine: str) -> None:
    layer = built(SkipLSTM, engine)
    weights = weights_of(layer)
    by_sequence = vmap(
        grad(lambda weights, x: (functional_call(layer, weights, (x[None],))[0].h ** 2).sum()), in_dims=(None, 0)
    )(weights, X)
    for one, other in zip(by_sequence.values(), TRANSFORMS["grad of weights"](layer).values(), strict=True):
        torch.testing.assert_close(one.sum(dim=0), other, rtol=1e-10, atol=1e-12)


def test_values_are_checked_beneath_the_transforms() -> None:
    layer = built(LSTM, "reference")
    updates = torch.tensor([[1.0, 0, 1, 0, 1]] * 3, dtype=torch.float64)
    skipped = vmap(lambda x, u: layer(x[None], updates=u[None])[0].h[0])
    torch.testing.assert_close(skipped(X, updates), layer(X, updates=updates)[0].h, rtol=0, atol=1e-12)
    with pytest.raises(CellError, match="updates has values other than 0 and 1"):
        skipped(X, updates + 0.5)


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_many_gradients_in_one_call(engine: str) -> None:
    def all_rows() -> Tensor:
        return torch.autograd.functional.jacobian(lambda x: built(SkipGRU, engine)(x)[0].h, X, vectorize=True)

    if engine == "reference":
        assert all_rows().shape == (3, 5, 4, 3, 5, 2)
        return
    with pytest.raises(CellError, match="takes one gradient at a time"):
        all_rows()
