"""SAM under the Trainer of Hugging Face against the plain loop: to the bit where sums are the same, else to rounding."""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.utils.data import SequentialSampler

from sharpdiv.empirical.adapters import transformers as adapter
from sharpdiv.empirical.adapters.transformers import SAMTrainer
from sharpdiv.empirical.errors import InputError
from sharpdiv.empirical.optim.sam import SAM
from tests.empirical.adapters.examples import run_example
from tests.empirical.networks import batch, mlp, state
from tests.laws import Mutation, law

hf: Any = pytest.importorskip("transformers", reason="the extra transformers is not installed")
pytest.importorskip("accelerate", reason="the extra transformers is not installed")

SIZE, BATCHES, EPOCHS = 4, 5, 2
Options = dict[str, Any]
Loss = Callable[[nn.Module, list[Options]], Tensor]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hf.utils.logging.disable_progress_bar()


def bert(dropout: float = 0.0) -> Any:
    """A language model of random weights; its loss is the sum over tokens by their number in all micro-batches."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    drop = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    config = hf.BertConfig(vocab_size=11, max_position_embeddings=8, is_decoder=True, **sizes, **drop)
    return hf.BertLMHeadModel(config).train()


def sentences() -> list[Options]:
    """Whose numbers of tokens that count differ."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(11, (SIZE * BATCHES, 6), generator=generator)
    counted = torch.rand(tokens.shape, generator=generator) < 0.6
    counted[:, 0] = False  # nothing predicts the first, but the Trainer would count it for this network
    return [{"input_ids": t, "labels": t.where(c, torch.tensor(-100))} for t, c in zip(tokens, counted, strict=True)]


class Norm(nn.Module):
    """The small network with its batch norm, whose loss is a micro-batch's mean."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(0)

    def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        outputs = self.net(inputs)
        return {"loss": nn.functional.cross_entropy(outputs, labels), "logits": outputs}


def points() -> list[Options]:
    return [{"inputs": x, "labels": y} for x, y in zip(*batch(3, SIZE * BATCHES), strict=True)]


class InOrder(SAMTrainer):
    """Takes samples in their order, in every version."""

    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


def trained(
    model: nn.Module, data: list[Options], *, rho: float = 0.5, options: Options | None = None, **settings: Any
) -> Any:
    """A trainer that has trained, on samples in their order."""
    trainer = trainer_of(model, data, rho=rho, options=options, **settings)
    trainer.train()
    return trainer


def trainer_of(
    model: nn.Module, data: list[Options], *, rho: float = 0.5, options: Options | None = None, **settings: Any
) -> Any:
    arguments = hf.TrainingArguments(
        **{
            "output_dir": "run",
            "use_cpu": True,
            "per_device_train_batch_size": SIZE,
            "num_train_epochs": EPOCHS,
            "learning_rate": 0.1,
            "optim": "sgd",
            "max_grad_norm": 0.0,
            "lr_scheduler_type": "constant",
            "save_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "logging_steps": 1,
            **settings,
        }
    )
    return InOrder(model, arguments, train_dataset=data, eval_dataset=data, rho=rho, **(options or {}))


def groups(data: list[Options], k: int) -> Iterator[list[Options]]:
    """Micro-batches of each step; those of an epoch's end are fewer."""
    batches = [
        {name: torch.stack([torch.as_tensor(row[name]) for row in data[i : i + SIZE]]) for name in data[0]}
        for i in range(0, len(data), SIZE)
    ]
    for _ in range(EPOCHS):
        yield from (batches[i : i + k] for i in range(0, BATCHES, k))


def by_token(model: nn.Module, micro: list[Options]) -> Iterator[Tensor]:
    """Losses of micro-batches, whose sum is the mean over all tokens of the step; each predicts the next."""
    following = [nn.functional.pad(one["labels"], (0, 1), value=-100)[:, 1:] for one in micro]
    count = sum((labels != -100).sum() for labels in following)
    for one, labels in zip(micro, following, strict=True):
        scores = model(input_ids=one["input_ids"]).logits.flatten(0, 1).float()
        yield nn.functional.cross_entropy(scores, labels.flatten(), reduction="sum") / count


def by_batch(model: Any, micro: list[Options]) -> Iterator[Tensor]:
    """Losses of micro-batches, whose sum is the mean of their means."""
    for one in micro:
        yield nn.functional.cross_entropy(model.net(one["inputs"]), one["labels"]) / len(micro)


