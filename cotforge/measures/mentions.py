"""Where a text names an option."""


def last_named(text: str, option: str) -> int:
    """Where the last whole-word mention of an option in a lower-case text ends; -1 where there is none."""
    wanted = option.lower()
    at = text.rfind(wanted)
    while at >= 0:
        end = at + len(wanted)
        if not text[at - 1 : at].isalnum() and not text[end : end + 1].isalnum():
            return end
        at = text.rfind(wanted, 0, end - 1)
    return -1
