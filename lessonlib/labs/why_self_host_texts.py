"""Prompts and answers of lesson 01, written for this course: everyday work with a language model, one task each."""

from __future__ import annotations

# A chat in which something personal is typed once.
NAME = "Mara Lind"
QUESTIONS = (
    f"My patient {NAME}, born 4 May 1961, has a fever. Which questions should I ask?",
    "She also takes pills for her heart. Does that change the list?",
    "Write a short note for the nurse.",
)

PAGE = (
    "The village library closed in the winter, because the roof let in the rain. The council wanted to sell the house. Then "
    "an old teacher wrote a letter to the newspaper. She said that she had learned to read in that room, and that she would "
    "give the money for the first ten rows of slates. A carpenter read it and offered to work without pay on Saturdays. The "
    "school sent its oldest class to carry the books into a dry barn. A farmer lent the barn, and his dog slept on the "
    "encyclopedia. By March the roof was done. It had cost less than half of what the council had said. On the first day "
    "everybody wanted to bring back a book at the same time, and the line went around the church. The teacher cut the "
    "ribbon. She was asked for a speech, but she only said that the library was open from ten to six, and that one should be "
    "quiet inside. The council wrote into its plan that the roof is to be looked at every autumn. Someone also put a box at "
    "the door for coins, and a child painted it blue. In the box there is now enough for a new lamp in the reading room."
)
MAIL = (
    "Hello, my name is Tom Baker. I bought a blue lamp in your shop on Monday, order 1482. When I opened the box, the glass "
    "was broken. I live at 12 Mill Road in Oakham. I would like a new lamp and no money back. You can call me after five. "
    "Please also tell me whether I have to send the old one back to you, because it is in many pieces. Thank you very much."
)
CODE = '''def read_rows(path):
    """Rows of a file with names in its first line, as dictionaries."""
    rows = []
    with open(path) as file:
        header = file.readline().split(",")
        for line in file:
            rows.append(dict(zip(header, line.split(","))))
    return rows


def total(rows, column):
    """Sum of a column."""
    result = 0
    for row in rows:
        result += float(row[column])
    return result


def report(path):
    rows = read_rows(path)
    print(len(rows), "rows")
    print("total", total(rows, "price"))
'''
FAILURE = """FAILED test_report.py::test_total - KeyError: 'price'
    def test_total(tmp_path):
        file = tmp_path / 'a.csv'
        file.write_text('name,price\\nlamp,2.5\\nrope,4\\n')
        rows = read_rows(file)
>       assert total(rows, 'price') == 6.5
report.py:15: in total
    result += float(row[column])
E   KeyError: 'price'
1 failed, 3 passed in 0.04s
"""
FIXED = CODE.replace('readline().split(",")', 'readline().strip().split(",")').replace(
    'line.split(",")', 'line.strip().split(",")'
)

# Task -> turns of (prompt, answer).
TASKS = {
    "write a story": [
        (
            "Write a story about a bear and a boat.",
            "Once there was a bear who lived near a wide river. Every day he looked at the other side, where the berries were "
            "red. He could not swim so far. One day the rain brought a small boat. It had no oars, and there was a hole in it. "
            "The bear put a big leaf on the hole and sat on the leaf. Then he took a branch and pushed. The boat turned around "
            "two times and went home by itself. The bear was wet and cross. His friend, the otter, had seen it all. She tied a "
            "rope to the boat, took the rope in her teeth, and swam. They ate berries until the evening. The bear gave the "
            "otter the best ones, and the next day he began to make an oar.",
        )
    ],
    "chat, four turns": [
        (
            "Can you help me plan a dinner for six people?",
            "Of course! Does anyone not eat meat, and how much time do you have?",
        ),
        (
            "Two do not eat meat. I have about one hour.",
            "Then make a big pot of vegetable soup, bread with cheese, and a salad.",
        ),
        (
            "What do I need to buy for the soup?",
            "Carrots, potatoes, one onion, two cans of tomatoes, white beans, salt and some herbs.",
        ),
        (
            "And something sweet at the end?",
            "Bake apples with honey and nuts. They need twenty minutes while you eat the soup.",
        ),
    ],
    "rewrite a letter": [
        (
            f"Write this letter again, in a more formal tone: {MAIL}",
            "Dear Sir or Madam, I am writing about order 1482, a blue lamp that I bought from you on Monday. On opening the "
            "parcel I found that the glass was broken. I would be grateful if you could send a replacement to 12 Mill Road, "
            "Oakham; I do not wish to have the price paid back. Could you also let me know whether the damaged lamp is to be "
            "returned, as it is in many pieces? I can be reached by telephone after five o'clock. Yours faithfully, Tom Baker",
        )
    ],
    "summarise a page": [
        (
            f"Summarise this page in two sentences: {PAGE}",
            "A village saved its library: people gave money, time and a barn, and repaired the roof for less than half of the "
            "price that the council had named. The roof will now be looked at every autumn.",
        )
    ],
    "read a mail into a form": [
        (
            f"Return JSON with the keys name, order, problem and wish. The mail: {MAIL}",
            '{"name": "Tom Baker", "order": 1482, "problem": "broken glass", "wish": "new lamp"}',
        )
    ],
    "code agent, six steps": [
        (
            "You repair programs. Tools: run_tests(), read(file), write(file, text). Say one call at a time.\nTask: make the "
            "tests of report.py pass.",
            "run_tests()",
        ),
        (FAILURE, 'read("report.py")'),
        (CODE, 'read("test_report.py")'),
        (FAILURE.replace("FAILED", "def test_rows(tmp_path): ...\n"), f'write("report.py", {FIXED!r})'),
        ("written: report.py, 21 lines", "run_tests()"),
        ("4 passed in 0.03s\n", "The last column kept its line break. Now every line is stripped, and all tests pass."),
    ],
}
