"""Run the benchmarks and print their ratios.

Each compares a way of ours with a baseline in this process on this machine; absolute times are for orientation only.
"""

import platform
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, jacrev, stack_module_state, vmap

from benchmarks.networks import NETWORKS
from benchmarks.plain_loop import simulate_plainly
from sharpdiv.empirical.curvature.per_sample import per_sample_sharpness
from sharpdiv.empirical.curvature.recording import evaluation_mode
from sharpdiv.empirical.curvature.sample_gradients import slow_norms
from sharpdiv.empirical.curvature.tangent_kernel import tangent_kernel
from sharpdiv.empirical.curvature.worst_case import worst_case_sharpness
from sharpdiv.empirical.data.splits import ImageData, TrainingImages
from sharpdiv.empirical.models import ResNet
from sharpdiv.empirical.optim.sam import SAM
from sharpdiv.empirical.optim.sharpbalance import sharpbalance_step
from sharpdiv.theory.filters import phi
from sharpdiv.theory.random_features.closed_forms import random_feature_tradeoff
from sharpdiv.theory.random_features.setting import RandomFeatureSetting
from sharpdiv.theory.setting import Setting
from sharpdiv.theory.simulation import Simulation, simulate
from sharpdiv.theory.spectra.marchenko_pastur import MarchenkoPastur
from sharpdiv.theory.spectra.narayana import alternating_phi
from sharpdiv.theory.theorems.sam import sam_tradeoff
from sharpdiv.theory.theorems.sharpbalance import sharpbalance_tradeoff


def best_of(repeats: int, function: Callable[[], object]) -> float:
    """Shortest wall time in seconds; the shortest is what the machine's other work disturbs least."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def report(name: str, ours: float, baseline: float, note: str) -> None:
    """Print one line."""
    print(f"{name:<44} {baseline / ours:7.1f} x   ours {ours:8.4f} s, baseline {baseline:8.3f} s   {note}", flush=True)


def simulation(name: str, rhos: np.ndarray, blocks: int) -> None:
    """The paper's simulations: some values of rho, 10 data draws, 100 initialisations."""
    setting = Setting()

    def vectorised() -> Simulation:
        return simulate(setting, rhos, blocks=blocks, draws=10, inits=100, seed=0)

    ours = best_of(5, vectorised)
    plain: dict[str, np.ndarray] = {}
    slow = best_of(
        1,
        lambda: plain.update(
            simulate_plainly(3000, 150, 3, 0.01, 0.1, 0.01, rhos.tolist(), 10, 100, seed=0, blocks=blocks)
        ),
    )
    report(f"simulation of {name} / plain loop", ours, slow, f"{rhos.size} rho x 10 draws x 100 initialisations")
    measured = vectorised()
    for quantity in ("diversity", "sharpness"):
        estimate, values = getattr(measured, quantity), plain[quantity]
        error = values.std(axis=1, ddof=1) / np.sqrt(10)
        gap = np.max(np.abs(estimate.mean - values.mean(axis=1)) / np.hypot(estimate.stderr, error))
        ratio = np.median(estimate.stderr / error)
        print(
            f"    {quantity}: standard error ours / loop {ratio:.2f}; largest difference {gap:.1f} joint standard errors"
        )


def closed_forms() -> None:
    """For 200 values of rho in one call: phi and both theorems' curves, against the alternating sums they need, one at a time.

    Settings of the paper's figures: k = 3 for SAM (Fig. 2), k = 5 and 10 blocks for SharpBalance. Ours include three exact limits
    of the sharpness, which the sums do not give.
    """
    rhos = np.linspace(0, 0.18, 200)

    def sums(ratio: float, *arguments: tuple[int, int]) -> Callable[[], object]:
        return lambda: [alternating_phi(i, j, ratio, 0.01, float(rho)) for rho in rhos for i, j in arguments]

    spectrum = MarchenkoPastur(20.0)
    ours = best_of(20, lambda: phi(6, 0, spectrum, 0.01, rhos))
    report(
        "phi, 200 rho / alternating sum",
        ours,
        best_of(1, sums(20.0, (6, 0))),
        "k = 3; the sum's terms are exact rationals",
    )
    ours = best_of(20, lambda: sam_tradeoff(Setting(), rhos))
    report("SAM's curve / alternating sums", ours, best_of(1, sums(20.0, (6, 0), (6, 2), (12, 4))), "k = 3")
    setting = Setting(steps=5)
    ours = best_of(20, lambda: sharpbalance_tradeoff(setting, rhos, blocks=10))
    slow = best_of(1, sums(2.0, *((i, j) for i in (5, 10) for j in range(3))))
    report("SharpBalance's curve / alternating sums", ours, slow, "k = 5, 10 blocks")


