"""The convolutional backbone against loops."""

import numpy as np
import torch

from skelrep.encoder.convolution import ConvolutionConfig, TemporalConvolution
from skelrep.encoder.modalities import modality
from skelrep.skeletons import SKELETONS

COMMON = SKELETONS["common-15"]


def naive_stream(stream: TemporalConvolution, person: np.ndarray, config: ConvolutionConfig) -> np.ndarray:
    """The feature of one person (T, V, 3), number by number."""
    weights = {name: value.double().numpy() for name, value in stream.state_dict().items()}

    def norm(x, name):
        scale = weights[f"{name}.weight"] / np.sqrt(weights[f"{name}.running_var"] + 1e-5)
        return (x - weights[f"{name}.running_mean"][:, None]) * scale[:, None] + weights[f"{name}.bias"][:, None]

    def convolve(x, weight, stride, depthwise=False):
        around = config.kernel // 2
        padded = np.pad(x, ((0, 0), (around, around)))
        out = np.zeros((len(weight), -(-x.shape[1] // stride)))
        for channel in range(len(weight)):
            for t in range(out.shape[1]):
                seen = padded[:, t * stride : t * stride + config.kernel]
                seen = seen[channel : channel + 1] if depthwise else seen
                out[channel, t] = (weight[channel, :, :, 0] * seen).sum()
        return out

    frames = len(person)
    x = np.array([person[:, v, c] for v in range(person.shape[1]) for c in range(3)], dtype=np.float64)
    entry = (
        weights["entry.weight"].reshape(config.width, config.kernel, -1, 1).swapaxes(1, 2)
    )  # a row is frame by frame
    x = convolve(norm(x, "norm"), entry, config.stride) + weights["entry.bias"][:, None]
    for block in range(config.blocks):
        name = f"blocks.{block}"
        y = norm(convolve(x, weights[f"{name}.time.weight"], 1, depthwise=True), f"{name}.time_norm")
        y = weights[f"{name}.expand.weight"] @ y + weights[f"{name}.expand.bias"][:, None]
        y = weights[f"{name}.reduce.weight"] @ np.maximum(y, 0)
        x = x + norm(y, f"{name}.norm")
    length = frames // config.stride
    feature = []
    for span in range(config.spans):
        middle = (span + 0.5) * length / config.spans
        reach = config.reach * length / config.spans
        share = np.array([max(0.0, 1 - abs(t + 0.5 - middle) / reach) for t in range(length)])
        feature.append((x * share).sum(axis=1) / share.sum())
    feature.append(config.std_weight * np.sqrt(x.var(axis=1) + 1e-6))
    return np.concatenate(feature)


def test_the_convolution_against_loops(tiny_encoder):
    config = tiny_encoder.config.backbone
    prepared = torch.randn(3, 2, 64, 15, 3)
    prepared[1, 1] = 0
    prepared[2, 0] = 0
    with torch.inference_mode():
        got = tiny_encoder(prepared)
    for name, stream in tiny_encoder.streams.items():
        view = modality(name, prepared, COMMON.parents).double().numpy()
        for clip, persons in enumerate([(0, 1), (0,), (1,)]):
            each = [naive_stream(stream, view[clip, person], config) for person in persons]
            np.testing.assert_allclose(got[name][clip], np.mean(each, axis=0), atol=1e-4)


def test_constant_input_has_no_standard_deviation_and_a_finite_gradient():
    torch.manual_seed(0)
    stream = TemporalConvolution(15, 64, ConvolutionConfig(width=8, kernel=1, blocks=2))
    still = torch.randn(4, 1, 1, 15, 3).expand(4, 1, 64, 15, 3)
    feature = stream(still)
    torch.testing.assert_close(feature[:, 24:], torch.full((4, 8), 2e-3), rtol=1e-3, atol=0)
    feature.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in stream.parameters() if parameter.grad is not None)


def test_blocks_start_as_the_identity():
    """So that an untrained encoder's features are averages of poses seen through one convolution."""
    torch.manual_seed(0)
    stream = TemporalConvolution(15, 64, ConvolutionConfig(width=8, blocks=2)).eval()
    x = torch.randn(2, 32, 8)
    torch.testing.assert_close(stream.blocks(x), x, rtol=0, atol=0)
