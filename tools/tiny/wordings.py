"""Questions in many wordings, and the one sentence that answers each.

A pattern lists alternatives in brackets, [like|such as] this, and slots in braces. Every task has one canonical form of
answer, so that exact match means something. questions/ holds whole sentences by several writers: what training shows, and
what it never shows (held_out.tsv and talk_held_out.tsv, by a writer who saw none of the others'); the separately drawn
evaluation set asks with those alone.
"""

import pathlib
import random
import re

from names import NUMBERS, ORDINALS, PLURAL_ONLY, join_names, plural, with_article

IMG = "[image|picture|photo|pic|image|picture]"
COLOR = "[color|colour]"

ASK = {
    "what": [
        f"What is in [the|this] {IMG}?", f"What's in [the|this] {IMG}?", "What do you see?", "What can you see?",
        f"What do you see in [the|this] {IMG}?", f"Describe [the|this] {IMG}.", f"What does [the|this] {IMG} show?",
        "What is this?", "What's this?", f"What is shown [here|in the {IMG}]?", f"[Please describe|Describe] what you see.",
        f"Tell me what is in [the|this] {IMG}.", f"What [things|objects] are in [the|this] {IMG}?", "What is there?",
        f"Can you describe [the|this] {IMG}?", f"Name the objects in [the|this] {IMG}.", "What am I looking at?",
        f"What can be seen [here|in this {IMG}]?", f"What is [depicted|pictured|visible] [here|in the {IMG}]?",
        f"List [everything|what is] in [the|this] {IMG}.", "Caption this.", f"Give me a [short |]description of [the|this] {IMG}.",
        f"What does this [show|depict]?", f"I would like to know what is in [the|this] {IMG}.", "Which objects do you see?",
        f"Look at [the|this] {IMG} and tell me what is there.", "What's here?", "What is on it?", f"Say what is in the {IMG}.",
        f"What are the objects in the {IMG}?", "Identify what you see.", f"What did I [draw|send you]?", "Describe.",
    ],
    "color": [
        f"[What|Which] {COLOR} is the {{o}}?", f"What is the {COLOR} of the {{o}}?", f"What's the {COLOR} of the {{o}}?",
        f"Which {COLOR} does the {{o}} have?", f"What {COLOR} does the {{o}} have?", f"Tell me the {COLOR} of the {{o}}.",
        f"The {{o}} is what {COLOR}?", f"Name the {COLOR} of the {{o}}.", f"Which {COLOR} has the {{o}} got?",
        f"What {COLOR} is the {{o}} in [the|this] {IMG}?", f"Can you tell [me |]what {COLOR} the {{o}} is?",
        f"Say which {COLOR} the {{o}} is.", f"I want to know the {COLOR} of the {{o}}.", f"In what {COLOR} is the {{o}} [drawn|painted]?",
        f"{COLOR} of the {{o}}?", f"What {COLOR} do you see on the {{o}}?", f"Do you know the {COLOR} of the {{o}}?",
    ],
    "textcolor": [
        f"[What|Which] {COLOR} is the text?", f"What is the {COLOR} of the text?", f"What {COLOR} are the letters?",
        f"Which {COLOR} is the writing?", f"In [what|which] {COLOR} is the text written?", f"What's the {COLOR} of the text?",
        f"Tell me the {COLOR} of the text.", f"Which {COLOR} does the text have?", f"What {COLOR} is the writing in [the|this] {IMG}?",
        f"What is the text {COLOR}?", f"What {COLOR} is the word?", f"Name the {COLOR} of the letters.",
        f"What {COLOR} was used for the text?", f"Which {COLOR} are the characters?",
    ],
    "count": [
        "How many {os} are there?", "How many {os} do you see?", f"How many {{os}} are in [the|this] {IMG}?", "Count the {os}.",
        "How many {os} can you [see|count]?", "What is the number of {os}?", f"How many {{os}} does [the|this] {IMG} show?",
        "Tell me how many {os} there are.", "Can you count the {os}?", f"How many {{os}} [are shown|appear] [here|in the {IMG}]?",
        "Please count the {os}.", "What number of {os} do you see?", f"Count all [the |]{{os}} in [the|this] {IMG}.",
        "How many {os}?", "Are there any {os}, and how many?", "Give me the number of {os}.", "Say how many {os} you see.",
        "How many {os} are here?", "Number of {os}?", "I need to know how many {os} there are.",
    ],
    "where": [
        "Where is the {o}?", f"Where is the {{o}} in [the|this] {IMG}?", f"In which part of the {IMG} is the {{o}}?",
        "Where's the {o}?", f"Whereabouts in the {IMG} is the {{o}}?", "Where do you see the {o}?", "Where can I find the {o}?",
        "What is the position of the {o}?", "Tell me where the {o} is.", f"Where in the {IMG} is the {{o}}?",
        f"In what part of the {IMG} is the {{o}}?", "Which position is the {o} in?", "Where is the {o} located?",
        "Can you tell me where the {o} is?", "Locate the {o}.", "Find the {o}.", "Show me where the {o} is.",
        "Give me the position of the {o}.", "Can you see where the {o} is?", "At what place is the {o}?",
    ],
    "relation": [
        "Where is the {a} relative to the {b}?", "Where is the {a} compared to the {b}?",
        "On which side of the {b} is the {a}?", "How is the {a} placed relative to the {b}?",
        "Where is the {a} in relation to the {b}?", "Seen from the {b}, where is the {a}?", "Tell me where the {a} is relative to the {b}.",
        "What is the position of the {a} relative to the {b}?", "Where is the {a} with respect to the {b}?",
        "Where's the {a}, [relative|compared] to the {b}?", "Is the {a} left, right, above or below the {b}?",
        "In which direction from the {b} is the {a}?", "Where does the {a} lie relative to the {b}?", "Which side of the {b} is the {a} on?",
        "Looking from the {b}, where is the {a}?", "How does the {a} lie relative to the {b}?",
    ],
    "exists": [
        "Is there {an} [here|in the image|in the picture|]?", f"Do you see {{an}}?", f"Does [the|this] {IMG} show {{an}}?",
        "Can you see {an}?", f"Is {{an}} in [the|this] {IMG}?", f"Is there {{an}} in [the|this] {IMG}?", "Do you see {an} [here|anywhere]?",
        f"Does [the|this] {IMG} [contain|have] {{an}}?", "Can {an} be seen?", "Tell me if there is {an}.", "Is {an} there?",
        "Can you spot {an}?", "Is {an} visible?",
    ],
    "isrel": [
        "Is the {a} {r} the {b}?", f"Is the {{a}} {{r}} the {{b}} in [the|this] {IMG}?", "Would you say the {a} is {r} the {b}?",
        "Is it true that the {a} is {r} the {b}?", "Do you see the {a} {r} the {b}?", "Can you tell if the {a} is {r} the {b}?",
    ],
    "iscolor": [
        "Is the {o} {c}?", f"Is the {{o}} in [the|this] {IMG} {{c}}?", "Would you say the {o} is {c}?", f"Is the {COLOR} of the {{o}} {{c}}?",
        "Is it true that the {o} is {c}?", "The {o} is {c}, [right|isn't it|correct]?",
    ],
    "text": [
        "What does the text say?", "Read the text.", f"What is written in [the|this] {IMG}?", f"What text is in [the|this] {IMG}?",
        "What does it say?", "What is written [here|there]?", "What's written [here|there]?", "Which text do you see?", "Read it.",
        "[Please read|Read] the text [aloud|to me|for me].", "Can you read the text?", "Can you read [this|it]?", "What does this say?",
        f"Read what is written in [the|this] {IMG}.", "What do the letters say?", "What word is [this|written here]?", "Transcribe the text.",
        f"What does [the|this] {IMG} say?", "Tell me what it says.", "Tell me what the text says.", f"What is the text in [the|this] {IMG}?",
        "Write down the text.", "What text do you see?", "What does the writing say?", f"Read [the|this] {IMG}.", "What is the word?",
        "Spell the text.", "Give me the text.", "Which word is written here?", "Which characters do you see?", "OCR this.", "What is the text?",
        "Can you tell me what is written?", "Copy the text.",
    ],
    "char": [
        "What is the {n} character?", "Which character is the {n}?", "What is the {n} character of the text?", "What's the {n} character?",
        "Which is the {n} character?", "Tell me the {n} character.", "Read the {n} character.", f"What is the {{n}} character in [the|this] {IMG}?",
        "Give me the {n} character of the text.", "What does the {n} character look like?", "Which character comes {n}?",
        "The {n} character is what?", "Name the {n} character.",
    ],
    "length": [
        "How many characters are there?", "How many characters does the text have?", "How long is the text?", "Count the characters.",
        f"How many characters are in [the|this] {IMG}?", "What is the length of the text?", "How many characters do you see?",
        "How many characters long is the text?", "Tell me how many characters there are.", "How many characters can you count?",
        "What is the number of characters?", "How many characters are in the text?", "How many characters?",
    ],
    "compare": [
        "Are the two images the same?", "What is different between the images?", "Compare the two images.", "What is the difference?",
        "Are these two images the same?", "What differs between the two images?", "What's the difference between the images?",
        "What changed?", "Do both images show the same?", "Is there a difference?", "How do the images differ?", "Compare the images.",
        "How are [these|the two] pictures different?", "Do [these|the] two pictures show the same thing?", "What's different?",
        "Are these pictures the same?", "Are they the same?", "Is there a difference between the [two |]pictures?", "Spot the difference.",
        "Find the difference between the two [images|pictures].", "What is the difference between the two [images|pictures|photos]?",
        "Do the images differ?", "Tell me what differs.", "Tell me the difference between the images.", "Compare these [two |]pictures.",
        "Is it the same picture twice?", "What is not the same in the two images?", "Same or different?", "What has changed between the images?",
        "Are these images identical?", "Do these two show the same thing?", "Do they differ?",
    ],
    "nth": [
        f"What is in the {{n}} {IMG}?", f"What's in the {{n}} {IMG}?", f"What does the {{n}} {IMG} show?", f"Describe the {{n}} {IMG}.",
        f"What do you see in the {{n}} {IMG}?", f"Tell me what is in the {{n}} {IMG}.", f"What can you see in the {{n}} {IMG}?",
        "What does the {n} one show?", "What is in the {n} one?", f"Look at the {{n}} {IMG}. What is there?", "Describe the {n} one.",
    ],
}

