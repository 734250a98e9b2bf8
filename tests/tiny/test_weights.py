"""The shipped weights load from the package, know every word of the world, and see what is in it and where."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ssm_sense import tiny
from ssm_sense.data.clip import FRAMES_OF_A_VIDEO, Question
from ssm_sense.data.world.names import LANDMARKS, NEEDLES, ROOM_KINDS
from ssm_sense.data.world.questions import order_question
from ssm_sense.data.world.truth import NeedleTruth
from ssm_sense.folder import load_model, read_calibration
from ssm_sense.memory.policy import answer
from ssm_sense.pretrained import load_tokenizer
from ssm_sense.tiny.corpus import render_house
from ssm_sense.tiny.probe import (
    FILLED_PIXELS,
    SEEN_PIXELS,
    average_precision,
    encode,
    patch_scores,
    pixels_of_pictures,
)
from ssm_sense.tiny.statements import TEXTS, THINGS
from ssm_sense.tiny.tokenizer import build_tokenizer
from ssm_sense.tiny.train_vision import vocabulary
from ssm_sense.vision import SiglipTextTower, SiglipTower

SIGLIP = str(tiny.folder() / "siglip")


@pytest.fixture(scope="module")
def held_out():
    """84 pictures of a house of the validation split, and what they show."""
    return render_house("val", 7, per_room=7)


@pytest.fixture(scope="module")
def tower():
    """Both towers of the shipped weights."""
    return SiglipTextTower(SIGLIP).load()


def mean_precision(scores, truth, fewest):
    """Mean average precision of things seen `fewest` times or more, and its chance."""
    often = [i for i in range(len(THINGS)) if truth[:, i].sum() >= fewest]
    assert len(often) > 10
    return (
        torch.tensor([average_precision(scores[:, i], truth[:, i]) for i in often]).mean(),
        truth[:, often].double().mean(),
    )


def test_the_tokenizer_knows_every_word_of_questions_answers_and_captions():
    tokenizer = load_tokenizer(tiny.folder() / "siglip")
    for words in (*vocabulary(), *TEXTS):
        assert tokenizer.unk_token_id not in tokenizer(words).input_ids, words


def test_the_tokenizer_is_the_one_that_the_training_command_writes(tmp_path):
    """The weights' rows are its ids: a new word in the world calls for new weights."""
    built = build_tokenizer(tmp_path, vocabulary())
    assert load_tokenizer(tiny.folder() / "siglip").get_vocab() == built.get_vocab()


def test_latents_differ_from_place_to_place_and_from_frame_to_frame(held_out):
    tower = SiglipTower(SIGLIP, grid=4).load()
    latents = encode(tower, held_out.images)
    assert latents.shape == (84, 16, tower.width)
    assert latents.isfinite().all()
    assert latents.std(0).min() > 0
    assert latents.std(1).mean() > 0.1 * latents.std()


def test_texts_tell_rooms_and_things_of_a_house_never_seen(held_out, tower):
    scores = encode(tower, held_out.images)[:, 0] @ tower.embed_texts(TEXTS).T
    room = scores[:, len(THINGS) :].argmax(1)
    assert len(room.unique()) > 2
    assert (room == torch.from_numpy(held_out.rooms)).double().mean() > 0.25 > 3 / len(ROOM_KINDS)
    present = pixels_of_pictures(torch.from_numpy(held_out.cells)) >= SEEN_PIXELS
    precision, chance = mean_precision(scores[:, : len(THINGS)], present, fewest=5)
    assert precision > 2 * chance


def test_patches_know_which_thing_they_show(held_out, tower):
    scores = patch_scores(tower, held_out.images)
    assert scores.shape == held_out.cells.shape
    filled = torch.from_numpy(held_out.cells) >= FILLED_PIXELS
    precision, chance = mean_precision(scores.flatten(0, 1), filled.flatten(0, 1), fewest=20)
    assert precision > 8 * chance


def test_the_weights_are_small():
    files = [file for part in ("siglip", "tokenizer") for file in (tiny.folder() / part).iterdir()]
    assert 1e6 < sum(file.stat().st_size for file in files) < 6e6


@pytest.fixture(scope="module")
def watched():
    """The whole model, and its state after a few frames of nothing."""
    model, _ = load_model(tiny.folder() / "model")
    latents, seconds = torch.randn(1, 8, 16, 128, generator=torch.manual_seed(0)), torch.arange(8.0).double()[None]
    with torch.inference_mode():
        _, state = model.observe(latents, seconds, model.initial_state(1))
    return model, state


