"""Short texts of lesson 04, written for this course: samples of several kinds, and stories in words that small models know."""

from __future__ import annotations

# The four examples of the source lesson.
EXAMPLES = ("Hello, world!", "def fibonacci(n):", "Supercalifragilistic", "192.168.1.20")

ENGLISH = (
    "Every morning the people of the village walked to the well to fetch water. One day the well was dry. The old baker "
    "said that the spring under the hill had moved, and that somebody had to look for it. So two children took a lamp, "
    "some bread and a long rope, and they went into the cave. It was dark and cold, but after an hour they heard the "
    "sound of running water. They followed it, marked the way with white stones, and came home before the evening."
)
GERMAN = (
    "Jeden Morgen gingen die Leute aus dem Dorf zum Brunnen, um Wasser zu holen. Eines Tages war der Brunnen trocken. Der "
    "alte Bäcker sagte, dass die Quelle unter dem Hügel sich verlagert habe und dass jemand sie suchen müsse. Also nahmen "
    "zwei Kinder eine Lampe, etwas Brot und ein langes Seil und gingen in die Höhle. Es war dunkel und kalt, aber nach "
    "einer Stunde hörten sie das Geräusch von fließendem Wasser."
)
JAPANESE = (
    "毎朝、村の人たちは井戸まで水をくみに行きました。ある日、井戸には水がありませんでした。年をとったパン屋さんは、"
    "山の下の泉を探さなければならないと言いました。そこで二人の子どもがランプとパンと長い縄を持って、洞窟に入りました。"
    "中は暗くて寒かったですが、一時間後に水の音が聞こえました。"
)
PYTHON = '''def count_words(lines, ignore=("the", "a", "of")):
    """How often each word occurs, most frequent first."""
    counts = {}
    for line in lines:
        for word in line.lower().split():
            word = word.strip(".,;:!?")
            if word and word not in ignore:
                counts[word] = counts.get(word, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


if __name__ == "__main__":
    with open("story.txt", encoding="utf-8") as file:
        for word, count in count_words(file)[:10]:
            print(f"{count:6d}  {word}")
'''
NUMBERS = (
    "2026-11-24 08:15:03 192.168.1.20 GET 200 51234 0.0371\n2026-11-24 08:15:04 192.168.1.87 GET 304 0 0.0026\n"
    "2026-11-24 08:15:09 10.0.14.233 POST 201 1822 0.4410\n2026-11-24 08:16:40 192.168.1.20 GET 200 90817 0.1198\n"
    "total 144873 bytes, mean 36218.25, p50 0.0784, p95 0.3928\n"
)
SPACES = (
    "services:\n    web:\n        image: shop\n        ports:\n            - 80\n            - 443\n        limits:\n"
    "            memory:\n                request:      2\n                limit:        4\n\n\n    cache:\n"
    "        image: store\n        limits:\n            memory:\n                request:      1\n"
    "                limit:        2\n"
)
SAMPLES = {
    "English prose": ENGLISH,
    "Python": PYTHON,
    "German prose": GERMAN,
    "Japanese prose": JAPANESE,
    "numbers": NUMBERS,
    "white space": SPACES,
}

# A name that stands at the start, sentences that push it back, and an end at which it is wanted again.
NAMES = ("Pip", "Dot", "Lulu", "Rumi")  # names that no model knows as the usual one of a story
FACT = "Once upon a time there was a little dragon named {name}. {name} lived in a big tree. "
FILLER = (
    "One day it was very warm. The sun was in the sky and the birds sang in the trees. ",
    "A boy came down the road with a red ball. He played near the water all day. ",
    "Then the wind came and the ball rolled away into the tall grass. The boy looked for it but he could not find it. ",
    "His mom came and said that it was time to go home. The boy was sad. ",
    "The next day the boy came back. It rained a little, and the grass was wet and green. ",
    "He looked behind the stones and under the old bridge. There was a frog, but there was no ball. ",
)
ASK = 'The boy looked up at the tree and saw the little dragon. "What is your name?" he asked. "My name is'

STORIES = (
    "Ben had a small blue boat. He took it to the pond and put it on the water. A duck swam up to the boat and looked at "
    "it. The duck wanted to sit in the boat, but it was too big. Ben laughed. He gave the duck some bread, and the duck "
    "was happy. Then Ben pulled the boat out of the water and dried it with his hat. He went home and told his dad about "
    "the big duck and the small boat. His dad smiled and said that they could go back to the pond the next day.",
    "Mia and her brother wanted to make a cake for their mom. They put flour, milk and eggs into a bowl. Mia mixed it with "
    "a big spoon. Some flour fell on the cat, and the cat ran away. They put the cake into the oven and waited. Soon the "
    "kitchen smelled very good. When mom came home, she saw the cake and the white cat. She laughed and gave them a hug. "
    "They all ate cake together, and then they washed the cat.",
    "There was a little bear who did not like the snow. It was cold and wet, and it made his feet hurt. One day his friend, "
    "the rabbit, came to his door. The rabbit had a sled and two warm hats. They went up the hill and sat on the sled. It "
    "went down very fast. The bear shouted with joy. He wanted to do it again and again. Now the little bear likes the "
    "snow, and every winter he waits for it at the window.",
    "Anna lost her key in the garden. She looked under the bench and behind the flowers, but it was not there. A bird sat "
    "in the tree and watched her. The bird liked shiny things. It had the key in its nest. Anna saw something bright in "
    "the tree. She got a long ladder and climbed up. The bird was angry, so Anna gave it a shiny button. The bird took the "
    "button, and Anna took the key. Then she could open the door and go inside.",
    "Sam wanted to be tall like his dad. Every morning he stood at the wall and his dad made a line above his head. The "
    "line did not move for many days. Sam was sad. His mom told him to sleep well and to eat his soup. The summer came and "
    "went. One morning the new line was above the old line. Sam jumped up and down. He ran outside to tell the dog. The "
    "dog did not know what it meant, but it jumped too.",
)
