"""Prompts are worded as VSI-SUPER words them."""

from ssm_sense.data.clip import Question


def test_a_question_with_options_asks_for_the_letter() -> None:
    question = Question("In which order?", "B", 600.0, "vsr", ("A. Sofa, Bed", "B. Bed, Sofa"))
    assert question.prompt == (
        "In which order?\nOptions:\nA. Sofa, Bed\nB. Bed, Sofa\n"
        "Answer with the option's letter from the given choices directly."
    )


def test_an_open_question_asks_for_a_word() -> None:
    question = Question("How many different chair(s) are there in the video?", "3", 600.0, "vsc")
    assert question.prompt == (
        "How many different chair(s) are there in the video?\nPlease answer the question using a single word or phrase."
    )