@torch.inference_mode()
def test_the_model_knows_a_room_again_from_other_pictures_and_takes_no_other_for_it(held_out, watched):
    """Four pictures and three others of each room of a house never seen."""
    places = watched[0].inventory.places
    latents = encode(SiglipTower(SIGLIP, layer=-1, pooling="average", grid=4).load(), held_out.images)
    described = places.describe(watched[0].scale(latents.unflatten(0, (-1, 7))))
    before, again = (places.key(part.sum(1)) for part in described.split([4, 3], 1))
    alike = places.alike(before, again)
    rooms = len(alike)
    own = torch.eye(rooms, dtype=torch.bool)
    assert (alike.argmax(1) == torch.arange(rooms)).float().mean() > 0.8, "chance is a twelfth"
    assert (alike[own] > 0).float().mean() > 0.5
    assert (alike[~own] > 0).float().mean() < 0.01


@torch.inference_mode()
def test_the_model_sees_what_it_looks_for_in_looks_it_never_saw(held_out, watched):
    """Fourteen needles in 84 pictures."""
    model, _ = watched
    latents = encode(SiglipTower(SIGLIP, layer=-1, pooling="average", grid=4).load(), held_out.images)
    there, _ = model.sightings.sight(model.scale(latents).unsqueeze(0))
    pixels = torch.from_numpy(held_out.cells)[..., [THINGS.index(needle) for needle in model.sought]]
    present = pixels_of_pictures(pixels) >= SEEN_PIXELS
    assert present.sum() == 14
    assert average_precision(there.flatten(), present.flatten()) > 0.8, "chance is .03"


def test_the_models_sightings_are_as_sure_as_its_record_says(watched):
    model, _ = watched
    record = read_calibration(tiny.folder() / "model")
    moved = [record["sightings"]["moved"][name] for name in model.sought]
    torch.testing.assert_close(model.sightings.moved, torch.tensor(moved), atol=2e-3, rtol=0, msg="in half precision")
    assert all(by < -1 for by in moved), "tours show more needles than hours do, and training heeds them more"


@pytest.mark.parametrize("line", [FRAMES_OF_A_VIDEO, ""], ids=["benchmark", "plain"])
@torch.inference_mode()
def test_the_model_copies_the_counts_that_it_is_told(monkeypatch, watched, line):
    """All from 0 to 99, in the benchmark's words and in a user's: two digits are not taken for one, nor 12 for 21."""
    model, state = watched
    told = torch.zeros(1, 4, len(model.concepts))
    monkeypatch.setattr(model.inventory, "read", lambda _: told)
    prompt = Question(f"{line}How many different lamp(s) are there in the video?", "", 0.0, "vsc").prompt
    copied = 0
    for number in range(100):
        told[:, 0] = number
        copied += answer(model.language, model.prefix(state, prompt), prompt, ()).text == str(number)
    assert copied > 90


@pytest.mark.parametrize("line", [FRAMES_OF_A_VIDEO, ""], ids=["benchmark", "plain"])
@torch.inference_mode()
def test_the_model_answers_the_order_that_it_is_told(monkeypatch, watched, line):
    """Of sightings that are sure or half sure, however the options are arranged."""
    model, state = watched
    told = torch.zeros(1, 2, len(model.sought), len(model.concepts), dtype=torch.float64)
    monkeypatch.setattr(model.sightings, "read", lambda _: told.unsqueeze(-1))
    rng, right = np.random.default_rng(0), []
    for _ in range(60):
        marks = [str(mark) for mark in rng.permutation(LANDMARKS)[:4]]
        needle = int(rng.integers(len(NEEDLES)))
        told.zero_()
        for t_s, mark in enumerate(marks):
            seen = torch.tensor([rng.uniform(0.5, 1), 10.0 + t_s], dtype=torch.float64)
            told[0, :, list(model.sought).index(NEEDLES[needle]), list(model.concepts).index(mark)] = seen
        shows = [NeedleTruth(t_s, float(t_s), NEEDLES[needle], mark, t_s, 0, 500) for t_s, mark in enumerate(marks)]
        question = order_question(shows, 30.0, rng)
        question = replace(question, text=line + question.text.removeprefix(FRAMES_OF_A_VIDEO))
        given = answer(model.language, model.prefix(state, question.prompt), question.prompt, question.options)
        right.append(given.text == question.answer)
    assert np.mean(right) > 0.9
