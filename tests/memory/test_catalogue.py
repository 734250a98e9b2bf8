"""Policies by name: every one is built from settings as they stand in a file, watches and answers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from ssm_sense.errors import UserError
from ssm_sense.memory import catalogue
from ssm_sense.memory.attention_sinks import AttentionSinks
from ssm_sense.memory.blind import BlindMemory
from ssm_sense.memory.cambrian_count import CambrianCount
from ssm_sense.memory.cambrian_s import CambrianS
from ssm_sense.memory.consolidation import ForgetOldest
from ssm_sense.memory.full_kv import FullKV
from ssm_sense.memory.kept_frames import KeptFrames
from ssm_sense.memory.last_frames import LastFrames
from ssm_sense.memory.ma_lmm import MaLmm
from ssm_sense.memory.movie_chat import MovieChat
from ssm_sense.memory.nosense import NoSense, NoSenseAhead
from ssm_sense.memory.per_event import PerEventMemory
from ssm_sense.memory.policy import Policy
from ssm_sense.memory.pooled_bank import PooledBankMemory
from ssm_sense.memory.recurrent import RecurrentMemory
from ssm_sense.memory.rekv import ReKV
from ssm_sense.memory.segment_sum import DepthSum, ShotCutSum, UniformSum
from ssm_sense.memory.sliding_window import SlidingWindowMemory
from ssm_sense.memory.storm import StormMemory
from ssm_sense.memory.uniform_frames import UniformFrames
from ssm_sense.nn.sources import RandomSurprise
from ssm_sense.stream import Session

TRAITS: dict[type[Policy], tuple[bool, bool, bool, bool]] = {
    SlidingWindowMemory: (True, False, True, True),
    AttentionSinks: (True, False, True, False),
    LastFrames: (True, False, True, False),
    UniformFrames: (True, False, True, False),
    KeptFrames: (True, False, True, False),
    FullKV: (True, False, False, False),
    MovieChat: (True, False, True, False),
    MaLmm: (True, False, True, False),
    CambrianS: (True, False, True, True),
    CambrianCount: (True, True, True, True),
    UniformSum: (True, True, True, False),
    ShotCutSum: (True, True, True, False),
    DepthSum: (True, True, True, False),
    ReKV: (True, False, False, False),
    RecurrentMemory: (True, False, True, True),
    PerEventMemory: (True, True, True, True),
    BlindMemory: (True, False, True, True),
    PooledBankMemory: (True, False, False, True),
    StormMemory: (False, False, False, True),
    NoSense: (True, False, False, False),
    NoSenseAhead: (True, True, True, False),
}
"""Causal, query-aware, constant memory, needs training."""
FILES = sorted((Path(__file__).parents[2] / "configs" / "policies").glob("*.yaml"))
SETTINGS = [path for path in FILES if path.stem in catalogue.CLASSES]


@pytest.mark.parametrize("name", catalogue.CLASSES)
def test_each_is_built_with_its_defaults_and_answers(frame_tokens, latents, checks, name: str) -> None:
    policy = catalogue.build(name, frame_tokens())
    checks.watch(policy, latents[:6])
    assert policy.read("how many chairs", ["A. one", "B. two"]).text in "AB"


@pytest.mark.parametrize(("policy", "declared"), TRAITS.items(), ids=lambda given: getattr(given, "__name__", ""))
def test_each_declares_its_traits(policy: type[Policy], declared: tuple[bool, bool, bool, bool]) -> None:
    """What rows say of it, and docs/rivals.md."""
    names = ("causal", "query_aware", "constant_memory", "needs_training")
    assert tuple(getattr(policy, name) for name in names) == declared


def test_the_traits_of_all_are_known() -> None:
    known = {f"{policy.__module__}.{policy.__name__}" for policy in TRAITS}
    assert known >= {*catalogue.CLASSES.values(), *catalogue.OURS.values()}


@pytest.mark.parametrize("policy", TRAITS, ids=lambda policy: policy.__name__)
def test_those_that_must_know_their_questions_can_be_told_them(policy: type[Policy]) -> None:
    assert hasattr(policy, "expect") == policy.query_aware


@pytest.mark.parametrize("name", catalogue.CLASSES)
def test_each_holds_half_precision_in_half_the_bytes_and_answers_alike(
    frame_tokens, latents, checks, name: str
) -> None:
    half, full = (catalogue.build(name, frame_tokens(dtype=dtype)) for dtype in ("bfloat16", "float32"))
    for policy in (half, full):
        checks.watch(policy, latents[:9])
    held = {key: tensor.dtype for key, tensor in half.state_dict().items() if tensor.ndim > 2 and "source" not in key}
    assert set(held.values()) == {torch.bfloat16}
    assert half.nbytes < 0.7 * full.nbytes
    torch.testing.assert_close(checks.scores(half), checks.scores(full), atol=0.3, rtol=0.05)


@pytest.mark.parametrize("cut", [0, 7])
@pytest.mark.parametrize("name", catalogue.CLASSES)
def test_each_goes_on_from_a_saved_session(frame_tokens, latents, tmp_path: Path, name: str, cut: int) -> None:
    model = frame_tokens()
    whole, first, rest = (Session(catalogue.build(name, model), SimpleNamespace()) for _ in range(3))
    whole.observe(latents[:12], range(12))
    first.observe(latents[:cut], range(cut))
    first.save(tmp_path / "session")
    rest.load(tmp_path / "session")
    rest.observe(latents[cut:12], range(cut, 12))
    question = "how many chairs", ["A. one", "B. two"]
    assert rest.ask(*question) == whole.ask(*question)
    assert rest.nbytes == whole.nbytes


def test_there_is_a_file_of_settings_for_each() -> None:
    assert {path.stem for path in FILES} == {*catalogue.CLASSES, *catalogue.OURS, *catalogue.NOSENSE}


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.stem)
def test_a_file_of_settings_states_the_defaults(frame_tokens, latents, checks, path: Path) -> None:
    settings: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    model = frame_tokens()
    stated, default = catalogue.build(path.stem, model, settings), catalogue.build(path.stem, model)
    for policy in (stated, default):
        checks.watch(policy, latents[:12])
    assert stated.nbytes == default.nbytes
    assert stated.read("how many chairs", ["A. one", "B. two"]) == default.read("how many chairs", ["A. one", "B. two"])


def test_settings_name_the_source_of_surprise_and_what_goes_first(frame_tokens, latents, checks) -> None:
    settings = {
        "source": {"class_path": "ssm_sense.nn.sources.RandomSurprise", "init_args": {"seed": 3}},
        "consolidation": {"class_path": "ssm_sense.memory.consolidation.ForgetOldest"},
        "threshold": 0.5,
    }
    built = catalogue.build("cambrian-s", frame_tokens(), settings)
    by_hand = CambrianS(frame_tokens(), RandomSurprise(3), threshold=0.5, consolidation=ForgetOldest())
    found = [
        [policy.observe(one, None, float(t)).surprise for t, one in enumerate(latents)] for policy in (built, by_hand)
    ]
    assert found[0] == found[1]
    assert isinstance(built.consolidation, ForgetOldest)


def test_a_class_of_ones_own_is_built_by_its_path(frame_tokens) -> None:
    built = catalogue.build("ssm_sense.memory.last_frames.LastFrames", frame_tokens(), {"frames": 7})
    assert isinstance(built, LastFrames)
    assert built.frames == 7


@pytest.mark.parametrize(
    ("policy", "settings", "said"),
    [
        ("oracle", {}, "expected a policy among sliding-window"),
        ("nowhere.to.be.Found", {}, "policy nowhere.to.be.Found: No module named 'nowhere'"),
        ("ssm_sense.memory.last_frames.Nobody", {}, "has no attribute 'Nobody'"),
        ("last-frames", {"frame": 3}, "frame"),
        ("last-frames", {"frames": "many"}, "frames"),
        ("last-frames", {"frames": 0}, "policy last-frames: frames: expected at least 1, got 0"),
    ],
)
def test_what_is_wrong_is_named(frame_tokens, policy: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        catalogue.build(policy, frame_tokens(), settings)


def test_all_settings_are_those_given_and_the_defaults_of_the_others() -> None:
    given = {"source": {"class_path": "ssm_sense.nn.sources.RandomSurprise"}, "window": 9}
    plain = catalogue.all_settings("cambrian-count", given)
    source = {"class_path": "ssm_sense.nn.sources.RandomSurprise", "init_args": {"seed": 0}}
    assert plain == {"source": source, "window": 9, "threshold": 0.39, "segment_frames": 512, "budget_bytes": None}
    assert catalogue.all_settings("full-kv") == {}
    with pytest.raises(UserError, match=r"policy last-frames: .*frame"):
        catalogue.all_settings("last-frames", {"frame": 3})
