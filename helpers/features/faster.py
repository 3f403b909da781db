"""Run a network in less time, without changing its vectors."""

import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

WORTH_IT = 1.1  # fewer bits must make it this many times as fast, so that noise does not decide
LEAST_AGREEMENT = 0.999  # cosine between a vector and the same picture's vector in float32

Network = Callable[[Any], Any]  # a tensor of pictures (n, 3, height, width) -> a tensor of features (n, dim)


def import_torch() -> ModuleType:
    """Import PyTorch so that its threads sleep while they wait; the kit imports it here and nowhere else.

    They wait for each other after every layer, by default in a busy loop, which starves whatever else runs (measured
    with one other busy process on two cores: 3 to 7 pictures a second, 25 to 43 when they sleep). The setting is read
    once, when PyTorch is loaded; one that you have made yourself is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    return torch


def fold(model: Any) -> Any:
    """Rewrite a trained EfficientNet-Lite, in place, so that it computes the same with less work.

    Batch normalisation with known statistics is a factor and a term for each channel: both go into the convolution
    before it. The network pads as TensorFlow does, by copying each input into a larger one. Convolutions can pad by
    themselves, but equally on each side. Where the network pads less on the left and at the top, a row and a column of
    zeros in front of the weights have the same effect. At last, the channels of a pixel are put side by side in memory,
    the layout that a CPU's kernels are written for.

    Parameters
    ----------
    model : efficientnet_lite_pytorch.EfficientNet
        In evaluation mode.

    Returns
    -------
    efficientnet_lite_pytorch.EfficientNet
        The same object.
    """
    torch = import_torch()
    inner = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
    outer = [("_conv_stem", "_bn0"), ("_conv_head", "_bn1")]
    for block in [model, *model._blocks]:
        for conv_name, norm_name in outer if block is model else inner:
            if not hasattr(block, conv_name):  # the first block expands nothing
                continue
            conv, norm = getattr(block, conv_name), getattr(block, norm_name)
            weight, bias = torch.nn.utils.fuse_conv_bn_weights(
                *(conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
            )
            left, right, *_ = getattr(conv.static_padding, "padding", (0, 0))  # 1 x 1 needs none
            zeros, size = right - left, conv.kernel_size[0]
            same = torch.nn.Conv2d(
                *(conv.in_channels, conv.out_channels, size + zeros, conv.stride),
                padding=right,
                groups=conv.groups,
                device="meta",  # its own weights are never made
            )
            weight = torch.nn.functional.pad(weight, (zeros, 0, zeros, 0))
            same.load_state_dict({"weight": weight, "bias": bias}, assign=True)
            setattr(block, conv_name, same)
            setattr(block, norm_name, torch.nn.Identity())
        block._swish = torch.nn.ReLU6(inplace=True)
    return model.to(memory_format=torch.channels_last)


def fused(model: Any) -> Network | None:
    """Return a folded EfficientNet-Lite up to its last map, each layer's activation computed with its convolution.

    PyTorch runs convolution and activation one after the other, and each time looks how the weights lie in memory.
    oneDNN, which it computes with on x86 processors, does both in one pass, with weights that are laid out once. The
    numbers are the same to the last bit; one picture takes a quarter less time.

    Parameters
    ----------
    model : efficientnet_lite_pytorch.EfficientNet
        From `fold`, in float32. It is not changed, and its weights are copied.

    Returns
    -------
    callable or None
        Takes pixels (n, 3, height, width), gives the map (n, channels, rows, columns); None where oneDNN is not at
        hand: on a GPU, or another kind of processor.
    """
    torch = import_torch()
    on_cpu = next(model.parameters()).device.type == "cpu"
    if not (on_cpu and platform.machine().lower() in ("x86_64", "amd64") and torch.backends.mkldnn.is_available()):
        return None
    convolve, lay_out = torch.ops.mkldnn._convolution_pointwise, torch.ops.mkldnn._reorder_convolution_weight
    clip: Any = ("hardtanh", [0.0, 6.0], "")  # ReLU6 is a clip to 0..6
    nothing: Any = ("none", [], "")

    def layer(conv: Any, then: Any) -> tuple:
        options = (conv.padding, conv.stride, conv.dilation, conv.groups)
        return (lay_out(conv.weight, *options), conv.bias, *options, *then)

    blocks = [([layer(model._conv_stem, clip)], False)]
    for block in model._blocks:
        inner = [layer(block._expand_conv, clip)] if hasattr(block, "_expand_conv") else []
        inner += [layer(block._depthwise_conv, clip), layer(block._project_conv, nothing)]
        told = block._block_args
        blocks.append((inner, block.id_skip and told.stride == 1 and told.input_filters == told.output_filters))

    blocks.append(([layer(model._conv_head, clip)], False))

    def network(x: Any) -> Any:
        for inner, skips in blocks:
            y = x
            for one in inner:
                y = convolve(y, *one)
            x = y.add_(x) if skips else y
        return x

    return network


def faster(exact: Network, rough: Network, pixels: Any) -> Network:
    """Return the network of fewer bits if it is faster here and its vectors agree, else the exact one; print which.

    Processors differ: some calculate with bfloat16 several times as fast as with float32, others only imitate it.

    Parameters
    ----------
    exact, rough : callable
        The same network in float32 and with fewer bits.
    pixels : torch.Tensor, shape (n, 3, height, width)
        Real pictures to try both on.
    """
    (vectors, slow), (others, fast) = _timed(exact, pixels), _timed(rough, pixels)
    agreement = import_torch().nn.functional.cosine_similarity(vectors, others).min().item()
    pays = fast * WORTH_IT < slow and agreement >= LEAST_AGREEMENT
    print(
        f"Precision: {'bfloat16' if pays else 'float32'}; in bfloat16 the network is {slow / fast:.1f} times as fast "
        f"here, and its vectors have a cosine of {agreement:.4f} or more to those in float32"
    )
    return rough if pays else exact


def _timed(network: Network, pixels: Any) -> tuple[Any, float]:
    """Run a network on a batch; return its features as float32, and the seconds of the fastest of three runs."""
    seconds = []
    with import_torch().inference_mode():
        for _ in range(4):  # the first run prepares things
            start = time.perf_counter()
            features = network(pixels).float().cpu()
            seconds.append(time.perf_counter() - start)
    return features, min(seconds[1:])


def openvino_network(network: Network, pixels: Any, precision: str) -> Network:
    """Compile a network for OpenVINO, an optional extra that runs it faster on a CPU.

    Parameters
    ----------
    network : callable
        On torch.
    pixels : torch.Tensor, shape (n, 3, height, width)
        An example of its input.
    precision : {"float32", "bfloat16"}
        What to calculate with; a processor without bfloat16 uses float32.

    Returns
    -------
    callable
        The same network on OpenVINO: tensors in, tensors out.

    Raises
    ------
    ImportError
        OpenVINO is not installed.
    """
    torch = import_torch()
    # OpenVINO would report each use to its makers: without this module it can't.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise ImportError('backend="openvino" needs the package openvino: pip install ".[openvino]"') from error

    class Wrapped(torch.nn.Module):  # type: ignore[name-defined]  # OpenVINO converts modules only
        def forward(self, pixels: Any) -> Any:
            return network(pixels)

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns of every branch on a shape
        model = openvino.convert_model(Wrapped(), example_input=pixels, input=[-1, *pixels.shape[1:]])
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32" if precision == "float32" else "bf16"}
    compiled = openvino.compile_model(model, "CPU", hints)
    return lambda pixels: torch.from_numpy(compiled(pixels.numpy())[0])
