"""The errors that the commands print as one line, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something the user gave or lacks: what is wrong, where, and what to do."""


class SweepError(UserError):
    """A sweep file or a trial that cannot be run as written."""


class DataError(UserError):
    """A data set that is missing, or a file of it that is damaged."""


class RecordError(UserError):
    """A record that cannot be read."""


class DeviceError(UserError):
    """A framework or device that this machine lacks."""


class SpeedError(UserError):
    """Benchmarks that cannot be run as asked, or whose results cannot be read."""
