"""Machines that only train have neither a renderer nor a video library: fitting on cached latents needs neither."""

import subprocess
import sys
from pathlib import Path

from ssm_sense.data.features import extract
from ssm_sense.data.world.batch import jobs
from ssm_sense.data.world.film import shoot
from ssm_sense.data.world.mixture import vocabulary
from ssm_sense.tiny import build_language, build_tokenizer, new_siglip, save_siglip
from ssm_sense.vision.siglip import SiglipTower

ROOT = Path(__file__).parents[2]

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numba", "llvmlite", "av", "decord", "cv2"):
            raise ImportError(f"{name} is not to be imported here")

sys.meta_path.insert(0, Blocked())
from ssm_sense import cli
sys.exit(cli.main(sys.argv[1:]))
"""


def test_fitting_on_cached_latents_with_renderer_and_decoders_blocked(tmp_path: Path) -> None:
    for job in jobs("tour", "train", 0, 0.2, 2, 1, 32, 6.0):
        shoot(job.recipe, tmp_path / "videos" / job.name)
    words = vocabulary()
    build_language(tmp_path / "language", words, hidden=32, layers=1, heads=2)
    tokenizer = build_tokenizer(tmp_path / "words", words)
    save_siglip(new_siglip(tokenizer, hidden=32, layers=2, heads=2, image_size=32, patch_size=8), tmp_path / "siglip")
    vision = SiglipTower(str(tmp_path / "siglip"), layer=-1, pooling="average", grid=2).load()
    for video in sorted((tmp_path / "videos").rglob("*.mp4")):
        extract(video, vision, tmp_path / "features")
    flags = {
        "config": ROOT / "configs" / "tiny" / "blind.yaml",
        "trainer.max_steps": 1,
        "trainer.val_check_interval": 1,
        "trainer.enable_progress_bar": "false",
        "trainer.callbacks": "lightning.pytorch.callbacks.ModelCheckpoint",
        "trainer.callbacks.dirpath": tmp_path / "checkpoints",
        "trainer.default_root_dir": tmp_path,
        "trainer.logger.init_args.save_dir": tmp_path,
        "model.model.init_args.language.init_args.path": tmp_path / "language" / "llm",
        "model.model.init_args.vision_width": 32,
        "model.model.init_args.language_width": 32,
        "data.features": tmp_path / "features",
        "data.train": tmp_path / "videos",
        "data.val": tmp_path / "videos",
        "data.batch_size": 2,
        "data.frames": 10,
        "data.stops": 2,
        "data.val_batches": 1,
        "vision.path": tmp_path / "siglip",
        "vision.grid": 2,
        "folder": tmp_path / "model",
    }
    command = [sys.executable, "-c", BLOCKED, "fit", *(f"--{key}={value}" for key, value in flags.items())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "model" / "model.safetensors").is_file()
