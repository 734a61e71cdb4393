"""Pretraining of encoders without labels: losses, banks, augmentation, the loop.

Internal to skelrep; run by `python -m skelrep.train RECIPE --data POSES ... -o RUN`.
"""