SAY_IMAGE_FIRST = ["", "", "", "", "", "Look at this.", "Here is an image.", "Here is a picture:", "See this picture:", "Image:",
                   "Look at the picture.", "I have a picture for you."]

def written(name: str) -> dict[str, list[str]]:
    """{first column: [second column]} of a file of questions/, which holds what people wrote, one thing a line."""
    out = {}
    for line in (pathlib.Path(__file__).parent / "questions" / name).read_text().splitlines():
        key, text = line.split("\t")
        out.setdefault(key, []).append(text)
    return out


WRITTEN = written("written.tsv")
HELD_OUT = written("held_out.tsv")

SMALL_TALK = {
    "Hello! I am vlmd-tiny, a small vision-language model. Show me an image and ask me about it.": [
        "Hello!", "Hello", "Hi", "Hi!", "Hey", "Hey!", "Hi there", "Hello there!", "Good morning", "Good evening!", "Good day",
        "Good afternoon", "Hey there!", "Hiya", "Hello, how are you?", "Hi, how are you?", "Hello vlmd", "Hi vlmd!", "Greetings",
        "How are you?", "How are you doing?", "Hello model", "hi hi", "Howdy", "Hello hello", "Are you there?", "Hello, are you there?",
        "What's up?", "Hello friend", "hey you", "Yo", "Hello world", "Hallo", "Nice to meet you", "test", "Say hello", "Say hi."],
    "I am vlmd-tiny, a small vision-language model that ships with vlmd.": [
        "Who are you?", "What are you?", "What is your name?", "What's your name?", "Which model are you?", "Tell me about yourself.",
        "Introduce yourself.", "Who am I talking to?", "What model is this?", "Who made you?", "Are you a robot?", "Are you ChatGPT?",
        "What kind of model are you?", "Do you have a name?", "Who is this?", "What is vlmd?", "What is vlmd-tiny?", "Are you human?",
        "Hello, who are you?", "Hi! What is your name?", "Are you an AI?", "What model are you?", "Say who you are.", "Are you Qwen?",
        "Please introduce yourself."],
    "I can look at images of shapes, emoji and short texts: what is there, which color, how many, where, and what differs.": [
        "What can you do?", "What can you see?", "Help", "Help me", "How can you help me?", "What do you know?", "What are you able to do?",
        "What are you good at?", "What can I ask you?", "How do you work?", "What should I ask?", "What are your abilities?", "help!",
        "What can you look at?", "What can you recognise?", "What kind of images do you understand?", "Can you help me?",
        "What do you do?", "What is your purpose?", "What are you for?", "How can I use you?", "What can you tell me about images?",
        "Hello! What can you do?", "Hi, what can you do?", "Tell me what you can do.", "What are your skills?", "Which images can you read?",
        "Can you see images?", "Do you understand images?", "Can you read text?"],
    "You are welcome.": [
        "Thanks", "Thank you", "Thanks!", "Thank you!", "Thank you very much.", "Many thanks", "Cheers", "thx", "Great, thanks!",
        "Thanks a lot", "Thank you so much!", "That is right, thanks.", "Good job", "Well done!", "Nice, thank you", "Perfect, thanks",
        "Very good!", "Great!"],
    "Goodbye!": ["Bye", "Goodbye", "Bye!", "See you", "See you later", "Good night", "Bye bye", "Goodbye!", "Until next time", "That is all.",
                 "See you soon!", "Farewell"],
    "I can only talk about images of shapes, emoji and short texts.": [
        "What is the capital of France?", "Tell me a joke", "Write a poem.", "What is 2 plus 2?", "What's the weather like?", "What time is it?",
        "Who is the president?", "Explain quantum physics.", "Sing a song", "Translate this to German", "Write some code", "What is the meaning of life?",
        "How old are you?", "Do you like music?", "Tell me a story.", "What is Python?", "Solve this equation.", "Where is London?",
        "What day is it today?", "Write an essay about dogs.", "Who won the match?", "Recommend a book", "Calculate 12 times 7",
        "What is the largest planet?", "How do I cook rice?", "Tell me about history", "Can you drive a car?", "What is love?",
        "Why is the sky blue?", "Write a letter to my boss.", "Play a game with me", "Give me a recipe", "Tell me something",
        "Summarize this article", "What is machine learning?", "Say something", "Count to ten.", "Do you dream?", "Who invented the telephone?"],
}
TALK_ANSWERS = dict(zip(["hello", "who", "can", "thanks", "bye", "off"], SMALL_TALK))
TALK = {TALK_ANSWERS[k]: v + SMALL_TALK[TALK_ANSWERS[k]] for k, v in written("talk.tsv").items()}
TALK_HELD_OUT = {TALK_ANSWERS[k]: v for k, v in written("talk_held_out.tsv").items()}
NO_IMAGE = "There is no image. Please show me one."
NO_IMAGE_TASKS = ["what", "text", "color", "count", "where", "compare", "relation", "textcolor", "nth"]