def random_features() -> None:
    """One point of the random-feature theory at n = 600, averaged over the data."""
    setting = RandomFeatureSetting()
    one = best_of(3, lambda: random_feature_tradeoff(setting, 0.1))
    many = best_of(3, lambda: random_feature_tradeoff(setting, np.linspace(0, 0.4, 200)))
    print(f"{'random-feature theory, n = 600':<44}             one rho {one:.3f} s, 200 rho {many:.3f} s")


def per_sample_scores() -> None:
    """Per-sample squared gradient norms of a ResNet-18 of width 16 against vmap over per-sample gradients."""
    torch.manual_seed(0)
    model = ResNet(width=16, blocks=(2, 2, 2, 2))
    inputs, targets = torch.randn(64, 3, 32, 32), torch.randint(10, (64,))
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(functional_call(model, weights, (x[None],)), y[None])

    def by_vmap() -> None:
        with evaluation_mode(model):
            gradients = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, inputs, targets)
        sum(g.flatten(1).square().sum(1) for g in gradients.values())

    ours = best_of(3, lambda: per_sample_sharpness(model, inputs, targets))
    report("per-sample sharpness / vmap", ours, best_of(2, by_vmap), "ResNet-18, width 16, batch 64")
    with evaluation_mode(model):
        slow = best_of(2, lambda: slow_norms(model, (inputs, targets), nn.functional.cross_entropy))
    report("the same / route of unknown layers", ours, slow, "one gradient for each sample")


def scores_of_any_network() -> None:
    """Per-sample squared gradient norms of networks of other kinds against the slow route, and as passes forward and backward."""
    for name, (make, inputs_of) in NETWORKS.items():
        torch.manual_seed(0)
        model, inputs, targets = make().eval(), inputs_of(32), torch.randint(10, (32,))
        weights = list(model.parameters())

        def passes() -> None:
            torch.autograd.grad(nn.functional.cross_entropy(model(inputs), targets), weights)  # noqa: B023

        per_sample_sharpness(model, inputs, targets)  # the first time it is tried against autograd
        ours = best_of(5, lambda: per_sample_sharpness(model, inputs, targets))  # noqa: B023
        slow = best_of(2, lambda: slow_norms(model, (inputs, targets), nn.functional.cross_entropy))  # noqa: B023
        plain = best_of(5, passes)
        report(f"{name} / slow route", ours, slow, "batch 32")
        print(f"    in passes forward and backward: fast route {ours / plain:.1f}, slow route {slow / plain:.1f}")


def kernels() -> None:
    """The tangent kernel of a small network by layer hooks against Jacobians of all weights by torch.func."""
    model = ResNet(width=8, blocks=(1, 1, 1), channels=1, norm="none")
    train, test = torch.randn(60, 1, 16, 16), torch.randn(120, 1, 16, 16)
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def by_jacobians() -> None:
        jacobian = vmap(jacrev(lambda w, x: functional_call(model, w, (x[None],))[0]), in_dims=(None, 0))
        rows = torch.cat([j.flatten(2) for j in jacobian(weights, torch.cat([train, test])).values()], dim=2).flatten(
            0, 1
        )
        rows @ rows[:600].T

    ours = best_of(3, lambda: tangent_kernel(model, train, test))
    report("tangent kernel / Jacobians", ours, best_of(3, by_jacobians), "width 8, 180 x 60 images, 10 classes")