def plain(
    optimizer: SAM,
    model: nn.Module,
    data: list[Options],
    k: int = 1,
    losses: Callable[..., Iterator[Tensor]] = by_token,
    after: Callable[[], object] = lambda: None,
    autocast: bool = False,
) -> list[Tensor]:
    """What a loop of one's own leaves."""
    for micro in groups(data, k):

        def closure(micro: list[Options] = micro) -> None:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
                for loss in losses(model, micro):
                    loss.backward()

        optimizer.step(closure)
        after()
    return state(model)


def parts(model: nn.Module, decay: float = 0.0) -> list[Options]:
    """Matrices, and what does not decay; the norm of all is summed in this order."""
    named = list(model.named_parameters())
    spared = [name for name, _ in named if name.endswith("bias") or "LayerNorm" in name or ".norm." in name]
    return [
        {"params": [p for name, p in named if name not in spared], "weight_decay": decay},
        {"params": [p for name, p in named if name in spared], "weight_decay": 0.0},
    ]


def sam(model: nn.Module, decay: float = 0.0, **options: Any) -> SAM:
    return SAM(
        parts(model, decay), **{"base_optimizer": torch.optim.SGD, "rho": 0.5, "lr": 0.1, "model": model, **options}
    )


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def close(first: list[Tensor], second: list[Tensor]) -> bool:
    """To rounding in float32: some 1e-7 a step, of ten at most, times what a step spreads it by."""
    return all(torch.allclose(a, b, rtol=0, atol=1e-5) for a, b in zip(first, second, strict=True))


@law(
    Mutation(
        "the last micro-batch alone again",
        "sharpdiv.empirical.adapters.transformers.SAMTrainer._second_passes",
        lambda f: lambda self, model: (self._batches.__delitem__(slice(-1)), f(self, model))[1],
    ),
    Mutation(
        "no second pass",
        "sharpdiv.empirical.adapters.transformers.SAMTrainer._second_passes",
        lambda _: lambda self, model: self._batches.clear(),
    ),
)
def test_a_step_is_that_of_the_whole_batch() -> None:
    """The referee takes all samples at once."""
    for k in (1, 2, 3):
        found = state(trained(bert(), sentences(), gradient_accumulation_steps=k).model)

        def whole(model: nn.Module, micro: list[Options]) -> Iterator[Tensor]:
            yield from by_token(model, [{name: torch.cat([one[name] for one in micro]) for name in micro[0]}])

        model = bert()
        assert close(found, plain(sam(model), model, sentences(), k, whole))


ASCENTS: dict[str, Options] = {
    "normalized": {},
    "adaptive": {"adaptive": True},
    "unnormalized": {"normalize": False},
    "rho 0": {"rho": 0.0},
}


@pytest.mark.parametrize("ascent", ASCENTS)
@pytest.mark.parametrize("k", [1, 2])
def test_equals_a_closure_over_micro_batches(k: int, ascent: str) -> None:
    options = {"rho": 0.5, **ASCENTS[ascent]}
    rho = options.pop("rho")
    found = trained(bert(), sentences(), rho=rho, options=options, gradient_accumulation_steps=k).model
    model = bert()
    assert same(state(found), plain(sam(model, rho=rho, **options), model, sentences(), k))


@law(
    Mutation(
        "norms advance twice",
        "sharpdiv.empirical.adapters.transformers.frozen_running_statistics",
        lambda _: lambda _: nullcontext(),
    )
)
def test_a_network_of_ones_own() -> None:
    """Whose loss the Trainer divides by the number of micro-batches; its batch norm advances once."""
    for k in (1, 2, 3):
        found = trained(Norm(), points(), gradient_accumulation_steps=k).model
        model = Norm()
        assert same(state(found), plain(sam(model), model, points(), k, by_batch))


