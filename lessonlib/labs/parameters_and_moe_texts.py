"""Short texts of lesson 07, four kinds, written for this course: no model of it was trained on them."""

from __future__ import annotations

from .tokens_and_context_texts import NUMBERS, PYTHON, STORIES

DIALOGUE = (
    "User: I need a table for four people on Friday.\nAssistant: At what time do you want to come?\nUser: At half past "
    "seven, please.\nAssistant: There is a table near the window. Is that good for you?\nUser: Yes, that is good. Is there "
    "a bus to your place?\nAssistant: Bus 12 stops in front of the door. It comes every 20 minutes.\nUser: Thank you. That "
    "is all I need.\nAssistant: We are glad to see you on Friday.\nUser: Can you play a song for me?\nAssistant: What kind "
    "of music do you like?\nUser: Something slow, with a piano.\nAssistant: I found a song that you may like. Do you want "
    "me to play it on the kitchen speaker?\nUser: Yes, and not too loud.\nAssistant: It plays now.\n"
)
CODE = (
    PYTHON
    + '''
class Shelf:
    """Boxes by name, and how much each of them weighs."""

    def __init__(self, limit=100):
        self.limit = limit
        self.boxes = {}

    def add(self, name, weight):
        if weight <= 0:
            raise ValueError("a box must weigh something")
        if self.total() + weight > self.limit:
            return False
        self.boxes[name] = self.boxes.get(name, 0) + weight
        return True

    def total(self):
        return sum(self.boxes.values())


def heaviest(shelf, count=3):
    names = sorted(shelf.boxes, key=shelf.boxes.get, reverse=True)
    return [(name, shelf.boxes[name]) for name in names[:count]]
'''
)
FIGURES = (
    NUMBERS
    + "3 + 4 = 7\n12 + 5 = 17\n18 - 9 = 9\n6 + 30 = 36\n41 - 11 = 30\n7 + 7 = 14\n25 + 25 = 50\n90 - 60 = 30\n"
    + "1985: 12 boats, 31 men. 1990: 17 boats, 44 men. 1995: 22 boats, 58 men. 2000: 19 boats, 51 men.\n"
    + "width 240, height 135, depth 18; price 24.90, tax 4.73, sum 29.63; room 12, floor 3, seats 48\n"
)
FRIENDS = (
    "Tom and Lily met Max at the gate. Sue was late, so Ben ran to look for her. Lily gave Max an apple, and Max gave Tom a "
    "drum. Then Sue came with Jack and Lucy. Sam said that Jack could sit next to Ben, and Mia sang for Lucy and Tom. When "
    "it was dark, Anna walked home with Sue, and Lily walked home with Sam and Max."
)
TEXTS = {"stories": "\n\n".join([*STORIES, FRIENDS]), "dialogue": DIALOGUE, "code": CODE, "figures": FIGURES}
NAMES = frozenset(
    "Ben Mia Anna Sam Lily Tom Max Sue Lucy Jack".split()
)  # first names, one token each for the course's models
