"""What a run may spend: minutes of the clock, and bytes that the policy holds."""

import time
from dataclasses import dataclass


class CapReachedError(Exception):
    """A clip is cut off here. over: whether the run ends with it."""

    def __init__(self, message: str, over: bool) -> None:
        super().__init__(message)
        self.over = over


@dataclass(frozen=True)
class Cap:
    """Ends a run at a time of day, and any clip at which the policy holds more than so many bytes.

    until: in the seconds of `time.time`, the same in every process. minutes: what that was, for the message.
    """

    minutes: float | None = None
    nbytes: int | None = None
    until: float | None = None

    @classmethod
    def from_now(cls, minutes: float | None = None, nbytes: int | None = None) -> "Cap":
        """So many minutes from now on."""
        return cls(minutes, nbytes, None if minutes is None else time.time() + 60 * minutes)

    @property
    def time_is_up(self) -> bool:
        """Whether no clip should be begun any more."""
        return self.until is not None and time.time() >= self.until

    def check(self, held: int, t_s: float) -> None:
        """Raises CapReachedError for a stream that has come to t_s with so many bytes held."""
        if self.nbytes is not None and held > self.nbytes:
            raise CapReachedError(f"{held} bytes held at {t_s:g} s, more than the cap of {self.nbytes}", over=False)
        if self.time_is_up:
            raise CapReachedError(
                f"the cap of {self.minutes:g} minutes was reached at {t_s:g} s of the clip", over=True
            )
