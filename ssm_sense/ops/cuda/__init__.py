"""The recurrence on CUDA: ``kernels/scan.cu`` and ``kernels/conv.cu``, compiled at first use on the user's machine."""
