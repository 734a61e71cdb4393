"""Choosing the device to compute on."""

from __future__ import annotations

import torch


def as_device(device: torch.device | str | None) -> torch.device:
    """The device with this name; None means a GPU if there is one, else the CPU.

    Raises:
        ValueError: if there is no such device on this machine.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        usable = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ValueError(f"there is no device {str(device)!r}; available: {', '.join(usable)}") from error
    return found
