"""NoSense on frames that are bags of words, and through a Session with the real towers."""

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml

from ssm_sense.data.clip import Question
from ssm_sense.errors import UserError
from ssm_sense.memory import catalogue
from ssm_sense.memory.nosense import NoSense, NoSenseAhead
from ssm_sense.memory.similarity import SimilarityReader
from ssm_sense.stream import Session
from ssm_sense.tiny import build_tokenizer, new_siglip, save_siglip
from ssm_sense.vision import SiglipTextTower

WORDS = ("duck", "creature", "bed", "chair", "basket", "can", "sofa", "stool", "wall")
RECALL = Question(
    "These are frames of a video.\nWhich of the following correctly represents the order in which the Duck appeared "
    "in the video?",
    "B",
    9.0,
    "vsr",
    ("A. Bed, Trash can, Chair", "B. Trash can, Chair, Bed", "C. Chair, Bed, Trash can", "D. Bed, Chair, Trash can"),
)
COUNT = Question("How many different chair(s) are there in the video?", "2", 9.0, "vsc")


class BagOfWords:
    """A tower whose embedding of a text or a frame is which of `WORDS` it holds."""

    width, grid, fingerprint = len(WORDS), 1, "words"

    def embed_texts(self, texts):
        return torch.stack([self.frame(*text.lower().replace(",", " ").split()) for text in texts])

    def probability(self, similarity):
        return torch.sigmoid(20 * (similarity - 0.4))

    @staticmethod
    def frame(*words: str) -> torch.Tensor:
        return F.normalize(torch.tensor([float(word in words) for word in WORDS]), dim=-1)


@pytest.fixture
def reader() -> SimilarityReader:
    return SimilarityReader(BagOfWords())


FRAMES = [
    ("wall", "bed"),
    ("duck", "can", "wall"),
    ("sofa", "chair"),
    ("chair", "wall"),
    ("stool",),
    ("duck", "chair", "wall"),
    ("bed", "can"),
    ("duck", "bed", "wall"),
    ("creature", "basket"),
]


def show(policy, frames=FRAMES) -> None:
    for t, words in enumerate(frames):
        policy.observe(BagOfWords.frame(*words)[None], None, float(t))


def told(reader: SimilarityReader, *questions: Question) -> NoSenseAhead:
    policy = NoSenseAhead(reader)
    policy.expect([(q.prompt, q.options) for q in questions])
    return policy


@pytest.fixture(params=["end", "ahead"])
def policy(request: pytest.FixtureRequest, reader: SimilarityReader):
    return NoSense(reader) if request.param == "end" else told(reader, RECALL, COUNT)


def test_recall_takes_the_frames_most_like_the_object_in_order_of_time(policy) -> None:
    show(policy)
    assert policy.read(RECALL.prompt, RECALL.options).text == "B"


def test_recall_depends_on_the_order_of_the_frames_alone(policy) -> None:
    show(policy, FRAMES[::-1])
    assert policy.read(RECALL.prompt, RECALL.options).text == "D" != RECALL.answer


def test_counting_takes_every_coming_into_view_for_another_one(policy) -> None:
    show(policy)
    assert policy.read(COUNT.prompt).text == "2"
    show(policy, [("chair",), ("chair",)])
    assert policy.read(COUNT.prompt).text == "3"


def test_other_options_go_to_the_one_that_some_frame_fits_best(reader: SimilarityReader) -> None:
    asked = Question("What was seen?", "C", 9.0, "other", ("A. a basket and a chair", "B. a bed", "C. a stool"))
    for policy in (NoSense(reader), told(reader, asked)):
        show(policy)
        assert policy.read(asked.prompt, asked.options).text == "C"


def test_an_open_question_gets_an_empty_answer(reader: SimilarityReader) -> None:
    asked = Question("Where are you?", "kitchen", 9.0, "other")
    for policy in (NoSense(reader), told(reader, asked)):
        show(policy)
        assert policy.read(asked.prompt).text == ""


def test_reading_before_the_first_frame_gives_some_option(policy) -> None:
    assert policy.read(RECALL.prompt, RECALL.options).text in "ABCD"
    assert policy.read(COUNT.prompt).text == "0"


