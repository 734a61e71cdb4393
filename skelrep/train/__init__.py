"""Pretraining of encoders without labels, and what can be trained from them with few.

Internal to skelrep; the commands `skelrep prepare`, `pretrain`, `export` and `protocols` are its doors. Read downwards:
prepare (files to a corpus) -> data (a corpus to views) -> augment -> losses, memory, i2md (the method) -> recipes ->
loop -> run (a recipe's name to a published encoder); finetune stands beside.
"""
