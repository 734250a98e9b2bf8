"""The shipped model loads from the package, watches, and holds what a fresh state holds."""

import torch

from ssm_sense.folder import default, load_session


def test_the_shipped_model_watches_and_answers() -> None:
    session = load_session(default())
    before = session.nbytes
    frames = torch.randint(0, 255, (6, 96, 160, 3), dtype=torch.uint8)
    reports = session.feed(frames, range(6))
    assert [report.t_s for report in reports] == [0, 1, 2, 3, 4, 5]
    assert session.nbytes == before
    assert session.ask("Which room is this?").text
    assert session.ask("Which came first?", ["A. Bed, Sofa", "B. Sofa, Bed"]).text in "AB"
