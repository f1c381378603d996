"""The one error of the kernels: a day that cannot be used, and why."""


class UnusableDay(ValueError):
    """The day's data cannot be used; the message says what is wrong and what to do."""