def training_steps() -> None:
    """Steps of SGD, SharpBalance and SAM as training takes them; two passes on the SAM share f make (1 + f) the least possible."""
    torch.manual_seed(0)
    images = torch.randint(256, (1024, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(10, (1024,))
    half = torch.full((3,), 0.5)
    data = ImageData("random", images, labels, images[:0], labels[:0], images, labels, 10, half, half)
    source = TrainingImages(data, torch.device("cpu"), augment="crop-flip")
    draws, index = source.draw(torch.Generator().manual_seed(0)), torch.arange(128)
    model = ResNet(width=16, blocks=(1, 1, 1, 1))
    optimizer = SAM(model.parameters(), torch.optim.SGD, 0.1, lr=0.0, momentum=0.9)

    def step(share: float, dtype: torch.dtype | None) -> None:
        inputs = source.batch(index, draws)
        sharpbalance_step(model, optimizer, inputs, labels[:128], torch.arange(128) < 128 * share, autocast=dtype)

    def plain() -> None:
        inputs = data.normalize(images[:128])
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels[:128]).backward()
        optimizer.base.step()

    fp32 = best_of(10, plain)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stub lacks it
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    for dtype in (torch.float32, torch.bfloat16):
        autocast = dtype if dtype is torch.bfloat16 else None
        runs = [{f: best_of(1, partial(step, f, autocast)) for f in shares} for _ in range(15)]
        times = {f: min(run[f] for run in runs) for f in shares}
        if autocast:
            report(
                "SGD step, bf16 + channels-last / plain fp32",
                times[0.0],
                fp32,
                "one block a stage, width 16, batch 128",
            )
        for f in shares[1:]:
            name = f"step with SAM share {f:g} / SGD step, {str(dtype).removeprefix('torch.')}"
            print(f"{name:<52} {times[f] / times[0.0]:5.2f}     limit {1.1 * (1 + f):.2f}, passes alone {1 + f:g}")
    loading = best_of(20, lambda: source.batch(index, draws))
    print(f"{'crop, flip and normalize a batch / SGD step, bf16':<52} {loading / times[0.0]:5.3f}     limit 0.05")


def ascent() -> None:
    """Auto-PGD against its own forward and backward passes, and sharpness at 20 iterations needs 21 of them."""
    torch.manual_seed(0)
    model = ResNet(width=16, blocks=(1, 1, 1, 1)).eval()
    batch = (torch.randn(128, 3, 32, 32), torch.randint(10, (128,)))
    parameters = list(model.parameters())

    def passes() -> None:
        for _ in range(21):
            torch.autograd.grad(nn.functional.cross_entropy(model(batch[0]), batch[1]), parameters)

    runs = [(best_of(1, lambda: worst_case_sharpness(model, [batch])), best_of(1, passes)) for _ in range(4)]
    ours, bare = (min(run[i] for run in runs) for i in range(2))
    print(f"{'worst-case sharpness / its passes alone':<52} {ours / bare:5.2f}     limit 1.15")


def stacked_members() -> None:
    """A step of three members one after the other, against all at once by torch.func."""
    members = [ResNet(width=16, blocks=(1, 1, 1, 1)) for _ in range(3)]
    inputs, targets = torch.randn(3, 128, 3, 32, 32), torch.randint(10, (3, 128))
    weights, buffers = stack_module_state(members)

    def loss(w: dict[str, torch.Tensor], b: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(functional_call(members[0], (w, b), (x,)), y)

    def sequential() -> None:
        for model, x, y in zip(members, inputs, targets, strict=True):
            torch.autograd.grad(nn.functional.cross_entropy(model(x), y), list(model.parameters()))

    both = [
        (best_of(1, lambda: vmap(grad(loss))(weights, buffers, inputs, targets)), best_of(1, sequential))
        for _ in range(4)
    ]
    stacked, one_by_one = (min(run[i] for run in both) for i in range(2))
    report("gradients of three members, stacked / in turn", stacked, one_by_one, "fp32, batch 128 each")


if __name__ == "__main__":
    threads = torch.get_num_threads()
    print(f"{platform.machine()}, {threads} threads, numpy {np.__version__}, torch {torch.__version__}")
    simulation("Theorem 1", np.linspace(0.01, 0.18, 20), blocks=1)
    simulation("Theorem 2", np.linspace(0.4, 1.0, 20), blocks=10)
    closed_forms()
    random_features()
    per_sample_scores()
    scores_of_any_network()
    kernels()
    training_steps()
    ascent()
    stacked_members()
