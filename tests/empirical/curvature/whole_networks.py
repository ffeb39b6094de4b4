"""Networks by the kind of their layers, and whole ones as users have them, built from torch's layers alone."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from sharpdiv.empirical.models import ResNet

__all__ = ["LAYERS", "NETWORKS"]

SAMPLES = 4


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Tensor:
        return self.function(x)


def headed(*layers: nn.Module, shape: tuple[int, ...]) -> Callable[[], tuple[nn.Module, Tensor]]:
    """Layers, a tanh and a linear head on inputs of a shape."""

    def make() -> tuple[nn.Module, Tensor]:
        inputs = torch.randn(SAMPLES, *shape, dtype=torch.float64)
        body = nn.Sequential(*layers).double()
        with torch.no_grad():
            size = body(inputs).flatten(1).shape[1]
        return nn.Sequential(body, nn.Flatten(), nn.Tanh(), nn.Linear(size, 3)), inputs

    return make


def tokens(*layers: nn.Module) -> Callable[[], tuple[nn.Module, Tensor]]:
    """The same on whole numbers."""

    def make() -> tuple[nn.Module, Tensor]:
        inputs = torch.randint(7, (SAMPLES, 5))
        return nn.Sequential(*layers, nn.Flatten(), nn.Tanh(), nn.LazyLinear(3)), inputs

    return make


class Attention(nn.Module):
    """Self-attention."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return found


class Free(nn.Module):
    """A class token and a position embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.position = nn.Parameter(torch.randn(1, 1, 4)), nn.Parameter(torch.randn(1, 6, 4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.position


class Scale(nn.Module):
    """One number."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


class TokensFirst(nn.Module):
    """A linear layer that is fed with tokens on its first axis, as many as samples."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x.transpose(0, 1)).transpose(0, 1)
        return found


class Turned(nn.Module):
    """A layer to which samples come in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x.flip(0)).flip(0)
        return found


class OneRow(nn.Module):
    """A layer that runs on one row for all samples."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + self.layer(torch.ones(1, 4, dtype=x.dtype))
        return found


class TiedAutoencoder(nn.Module):
    """A weight used in its layer and transposed beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(self.encoder(x), self.encoder.weight.T)


