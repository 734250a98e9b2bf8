"""What a question's thing was seen beside is told in order of time, and of the options which fits."""

import itertools
import math

import pytest
import torch

from ssm_sense.language.sightings_words import LISTED, SightingsWords, fits
from ssm_sense.nn.sightings import shifted

SOUGHT, MARKS, MOMENTS = ("user", "red bathroom"), ("chair", "kitchen", "beds", "room"), 5
WHICH = "how many user are there"
OPTIONS = f"{WHICH}\nOptions:\nA. Kitchen, Chair\nB. Chair, Kitchen"


@pytest.fixture
def words():
    """It says nothing by itself."""
    made = SightingsWords(SOUGHT, MARKS, 32)
    torch.nn.init.zeros_(made.slot)
    return made


def seen(**when: float) -> torch.Tensor:
    """The first thing beside marks, at times; half sure."""
    return moments(**{mark: [(0.5, t_s)] for mark, t_s in when.items()})


def moments(**held: list[tuple[float, float]]) -> torch.Tensor:
    """The first thing beside marks, how sure and at which times, the surest first."""
    table = torch.zeros(1, 2, len(SOUGHT), len(MARKS), MOMENTS, dtype=torch.float64)
    for mark, pairs in held.items():
        if pairs:
            table[0, :, 0, MARKS.index(mark), : len(pairs)] = torch.tensor(pairs, dtype=torch.float64).mT
    return table


@torch.no_grad()
def test_marks_are_told_in_order_of_time_by_their_words_fainter_the_less_sure(words, language):
    told = words(seen(beds=30.0, chair=10.0, kitchen=20.0), [WHICH], language)[0]
    names = language.embed_words(["chair", "kitchen", "beds"])
    share = told[0].norm() / names[0].norm()
    assert 0.4 < share < 0.5, "as sure as the sighting, and as the name"
    torch.testing.assert_close(told[:3], share * names, atol=1e-5, rtol=1e-4)
    assert not told[3].any()


@torch.no_grad()
def test_names_are_as_faint_as_before_anything_was_moved_and_letters_go_by_what_is_now(words, language):
    table, moved = seen(beds=30.0, chair=10.0, kitchen=20.0), torch.tensor([-2.0, 3.0])
    less = table.clone()
    less[:, 0] = shifted(table[:, 0], moved[:, None, None])
    torch.testing.assert_close(words(less, [WHICH], language, moved), words(table, [WHICH], language))
    assert words(less, [WHICH], language)[0, 0].norm() < 0.4 * words(table, [WHICH], language)[0, 0].norm()
    likelier = moments(chair=[(0.6, 50.0), (0.59, 10.0), (0.59, 11.0)], kitchen=[(0.9, 20.0)])
    told = words(likelier, [OPTIONS], language, moved)[0, LISTED]
    torch.testing.assert_close(told, words(likelier, [OPTIONS], language)[0, LISTED])


@torch.no_grad()
def test_of_one_moment_the_surest_mark_is_told(words, language):
    table = seen(beds=30.0, chair=30.0)
    table[0, 0, 0, MARKS.index("chair"), 0] = 0.6
    told = words(table, [WHICH], language)[0]
    alone = words(table * (table[:, :1] != 0.5), [WHICH], language)[0]
    torch.testing.assert_close(told[:LISTED], alone[:LISTED])
    assert told[0].any()


@torch.no_grad()
def test_where_a_question_names_marks_the_others_are_not_told(words, language):
    told = words(seen(beds=5.0, chair=10.0, kitchen=20.0), [OPTIONS], language)[0]
    torch.testing.assert_close(told[:2], words(seen(chair=10.0, kitchen=20.0), [WHICH], language)[0, :2])
    assert not told[2:LISTED].any()


