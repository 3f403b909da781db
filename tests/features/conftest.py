"""What tests of extractors share: a network that costs nothing."""

from pathlib import Path

import pytest

from helpers.features.weights import save_untrained_dinov2


@pytest.fixture(scope="package")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a DINOv2 of 32 numbers, untrained."""
    folder = tmp_path_factory.mktemp("models") / "tiny-dinov2"
    save_untrained_dinov2(folder, hidden_size=32, num_attention_heads=2, num_hidden_layers=2)
    return folder
