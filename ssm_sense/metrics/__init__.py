"""What is measured, as pure functions, and torchmetrics classes over them.

answer     what a model's text answers: a letter, a number, a word
score      credit for one answer: ours, and the official scorers with their faults
interval   means with 95% intervals, of independent items and of streams
compare    two policies on the same questions: difference, equivalence, Holm's correction
boundary   surprise at true event boundaries: AUROC, average precision, F1, delay
running    torchmetrics classes for validation loops
vsi_bench  the mean of eight tasks
"""
