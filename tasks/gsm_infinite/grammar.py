"""The forms of a problem in words: where a sentence begins, what it says, and what no name may hold.

A sentence begins at "The number of" (or total, average number), whatever stands before it, and at "the number of" after
a full stop or semicolon. A border that is none of these would make two sentences one with an odd name, so no name may
hold what only sentences and questions do.
"""

import re
from collections.abc import Iterator

_QUANTITY = "(?:total |average )?number of "
_NUMBER = "[0-9]{1,18}"  # no more digits: values of any text stay cheap to compute with
_NEXT_SENTENCE = re.compile(rf"\. (?=The {_QUANTITY})")
# One stop and no more: a name may end in another ("Acme Co.").
_ANY_BORDER = re.compile(rf" ?(?:[.;:,] ?| )(?=The {_QUANTITY})| ?[.;] ?(?=the {_QUANTITY})")
NO_NAME = re.compile("equals|number of|is greater than 0|[.;?] ?(?:what is the|how many) ")
NEXT_OPERAND = re.compile(rf"(?:,? and|,) the (?={_QUANTITY})")
_FORMULA = (
    rf"(?:(?P<constant>{_NUMBER}) (?P<how>plus|times) )?"
    rf"(?:the (?P<what>sum of|difference between) )?the (?P<operands>{_QUANTITY}.+)"
)
SENTENCE = re.compile(
    rf"[Tt]he (?P<left>{_QUANTITY}.+?)"
    rf"(?:(?P<positive> exists, and its number is greater than 0| is greater than 0)"
    rf"| equals (?:(?P<number>{_NUMBER})|{_FORMULA}))"
)
WHAT = re.compile(rf"What is the (?P<phrase>{_QUANTITY}.+?) ?\??")
HOW_MANY = re.compile(r"How many (?P<kind_place>.+) have ?\??")


def sentences(problem: str) -> Iterator[str]:
    """The sentences of a problem, without their full stops."""
    text = " ".join(problem.split())
    for part in _NEXT_SENTENCE.split(text[:-1] if text.endswith((".", ";")) else text):
        # Other borders take time to find, so they are sought only where a part states more than one thing.
        one = part.count(" equals ") + part.count(" is greater than 0") == 1
        yield from [part.strip()] if one else _ANY_BORDER.split(part.strip())
