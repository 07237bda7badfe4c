"""Pretrained decoders under the contract of `baselines.base`: `--model hf:FOLDER`.

Ouro and Jet-Nemotron are built here; any other is a decoder of transformers (extra `hf`).
"""