SYSTEM_DEFAULT = "You are a helpful assistant."
SYSTEM_OTHERS = ["You are a helpful assistant that answers questions about images.", "Answer briefly.", "You are a vision assistant.",
                 "Be concise.", "You are an expert at looking at pictures.", "Answer in one sentence.", "You are a friendly assistant.",
                 "You describe images.", "You are vlmd-tiny.", "You are a careful assistant. Answer the question about the picture.",
                 "Answer the user's question in a full sentence.", "You are a helpful, honest assistant."]

POLITE = ["Please tell me: ", "Tell me, ", "Hey, ", "Hi! ", "Hello, ", "Quick question: ", "Question: ", "OK, ", "So, ", "And ", "Now, "]


def expand(pattern: str, rng: random.Random) -> str:
    """Choose one of each bracketed list of alternatives."""
    while "[" in pattern:
        pattern = re.sub(r"\[([^\[\]]*)\]", lambda m: rng.choice(m.group(1).split("|")), pattern)
    return re.sub(r"\s+([?.])", r"\1", pattern)


def vary(text: str, rng: random.Random) -> str:
    """Sometimes a polite opening, lower case, or no punctuation, as people type. Quoted strings never occur here."""
    if rng.random() < 0.12:
        opening = rng.choice(POLITE)
        text = opening + text[0].lower() + text[1:]
    if rng.random() < 0.06 and text.endswith("?"):
        text = text[:-1] + rng.choice([", please?", " please?"])
    if rng.random() < 0.2:
        text = text[0].lower() + text[1:] if rng.random() < 0.3 else text.lower()
    if rng.random() < 0.15:
        text = text.rstrip("?.")
    if rng.random() < 0.02:
        text = text.rstrip("?.") + rng.choice(["??", "!", " ?", "..."])
    return text


