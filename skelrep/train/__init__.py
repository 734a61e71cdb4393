"""Pretraining of encoders without labels, fine-tuning, and evaluation protocols.

Internal to skelrep; its stable entry points are the commands `skelrep prepare`, `pretrain`, `export` and `protocols`.
Suggested order of reading: prepare (files to a corpus), data (a corpus to views), augment, losses, memory, i2md (the
method), recipes, loop, run (from a recipe's name to an encoder); then finetune and protocols.
"""