class OwnConvolution(nn.Conv2d):
    """Standardizes its weight where only ``_conv_forward`` knows."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002
        return super()._conv_forward(input, weight - weight.mean(), bias)


def patched() -> nn.Module:
    layer = nn.Linear(4, 4)
    vars(layer)["forward"] = lambda x: nn.functional.linear(x, layer.weight**2, layer.bias)
    return layer


def hooked() -> nn.Module:
    layer = nn.Linear(4, 4)
    layer.register_forward_hook(lambda _m, _i, output: output * 2)
    return layer


IMAGE, LINE, ROW = (2, 6, 6), (2, 8), (5, 4)
LAYERS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "linear": headed(nn.Linear(4, 5), shape=(4,)),
    "linear over positions": headed(nn.Linear(4, 5), shape=ROW),
    "bilinear with itself": headed(Apply(lambda x: x), nn.Linear(4, 4), shape=(4,)),
    "convolution": headed(nn.Conv2d(2, 3, 3, stride=2, padding=1), shape=IMAGE),
    "grouped convolution": headed(nn.Conv2d(2, 4, 3, groups=2), shape=IMAGE),
    "depthwise convolution": headed(nn.Conv2d(2, 2, 3, groups=2), shape=IMAGE),
    "same padding": headed(nn.Conv2d(2, 3, 3, padding="same"), shape=IMAGE),
    "reflect padding": headed(nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), shape=IMAGE),
    "circular padding": headed(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), shape=IMAGE),
    "convolution in one dimension": headed(nn.Conv1d(2, 3, 3), shape=LINE),
    "convolution in three dimensions": headed(nn.Conv3d(2, 2, 2), shape=(2, 3, 3, 3)),
    "transposed convolution": headed(nn.ConvTranspose2d(2, 3, 2), shape=IMAGE),
    "transposed in one dimension": headed(nn.ConvTranspose1d(2, 3, 2), shape=LINE),
    "batch norm of vectors": headed(nn.Linear(4, 5), nn.BatchNorm1d(5), shape=(4,)),
    "batch norm": headed(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), shape=IMAGE),
    "batch norm in three dimensions": headed(nn.BatchNorm3d(2), shape=(2, 3, 3, 3)),
    "group norm": headed(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), shape=IMAGE),
    "instance norm": headed(nn.InstanceNorm2d(2, affine=True), shape=IMAGE),
    "instance norm with statistics": headed(nn.InstanceNorm2d(2, affine=True, track_running_stats=True), shape=IMAGE),
    "layer norm": headed(nn.Linear(4, 5), nn.LayerNorm(5), shape=ROW),
    "layer norm of images": headed(nn.LayerNorm([2, 6, 6]), shape=IMAGE),
    "root mean square norm": headed(nn.Linear(4, 5), nn.RMSNorm(5), shape=ROW),
    "PReLU": headed(nn.Linear(4, 5), nn.PReLU(), shape=(4,)),
    "PReLU by channel": headed(nn.PReLU(2), shape=IMAGE),
    "embedding": tokens(nn.Embedding(7, 3)),
    "embedding with padding": tokens(nn.Embedding(7, 3, padding_idx=0)),
    "bag of embeddings": tokens(nn.EmbeddingBag(7, 3)),
    "LSTM": headed(nn.LSTM(4, 3, batch_first=True), Apply(lambda found: found[0]), shape=ROW),
    "LSTM both ways": headed(nn.LSTM(4, 2, bidirectional=True, batch_first=True), Apply(lambda f: f[0]), shape=ROW),
    "GRU": headed(nn.GRU(4, 3, num_layers=2, batch_first=True), Apply(lambda found: found[0]), shape=ROW),
    "recurrent": headed(nn.RNN(4, 3, batch_first=True), Apply(lambda found: found[0]), shape=ROW),
    "cell": headed(nn.GRUCell(4, 3), shape=(4,)),
    "attention": headed(Attention(), shape=ROW),
    "attention without bias": headed(Attention(bias=False), shape=ROW),
    "transformer layer": headed(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), shape=ROW),
    "transformer layer, norm first": headed(
        nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, norm_first=True, activation="gelu"), shape=ROW
    ),
    "free parameters": headed(Free(), shape=ROW),
    "one number": headed(Scale(), shape=(4,)),
    "weight norm": headed(nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)), shape=(4,)),
    "spectral norm": headed(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 5)), shape=(4,)),
    "orthogonal": headed(nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)), shape=(4,)),
    "tokens first": headed(TokensFirst(), shape=(SAMPLES, 4)),
    "samples turned round": headed(Turned(), shape=(4,)),
    "one row for all": headed(OneRow(), shape=(4,)),
    "tied autoencoder": headed(TiedAutoencoder(), shape=(4,)),
    "own convolution": headed(OwnConvolution(2, 3, 3), shape=IMAGE),
    "patched forward": headed(patched(), shape=(4,)),
    "hook that changes the output": headed(hooked(), shape=(4,)),
    "frozen first layer": headed(nn.Linear(4, 5).requires_grad_(requires_grad=False), nn.Linear(5, 4), shape=(4,)),
}


class Vit(nn.Module):
    """A vision transformer: patches, class token, position embedding, encoder layers; in the image of ViT-T/16, smaller."""

    def __init__(self, width: int = 12, depth: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.token, self.position = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.randn(1, 5, width) / 50)
        self.layers = nn.Sequential(
            *[
                nn.TransformerEncoderLayer(width, 3, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
                for _ in range(depth)
            ]
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.position
        found: Tensor = self.head(self.norm(self.layers(x))[:, 0])
        return found


class LinearVit(nn.Module):
    """The same of linear layers: attention by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.qkv, self.mix, self.head = nn.Linear(48, 6), nn.Linear(6, 18), nn.Linear(6, 6), nn.Linear(6, 3)
        self.norm = nn.LayerNorm(6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2))
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=2)
        found: Tensor = self.head((x + self.mix((q @ k.mT / 6**0.5).softmax(dim=2) @ v)).mean(dim=1))
        return found


