"""Numbers as a person writes them."""


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 tick, 2 ticks."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