def test_saved_and_loaded_it_goes_on_and_reading_changes_nothing(policy, reader: SimilarityReader) -> None:
    show(policy, FRAMES[:5])
    held = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    policy.read(COUNT.prompt)
    assert all(torch.equal(held[name], tensor) for name, tensor in policy.state_dict().items())
    other = NoSense(reader) if isinstance(policy, NoSense) else told(reader, RECALL, COUNT)
    other.load_state_dict(held)
    for one in (policy, other):
        show(one, FRAMES[5:])
    assert policy.read(RECALL.prompt, RECALL.options) == other.read(RECALL.prompt, RECALL.options)
    assert other.read(COUNT.prompt).text == "2"
    assert policy.nbytes == other.nbytes
    other.reset()
    assert other.read(COUNT.prompt).text == "0"


def test_only_the_one_that_was_told_holds_constant_memory(reader: SimilarityReader) -> None:
    end, ahead = NoSense(reader), told(reader, RECALL, COUNT)
    assert (end.constant_memory, end.query_aware) == (False, False)
    assert (ahead.constant_memory, ahead.query_aware) == (True, True)
    for policy in (end, ahead):
        show(policy)
    few = end.nbytes, ahead.nbytes
    for policy in (end, ahead):
        show(policy)
    assert few[0] == 2 * len(WORDS) * len(FRAMES)
    assert end.nbytes == 2 * few[0]
    # Recall holds 3 frames with their likeness, an object and 4 × 3 places; counting 9 bytes and an object.
    assert ahead.nbytes == few[1] == 4 * (3 * 9 + 3 + 9 + 12 * 9) + 9 + 4 * 9


def test_what_was_not_announced_is_refused(reader: SimilarityReader) -> None:
    with pytest.raises(ValueError, match="announced beforehand"):
        told(reader, COUNT).read(RECALL.prompt, RECALL.options)


def test_wrong_states_latents_and_settings_are_named(reader: SimilarityReader) -> None:
    with pytest.raises(ValueError, match=r"expected embeddings \(frames, 9\)"):
        NoSense(reader).load_state_dict({"embeddings": torch.zeros(3, 8)})
    with pytest.raises(ValueError, match="2 questions"):
        told(reader, RECALL, COUNT).load_state_dict(told(reader, COUNT).state_dict())
    for policy in (NoSense(reader), told(reader, COUNT)):
        with pytest.raises(ValueError, match=r"pooled embedding \(1, 9\).*got \(16, 9\)"):
            policy.observe(torch.zeros(16, 9), None, 0.0)
    with pytest.raises(ValueError, match="in_view"):
        SimilarityReader(BagOfWords(), in_view=1.0)
    expected = "place_templates: expected templates with {object} and {place}, got "
    for templates, got in (((), "none"), (["{object}"], "'{object}'"), (["{place} {object"], "'{place} {object'")):
        with pytest.raises(ValueError, match=re.escape(expected + got)):
            SimilarityReader(BagOfWords(), place_templates=templates)


@pytest.mark.parametrize("name", catalogue.NOSENSE)
def test_its_file_of_settings_states_the_defaults(name: str) -> None:
    file = Path(__file__).parents[2] / "configs" / "policies" / f"{name}.yaml"
    settings = yaml.safe_load(file.read_text())
    assert settings == catalogue.all_settings(name)
    built = catalogue.build_nosense(name, BagOfWords(), settings | {"in_view": 0.9})
    assert isinstance(built, NoSenseAhead if name == "nosense-ahead" else NoSense)
    assert built.reader.in_view == 0.9


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> SiglipTextTower:
    root: Path = tmp_path_factory.mktemp("siglip")
    vocabulary = ["a photo picture of room with there is here we see and on near in it", *WORDS, "trash"]
    model = new_siglip(build_tokenizer(root / "tokenizer", vocabulary), 32, 2, 2, image_size=32, patch_size=16)
    save_siglip(model, root / "siglip")
    return SiglipTextTower(str(root / "siglip")).load()


@pytest.mark.parametrize("cut", [0, 7])
def test_through_a_session_with_both_towers_of_siglip(tower: SiglipTextTower, tmp_path, cut: int) -> None:
    frames = torch.randint(0, 256, (12, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    reader = SimilarityReader(tower)
    end, ahead = Session(NoSense(reader), tower), Session(told(reader, RECALL, COUNT), tower)
    for session in (end, ahead):
        session.feed(frames[:cut], range(cut))
        session.save(tmp_path / "session")
        session.load(tmp_path / "session")
        reports = session.feed(frames[cut:], range(cut, 12))
        assert not any(report.boundary for report in reports)
    for question in (RECALL, COUNT):
        assert end.ask(question) == ahead.ask(question)
    assert end.nbytes == 12 * 32 * 2
    with pytest.raises(UserError, match="expected a session of NoSense"):
        end.load(tmp_path / "session")
