"""The surroundings in which tests and `make notebooks` run: a Memora of their own, the same network everywhere."""

from pathlib import Path

SETTINGS = (
    "MEMORA_API_KEY",
    "MEMORA_PROJECT_ID",
    "MEMORA_URL",
    "MEMORA_ENGINE",
    "MEMORA_ENGINE_TOKEN",
    "MEMORA_REPORT",
)


def environment(home: Path) -> dict[str, str]:
    """Return the environment variables of a clean state under `home`.

    The user's data, hosted Memora, `.env` and downloaded weights are out of reach: empty variables win over `.env`.
    """
    return dict.fromkeys(SETTINGS, "") | {
        "MEMORA_HOME": str(home / "memora"),
        "MEMORA_EXTRACTOR": "",  # without DINOv2's weights in reach that is EfficientNet-Lite0
        "MEMORA_CLIP": "",
        "HF_HOME": str(home / "hub"),
        "HF_HUB_CACHE": str(home / "hub" / "hub"),
        "HF_HUB_OFFLINE": "0",
        "MPLCONFIGDIR": str(home / "matplotlib"),
    }
