"""Pretrained decoders of transformers under the contract of `baselines.base` (extra `hf`): `--model hf:FOLDER`."""