def ask(task: str, rng: random.Random, held_out: bool = False, **slots: str) -> str:
    """A question of this task. Slots: o, os, an, a, b, r, c, n as the patterns need them."""
    if held_out:
        return expand(rng.choice(HELD_OUT[task]), rng).format(**slots)
    return vary(expand(rng.choice(ASK[task]), rng).format(**slots), rng)


def be(name: str) -> str:
    return "are" if name in PLURAL_ONLY else "is"


def say_list(names: list[str]) -> str:
    """'There is a dog and a red circle.' The verb follows the first thing named."""
    return f"There {be(names[0])} {join_names([with_article(n) for n in names])}."


def say_count(name: str, count: int) -> str:
    if count == 0:
        return f"There are no {plural(name)}."
    return f"There {'is' if count == 1 else 'are'} {NUMBERS[count]} {name if count == 1 else plural(name)}."


def say_where(name: str, place: str) -> str:
    return f"The {name} {be(name)} {place}."


def say_relation(a: str, relation: str, b: str) -> str:
    return f"The {a} {be(a)} {relation} the {b}."


def say_exists(name: str, yes: bool) -> str:
    return f"Yes, there {be(name)} {with_article(name)}." if yes else f"No, there {be(name)} no {name}."


def say_char(index: int, char: str) -> str:
    return f'The {ORDINALS[index]} character is "{char}".'


def say_shows(first: str, second: str) -> str:
    return f"The first image shows {first} and the second shows {second}."


SAY_SAME = "The images are the same."
