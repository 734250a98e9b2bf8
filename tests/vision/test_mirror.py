"""Places are mirrored as their pictures are."""

import pytest
import torch

from ssm_sense.errors import UserError
from ssm_sense.vision.mirror import mirror


def test_rows_are_turned_round_and_keep_their_order() -> None:
    places = torch.arange(9).view(1, 9, 1)
    assert mirror(places).flatten().tolist() == [2, 1, 0, 5, 4, 3, 8, 7, 6]
    assert torch.equal(mirror(mirror(places)), places)


def test_what_is_no_grid_is_refused() -> None:
    with pytest.raises(UserError, match="square grid to mirror, got 8"):
        mirror(torch.zeros(2, 8, 4))
