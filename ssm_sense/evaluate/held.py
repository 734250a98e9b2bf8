"""Where the bytes are that a memory holds: in a recurrent state, in keys, values and tokens, or on the host."""

from ssm_sense.memory.policy import Policy

PLACES = ("state", "kv", "host")
_WATCHERS = ("level", "foresight", "cuts")
"""Attributes of policies that find surprise and cuts, each with a state of its own."""


def bytes_by_place(memory: Policy) -> dict[str, int]:
    """A memory's `nbytes` by PLACES, which add up to it.

    state: recurrent state, that of what finds surprise and cuts included. kv: keys and values, or tokens held for a
    reader, with their counts. host: what a policy puts aside in the host's memory wherever its model is.

    A policy says by an attribute ``holds`` which of them it fills; one that does not fills ``kv`` if its model makes
    tokens of frames, else ``state``. Raises KeyError where it says something else.
    """
    makes_tokens = hasattr(getattr(memory, "model", None), "frame_tokens")
    place = getattr(memory, "holds", "kv" if makes_tokens else "state")
    watchers = [getattr(memory, name) for name in _WATCHERS if hasattr(memory, name)]
    found = dict.fromkeys(PLACES, 0)
    found["state"] += sum(watcher.nbytes for watcher in watchers)
    found[place] += memory.nbytes - found["state"]
    return found
