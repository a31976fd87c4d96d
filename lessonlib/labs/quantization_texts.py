"""Texts of lesson 08, written for this course: some to measure a model on, others to calibrate with, never the same."""

from __future__ import annotations

from .kv_cache import OTHER_STORY, STORY
from .tokens_and_context_texts import ENGLISH

# What bits per byte are measured on. Nothing here is ever seen by AWQ, GPTQ or the search for bits.
EVALUATION = (
    "Once upon a time there was a small boat named Pip. Pip lived in a blue harbor with many big ships. The big ships "
    "went far away every day, but Pip stayed near the shore. One morning there was a thick fog, and the big ships could "
    "not see the land. Pip knew every rock in the harbor. He rang his little bell and went out into the fog. The big "
    "ships heard the bell and came after him, one by one. When the sun came back, all the ships were safe. The captain "
    "smiled and gave Pip a new red flag. Pip was very proud, and he rang his bell all day long.\n",
    "Anna and Ben wanted to make a cake for their grandmother. They put flour, eggs and sugar into a big bowl. Ben "
    "stirred so fast that the flour flew into the air. \"Oh no,\" said Anna, \"now we look like two snowmen!\" They "
    "laughed and cleaned the kitchen together. Then they put the cake into the oven and waited. It smelled so good that "
    "the dog came in and sat down next to the oven. In the evening grandmother came to visit. She ate two big pieces and "
    "said it was the best cake in the whole town. Ben gave the last piece to the dog.\n",
    "A fox was very hungry and saw a hen on the roof of a house. \"Good morning, dear hen,\" said the fox. \"Have you "
    "heard the news? All the animals are friends now. Come down and let us dance.\" The hen looked far over the fields. "
    "\"That is good news,\" she said. \"I see two dogs who run this way. They will want to dance with us.\" The fox "
    "turned around at once. \"Why do you run?\" asked the hen. \"The dogs may not have heard the news,\" said the fox. "
    "He who tells lies should not be surprised when nobody believes him.\n",
    "User: I would like to book a table for dinner, please.\nAssistant: Sure. For how many people, and at what time?\n"
    "User: There are four of us. We want to come at seven in the evening.\nAssistant: I have a table for four people at "
    "seven. What is your name, please?\nUser: My name is Martin. Do you have food without meat?\nAssistant: Yes, we have "
    "three dishes without meat. Your table is booked, Martin. Is there anything else I can help you with?\n"
    "User: No, that is all. Thank you very much.\nAssistant: You are welcome. See you this evening!\n",
    "def sum_of_squares(numbers):\n    total = 0\n    for number in numbers:\n        total += number * number\n"
    "    return total\n\n\ndef longest_word(words):\n    longest = \"\"\n    for word in words:\n"
    "        if len(word) > len(longest):\n            longest = word\n    return longest\n\n\ndef is_even(n):\n"
    "    return n % 2 == 0\n",
)  # fmt: skip

# What AWQ and GPTQ look at: other stories of the same kinds.
CALIBRATION = (
    STORY + "\n",
    OTHER_STORY + "\n",
    ENGLISH + "\n",
    "Tim found a little bird under a tree. The bird could not fly because its wing was hurt. Tim took off his cap and "
    "put some soft grass in it. He carried the bird home and gave it water and small pieces of bread. Every day the bird "
    "grew stronger. After two weeks it jumped onto the window and looked at the sky. \"You can go,\" said Tim, \"but "
    "please come back and sing for me.\" The bird flew three times around the house and away over the trees. The next "
    "morning Tim heard a song outside his window. He opened it and there were two birds.\n",
    "There was once a king who owned a hundred clocks, but he never had time. He ran from room to room to wind them all. "
    "One night a girl came to the castle and asked for a place to sleep. \"Why do you need so many clocks?\" she asked. "
    "\"To know what time it is,\" said the king. The girl looked out at the moon. \"It is night,\" she said, \"and we "
    "should sleep.\" The king thought about it for a long while. Then he gave away all the clocks but one, and he slept "
    "better than ever before.\n",
    "User: Can you help me to find a train to the city?\nAssistant: Of course. On which day do you want to travel?\n"
    "User: On Friday morning, please. I need to be there before ten.\nAssistant: There is a train at eight. It arrives at "
    "half past nine. Do you want to book it?\nUser: Yes, two tickets, please. How much is it?\nAssistant: Two tickets "
    "are thirty pounds. I have booked them for you. Have a good trip!\n",
    "def count_vowels(text):\n    count = 0\n    for letter in text:\n        if letter in \"aeiou\":\n"
    "            count += 1\n    return count\n\n\ndef largest(numbers):\n    best = numbers[0]\n"
    "    for number in numbers[1:]:\n        if number > best:\n            best = number\n    return best\n\n\n"
    "def reverse(text):\n    result = \"\"\n    for letter in text:\n        result = letter + result\n    return result\n",
)  # fmt: skip

PROMPT = "Once upon a time, there was a little girl named Lily. She"
