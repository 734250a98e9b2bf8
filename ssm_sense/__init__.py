"""A video-language model that watches a stream that never ends, with memory that never grows.

The letters used throughout, in names such as ``x_BTSD`` and in every docstring:

    B  streams                 T  frames                     S  spatial tokens a frame (a grid of √S × √S)
    V  vision width            D  encoder width              E  inner width of a Mamba block (2·D)
    N  state size a channel    R  read-out tokens            Q  width of the language model
    P  pooled tokens an event  W  width of the convolution   K  questions

Times are seconds (``_s``), sizes are bytes (``_bytes``), tensors are channels-last: (B, T, S, D).
"""

__version__ = "0.1.0"
