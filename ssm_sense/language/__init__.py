"""Tokens and questions to answers: pretrained causal language models."""
