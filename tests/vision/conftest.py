"""A random SigLIP on disk, as any on the hub is laid out: 4 layers, 6×6 patches of 8 pixels."""

from pathlib import Path

import pytest

from ssm_sense.tiny import build_tokenizer, new_siglip, save_siglip

WORDS = ["a", "bed", "chair", "red", "with", "room"]


@pytest.fixture(scope="session")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("siglip")
    tokenizer = build_tokenizer(root / "tokenizer", WORDS)
    model = new_siglip(tokenizer, hidden=32, text_length=12, image_size=48, patch_size=8)
    save_siglip(model, root / "siglip")
    return root / "siglip"
