"""A CLIP with random weights, whose shapes are real and whose numbers mean nothing; and the hub's cache."""

from pathlib import Path
from typing import Any

from helpers.features.faster import import_torch
from helpers.features.weights import HUB, import_transformers

COMMIT = "0123456789" * 4
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def save_untrained_clip(folder: Path, size: dict[str, int] | None = None, dim: int = 512) -> None:
    """Save a CLIP in the files that the hub's repository has, its tokenizer knowing single letters only.

    Parameters
    ----------
    folder : Path
        Where to.
    size : dict, optional
        Settings of both halves; by default they have the full size of ViT-B/32.
    dim : int
        Numbers of a vector.
    """
    torch, transformers = import_torch(), import_transformers()
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    known = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    text: dict[str, Any] = {"vocab_size": len(known), "bos_token_id": len(known) - 2, "eos_token_id": len(known) - 1}
    config = transformers.CLIPConfig(text_config=text | (size or {}), vision_config=size or {}, projection_dim=dim)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.CLIPModel(config)
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    transformers.CLIPTokenizer(vocab={token: i for i, token in enumerate(known)}, merges=[]).save_pretrained(folder)
    transformers.CLIPImageProcessorPil().save_pretrained(folder)


def put_into(cache: Path, model: Path, files: tuple[str, ...] | None = None, name: str = "dinov2-small") -> None:
    """Lay a model's files where the hub's client keeps them."""
    repository = cache / f"models--{HUB[name].repository.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    for file in files or HUB[name].files:
        (repository / "snapshots" / COMMIT / file).write_bytes((model / file).read_bytes())
