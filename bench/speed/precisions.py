"""Which precisions a framework has on a device, and why not the others."""

from __future__ import annotations

from impls.contract import PRECISIONS, check_multiplies
from impls.errors import CellError


def unavailable(framework: str, *, device: str) -> dict[str, str]:
    """The precisions that the framework refuses on the device, each with its reason."""
    found = {}
    for precision in PRECISIONS:
        try:
            check_multiplies(framework, precision=precision, device=device)
        except CellError as error:
            found[precision] = str(error)
    return found