@torch.no_grad()
def test_the_letter_of_the_option_that_fits_is_told(words, language):
    table = seen(chair=10.0, kitchen=20.0)
    letters = language.embed_words(["A", "B"])

    def shares(table: torch.Tensor) -> torch.Tensor:
        told = words(table, [OPTIONS], language)[0, LISTED]
        return torch.linalg.lstsq(letters.T, told[:, None]).solution[:, 0]

    a, b = shares(table)
    assert b > 0.9
    assert abs(a) < 0.02
    table[:, 0] *= 2
    torch.testing.assert_close(shares(table), torch.stack([a, b]), msg="however sure")
    torch.testing.assert_close(shares(table.where(table < 1.5, 30 - table)), torch.stack([b, a]), atol=1e-4, rtol=1e-4)
    assert not words(table, [WHICH], language)[0, LISTED].any(), "it has no options"


@torch.no_grad()
@pytest.mark.parametrize(
    ("chair", "kitchen", "right"),
    [
        ([(0.9, 10.0), (0.8, 30.0)], [(0.9, 20.0), (0.8, 40.0)], "B"),
        ([(0.6, 50.0), (0.59, 10.0), (0.59, 11.0)], [(0.9, 20.0)], "B"),
        ([(0.99, 50.0), (0.59, 10.0), (0.59, 11.0)], [(0.9, 20.0)], "A"),
        ([(0.9, 10.0)], [], "AB"),
        ([(0.5, 50.0), (0.5, 10.0)], [(0.6, 20.0), (0.4, 50.0)], "A"),
    ],
    ids=[
        "either pair",
        "two outweigh one that is hardly surer",
        "but not a sure one",
        "nothing is known of the other",
        "what is surely one of them is not both",
    ],
)
def test_every_moment_that_is_held_weighs_as_much_as_it_is_sure(words, language, chair, kitchen, right):
    told = words(moments(chair=chair, kitchen=kitchen), [OPTIONS], language)[0, LISTED]
    letters = language.embed_words(["A", "B"])
    shares = torch.linalg.lstsq(letters.T, told[:, None]).solution[:, 0]
    expected = torch.tensor([(letter in right) / len(right) for letter in "AB"])
    torch.testing.assert_close(shares / shares.sum(), expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_orders_are_as_likely_as_all_ways_to_give_each_mark_a_moment_of_its_own(seed):
    """Worked out one by one: no moment is given twice, and beside a mark it is not given, nothing was seen at it."""
    generator = torch.Generator().manual_seed(seed)
    beside = 0.1 + torch.rand(MOMENTS, 3, generator=generator, dtype=torch.float64)  # at each moment, beside each mark
    beside /= beside.sum(1, keepdim=True) * (1.05 + torch.rand(MOMENTS, 1, generator=generator))
    when = torch.rand(MOMENTS, generator=generator, dtype=torch.float64)
    chances = dict.fromkeys(itertools.permutations(range(3)), 0.0)
    for given in itertools.permutations(range(MOMENTS), 3):  # the moment of each mark
        order = sorted(range(3), key=lambda mark, given=given: float(when[given[mark]]))
        chances[tuple(order)] += math.prod(
            float(beside[moment, mark] / (1 - beside[moment].sum())) for mark, moment in enumerate(given)
        )
    sure, at = beside.T.sort(1, descending=True)
    expected = torch.tensor(list(chances.values()), dtype=torch.float64) / sum(chances.values())
    torch.testing.assert_close(fits(list(chances), sure, when[at]), expected, atol=0.01, rtol=0)


@torch.no_grad()
def test_what_was_never_seen_fits_no_option_better(words, language):
    told = words(seen(), [OPTIONS], language)[0]
    assert not told[:LISTED].any()
    share = told[LISTED].norm() / language.embed_words(["A", "B"]).mean(0).norm()
    torch.testing.assert_close(told[LISTED], share * language.embed_words(["A", "B"]).mean(0), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_question_about_something_else_is_told_nothing(words, language):
    table = seen(beds=30.0, chair=10.0)
    told = words(table, ["which kitchen holds the chair"], language)
    assert told.norm() < 0.1 * words(table, [WHICH], language).norm()


def test_what_is_wrong_with_an_answer_reaches_the_sightings(words, language):
    sure, when = seen(chair=10.0, kitchen=20.0)[0]
    sure.requires_grad_()
    words(torch.stack([sure, when]).unsqueeze(0), [OPTIONS], language).square().sum().backward()
    assert sure.grad is not None
    assert sure.grad[0, :2, 0].all()
    assert not sure.grad[1].any()
