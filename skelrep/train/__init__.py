"""Pretraining of encoders without labels, fine-tuning, and evaluation protocols.

Internal to skelrep; its stable entry points are the commands `skelrep prepare`, `pretrain`, `export` and `protocols`.
To read the modules in order: prepare (from files to a corpus), data (from a corpus to views), augment, losses, memory,
i2md (the method), recipes, loop, run (from a recipe to an encoder), then finetune and protocols.
"""
