"""Frames to latents: frozen SigLIP towers."""

from ssm_sense.vision.siglip import SiglipTower
from ssm_sense.vision.siglip_text import SiglipTextTower
from ssm_sense.vision.tower import VisionTower

__all__ = ["SiglipTextTower", "SiglipTower", "VisionTower"]