@pytest.mark.parametrize("k", [1, 2])
def test_groups_schedule_and_clipping_are_the_trainers(k: int) -> None:
    """AdamW with its default options, decay of matrices alone, a linear schedule after a warm-up, clipping of the descent."""
    trainer = trained(
        bert(),
        sentences(),
        gradient_accumulation_steps=k,
        optim="adamw_torch",
        learning_rate=1e-3,
        weight_decay=0.1,
        max_grad_norm=0.1,
        lr_scheduler_type="linear",
        warmup_steps=2,
    )
    model = bert()
    optimizer = sam(model, 0.1, base_optimizer=torch.optim.AdamW, clip_norm=0.1, lr=1e-3)
    steps = -(-BATCHES // k) * EPOCHS
    schedule = lr_scheduler.LambdaLR(optimizer, lambda t: t / 2 if t < 2 else (steps - t) / (steps - 2))
    # The Trainer's norm is summed in another order.
    assert close(state(trainer.model), plain(optimizer, model, sentences(), k, after=schedule.step))


@pytest.mark.parametrize("k", [1, 2])
def test_bfloat16(k: int) -> None:
    found = state(trained(bert(), sentences(), gradient_accumulation_steps=k, bf16=True).model)
    model, whole = bert(), bert()
    rounded = plain(sam(model), model, sentences(), k, autocast=True)
    full = plain(sam(whole), whole, sentences(), k)
    assert not same(found, full)
    assert same(found, rounded)


@pytest.mark.parametrize("k", [1, 2])
def test_resumed_training_goes_on_to_the_same_bits(k: int) -> None:
    """With dropout: a checkpoint keeps the generators."""
    settings: Options = {
        "gradient_accumulation_steps": k,
        "optim": "adamw_torch",
        "learning_rate": 1e-3,
        "lr_scheduler_type": "linear",
        "save_strategy": "steps",
        "save_steps": 2,
    }
    expected = state(trained(bert(0.1), sentences(), **settings).model)
    assert Path("run", "checkpoint-4", "optimizer.pt").is_file()
    resumed = trainer_of(bert(0.1), sentences(), **settings)
    resumed.train(resume_from_checkpoint=os.path.join("run", "checkpoint-4"))  # noqa: PTH118 - a string is asked for
    assert same(state(resumed.model), expected)


def test_what_is_logged_is_of_the_first_pass() -> None:
    """At a learning rate of 0 all steps are at the same weights."""
    logs = []
    for rho in (0.5, 0.0):
        trainer = trained(Norm(), points(), rho=rho, learning_rate=0.0, eval_strategy="epoch", num_train_epochs=1)
        logs.append([{n: v for n, v in row.items() if n in {"loss", "eval_loss"}} for row in trainer.state.log_history])
    assert logs[0] == logs[1]
    assert any("eval_loss" in row for row in logs[0])


def test_a_base_optimizer_that_is_given() -> None:
    model, twin = bert(), bert()
    base = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trained(model, sentences(), options={"optimizers": (base, None)})
    optimizer = SAM(twin.parameters(), torch.optim.SGD, 0.5, lr=0.1, momentum=0.9)
    assert same(state(model), plain(optimizer, twin, sentences()))
    with pytest.raises(InputError, match="makes SAM itself"):
        trained(model, sentences(), options={"optimizers": (sam(model), None)})


def test_training_again_goes_on_with_the_same_optimizer() -> None:
    trainer, twin = trained(bert(), sentences(), gradient_accumulation_steps=2), bert()
    first = adapter._bare(trainer.optimizer)
    trainer.train()
    assert adapter._bare(trainer.optimizer) is first
    optimizer = sam(twin)
    plain(optimizer, twin, sentences(), 2)
    assert same(state(trainer.model), plain(optimizer, twin, sentences(), 2))


def test_other_trainers_of_the_library() -> None:
    class SAMSeq2SeqTrainer(InOrder, hf.Seq2SeqTrainer):
        pass

    arguments = hf.Seq2SeqTrainingArguments(
        "run",
        use_cpu=True,
        per_device_train_batch_size=SIZE,
        num_train_epochs=EPOCHS,
        learning_rate=0.1,
        optim="sgd",
        max_grad_norm=0.0,
        lr_scheduler_type="constant",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    model, twin = bert(), bert()
    SAMSeq2SeqTrainer(model, arguments, train_dataset=sentences(), rho=0.5).train()
    assert same(state(model), plain(sam(twin), twin, sentences()))


def test_what_scales_gradients_and_bad_options_are_refused() -> None:
    with pytest.raises(InputError, match="bf16=True") as error:
        trainer_of(bert(), sentences(), fp16=True)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="non-negative"):
        trainer_of(bert(), sentences(), rho=-0.1)


# On a machine without a GPU, by the Trainer's own default.
@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true but no accelerator is found")
def test_the_example() -> None:
    data = [{"input_ids": row["input_ids"], "labels": i % 2} for i, row in enumerate(sentences())]
    names = run_example(adapter, your_data=data)
    assert names["trainer"].state.global_step > 0