class Encoder(nn.Module):
    """An ALBERT-style encoder: a factorized embedding, one layer used three times, outputs in an object."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.widen = nn.Embedding(11, 4), nn.Embedding(6, 4), nn.Linear(4, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True)
        self.pool, self.classify = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> SimpleNamespace:
        x = self.widen(self.words(ids) + self.places(torch.arange(ids.shape[1])))
        for _ in range(3):
            x = self.layer(x, src_key_padding_mask=mask == 0)
        return SimpleNamespace(logits=self.classify(torch.tanh(self.pool(x[:, 0]))))


class ConvNext(nn.Module):
    """A block with a depthwise convolution, layer norm over channels, and a scale for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, 6, 2, stride=2), nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.norm, self.up, self.down = nn.LayerNorm(6), nn.Linear(6, 12), nn.Linear(12, 6)
        self.gamma, self.head = nn.Parameter(torch.full((6,), 0.1)), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.down(nn.functional.gelu(self.up(self.norm(self.depthwise(x).permute(0, 2, 3, 1)))))
        found: Tensor = self.head((x + (self.gamma * y).permute(0, 3, 1, 2)).mean(dim=(2, 3)))
        return found


def mobile() -> nn.Module:
    """An inverted residual's layers: expand, depthwise, squeeze."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.Conv2d(8, 16, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        nn.Conv2d(16, 8, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


class Text(nn.Module):
    """Words, an LSTM and a head on its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.cells, self.head = nn.Embedding(11, 4), nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, ids: Tensor) -> Tensor:
        found: Tensor = self.head(self.cells(self.words(ids))[1][0][-1])
        return found


class Shared(nn.Module):
    """The same block three times, under two names."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
        self.blocks = nn.Sequential(*[block] * 3)
        self.backbone, self.head = block, nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.blocks(x))
        return found


class Mixer(nn.Module):
    """Linear layers over tokens and over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.channels, self.head = nn.Linear(5, 5), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(x.mT).mT
        found: Tensor = self.head((x + nn.functional.gelu(self.channels(x))).mean(dim=1))
        return found


def _images(make: Callable[[], nn.Module], size: int = 8) -> Callable[[], tuple[nn.Module, Any, Tensor]]:
    return lambda: (make(), torch.randn(SAMPLES, 3, size, size, dtype=torch.float64), torch.tensor([0, 2, 1, 2]))


def _rows(make: Callable[[], nn.Module], *shape: int) -> Callable[[], tuple[nn.Module, Any, Tensor]]:
    return lambda: (make(), torch.randn(SAMPLES, *shape, dtype=torch.float64), torch.tensor([0, 2, 1, 2]))


def _words(make: Callable[[], nn.Module]) -> Callable[[], tuple[nn.Module, Any, Tensor]]:
    return lambda: (make(), torch.randint(11, (SAMPLES, 6)), torch.tensor([0, 2, 1, 2]))


def _encoder() -> tuple[nn.Module, Any, Tensor]:
    mask = torch.ones(SAMPLES, 6, dtype=torch.int64)
    mask[1, 4:] = 0
    return Encoder(), {"ids": torch.randint(11, (SAMPLES, 6)), "mask": mask}, torch.tensor([0, 2, 1, 2])


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Any, Tensor]]] = {
    "resnet": _images(lambda: ResNet(width=3, blocks=(1, 1), channels=3, classes=3)),
    "vit": _images(Vit),
    "vit of linear layers": _images(LinearVit),
    "albert": _encoder,
    "convnext": _images(ConvNext),
    "mobilenet": _images(mobile),
    "lstm": _words(Text),
    "shared blocks": _rows(Shared, 8),
    "mixer": _rows(Mixer, 5, 4),
    "residual mlp with weight norm": _rows(
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)), nn.GELU(), nn.Linear(8, 3)), 8
    ),
    "one-dimensional convolutions": _rows(
        lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(24, 3)), 2, 8
    ),
    "recurrent of two layers": _rows(
        lambda: nn.Sequential(nn.GRU(4, 5, 2, batch_first=True), Apply(lambda found: found[0][:, -1]), nn.Linear(5, 3)),
        6,
        4,
    ),
}
