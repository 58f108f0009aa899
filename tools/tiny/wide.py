"""Questions put together from parts: some hundred thousand wordings a task, where wordings.py lists some dozens.

A model that saw only a list of wordings learns the list. Here a question is an opening, a way of asking and an ending,
chosen apart from each other, with synonyms, dropped words and typing errors, so that only the words that carry the task
are left to go by. <name> stands for one of PARTS, [a|b] for one of the alternatives, {o} for what the caller fills in.
"""

import random
import re

import noise
import wordings
from names import EMOJI_NAMES, PLURAL_ONLY

PARTS = {
    "img": "image picture photo pic photograph drawing illustration graphic scene snapshot screenshot frame".split(),
    "this": ["the", "this", "the", "this", "that", "my", "your", "the given", "the attached", "the above", "this little"],
    "objs": ["objects", "things", "items", "elements", "figures"],
    "color": ["color", "colour"],
    "in": ["", "", "", "", " in <this> <img>", " in <this> <img>", " in <this> <img>", " here", " on <this> <img>", " there",
           " in what you see", " in what I sent", " in the <img> I [sent|uploaded|drew|gave you]", " within <this> <img>"],
    "open": ["", "", "", "", "", "In <this> <img>, ", "Looking at <this> <img>, ", "Look at <this> <img>. ", "Look closely: ",
             "Based on <this> <img>, ", "As you can see, ", "[Hello|Hi|Hey]! ", "[Hello|Hi|Hey], ", "Excuse me, ", "Okay, ", "Well, ",
             "Just curious: ", "One more question: ", "I have a question: ", "For my homework: ", "Quickly: ", "Be honest: ",
             "I can't see it well. ", "My daughter drew this. ", "My eyes are bad. ", "Here is <this> <img>. ", "Next question: ",
             "Let's try this: ", "Now tell me: ", "Be exact: ", "Think about it: ", "Attention please: ", "Sorry, ", "Right, ",
             "I found this <img>. ", "We need your help: ", "According to <this> <img>, ", "From what you see, ", "Listen, "],
    "end": ["", "", "", "", "", "", ", please", " please", ", thanks", " for me", ", if you can", " exactly", ", do you think", " now",
            " again", ", my friend", " in your opinion", ", would you say", " at all", " Answer in one sentence.", " Be brief.",
            " Thank you!", " Thanks in advance.", " I need to know.", " It matters to me."],
    "request": ["Please ", "Could you ", "Can you ", "Would you ", "Could you please ", "Can you please ", "Would you please ", "Will you ",
                "Would you kindly ", "I want you to ", "I need you to ", "I'd like you to ", "I would like you to ", "Try to ", "Kindly ", "",
                "", "", "", "Are you able to ", "Would it be possible to ", "Do you think you could ", "Your task is to ", "You should ",
                "It would be nice if you could ", "Help me, ", "Go ahead and ", "Let us "],
    "tell": ["tell me", "say", "tell", "let me know", "tell us", "explain", "explain to me", "report", "state", "find out", "work out",
             "figure out", "determine", "answer", "show me", "make out", "see", "write", "write down", "guess", "point out", "mention"],
    "wonder": ["I wonder ", "I was wondering ", "I want to know ", "I would like to know ", "I'd like to know ", "Do you know ",
               "Do you see ", "Can you see ", "Could you tell me ", "Any idea ", "I am not sure ", "I don't know ", "I cannot see ",
               "I forgot ", "My question is ", "I am asking ", "People ask me ", "Do you have an idea ", "The question is ",
               "It is not clear to me ", "I am curious ", "I need to find out ", "What I want to know is ", "Are you sure "],
    "give": ["Give me ", "Name ", "Tell me ", "State ", "I need ", "I want ", "I'd like ", "I would like to have ", "Provide ", "Report ",
             "Please give ", "Please name ", "Please state ", "Could you give me ", "Can you name ", "Can you give me ", "Would you name ",
             "Find ", "Determine ", "Return ", "Write down ", "What would you say is ", "What is ", "What's ", "What about ", "How about ",
             "Do you know ", "Can you find ", "Say ", "Let me have ", "Show me ", "I am interested in ", "Tell us ", "Figure out "],
    "check": ["whether", "if"],
}

# a question that stands alone; a clause after "tell me"; a noun phrase after "give me"
DIRECT = {
    "what": ["What [is|'s] [shown|visible|depicted|pictured|drawn|displayed|present]<in>", "What [do|can] you [see|recognise|recognize|notice|spot|find|make out]<in>",
             "What does <this> <img> [show|depict|display|have in it|represent]", "Which <objs> [are|do you see|can you find|can be seen]<in>",
             "What [kind of |]<objs> [are there|are|do you see]<in>", "What is [going on|there|it]<in>", "What [have|did] I [drawn|draw|put|show you]<in>",
             "What is <this> <img> [of|about]", "What [could|might|would] this be", "Which <objs> does <this> <img> [show|have]", "What are [these|those|they]",
             "What [was|is] [put|placed|painted]<in>", "Anything<in>", "So what is it<in>", "What else"],
    "color": ["[What|Which] <color> is the {o}<in>", "[What|Which] <color> does the {o} have<in>", "What is the {o}'s <color>", "How is the {o} colored<in>",
              "What <color> would you call the {o}", "The {o} is [what|which] <color>", "The {o} has [what|which] <color>", "In [what|which] <color> is the {o} [shown|painted|drawn|filled]",
              "[What|Which] <color> was used for the {o}", "[What|Which] <color> is used for the {o}<in>", "And the <color> of the {o}", "What about the <color> of the {o}", "Which <color> is it, the {o}"],
    "textcolor": ["[What|Which] <color> [is the text|are the letters|is the writing|is the word|are the characters|is the lettering|is the font]<in>",
                  "[What|Which] <color> does the [text|writing|word|lettering] have<in>", "In [what|which] <color> is [the text|it|the word] [written|set|printed|shown]<in>",
                  "[What|Which] <color> was used for the [text|letters|word|writing]", "The [text|writing|word] is [what|which] <color>",
                  "What about the <color> of the [text|letters|writing|word]"],
    "count": ["How many {os} [are there|are|do you see|can you see|can you count|can you find|are shown|are visible|exist|did I draw|have we got|do you find]<in>",
              "How many {os} does <this> <img> [have|show|hold]", "What number of {os} [is|do you see]<in>", "{os}: how many", "How many of the <objs> are {os}", "How many {os}",
              "What is the [count|number|total] of {os}<in>", "How often do you see {os}<in>", "And how many {os}", "So how many {os} are we talking about"],
    "where": ["Where [is|'s] the {o}<in>", "Where [do|can] you [see|find|spot] the {o}<in>", "In [which|what] [part|corner|place|spot|section|region] [of <this> <img> |]is the {o}",
              "[Which|What] [part|section|side|region] of <this> <img> has the {o}", "Where [was|is] the {o} [placed|put|located|drawn|positioned|shown]<in>",
              "Whereabouts is the {o}<in>", "Where did I [put|place|draw] the {o}<in>", "The {o} is where", "Where should I look for the {o}", "Is the {o} left, right, top, bottom or center",
              "Where in <this> <img> [is|do you see] the {o}", "At [what|which] position is the {o}", "And where is the {o}"],
    "relation": ["Where is the {a}[,|] [relative to|compared to|compared with|in relation to|with respect to|with regard to|as seen from] the {b}<in>",
                 "On [which|what] side of the {b} is the {a}<in>", "[Which|What] side of the {b} is the {a} on<in>", "In [which|what] direction from the {b} is the {a}",
                 "How is the {a} [placed|positioned|located|situated] [relative to|compared to|with respect to] the {b}", "Seen from the {b}, where is the {a}",
                 "Starting at the {b}, where is the {a}", "What is the position of the {a} [relative to|compared to|with respect to] the {b}",
                 "Is the {a} left of, right of, above or below the {b}", "Which way is it from the {b} to the {a}", "Going from the {b}, where do I find the {a}",
                 "If I stand at the {b}, where is the {a}", "Taking the {b} as the start, where is the {a}", "Compared to the {b}, where is the {a}"],
    "exists": ["Is there {an}<in>", "Do you [see|spot|find|notice|recognise] {an}<in>", "Can you [see|spot|find|make out] {an}<in>", "Does <this> <img> [show|have|hold|depict] {an}",
               "Is {an} [shown|visible|there|present|drawn|depicted]<in>", "Is {an} [in|part of|among the <objs> in] <this> <img>", "Can {an} be [seen|found]<in>", "Did I [draw|put|show] {an}<in>",
               "Have you [seen|found] {an}<in>", "Is one of the <objs> {an}", "There is {an}<in>, [right|correct|isn't there]", "Any sign of {an}<in>", "Would you say there is {an}<in>"],
    "isrel": ["Is the {a} {r} the {b}<in>", "Is it [true|right|correct] that the {a} is {r} the {b}", "Would you say [that |]the {a} is {r} the {b}<in>", "Do you [see|find] the {a} {r} the {b}",
              "The {a} is {r} the {b}, [right|correct|isn't it|true]", "Does the {a} [lie|stand|sit] {r} the {b}", "Do you agree that the {a} is {r} the {b}"],
    "iscolor": ["Is the {o} {c}<in>", "Is it [true|right|correct] that the {o} is {c}", "Would you [say|call] the {o} {c}", "Does the {o} look {c}", "Do you see a {c} {o}, or is it another <color>",
                "The {o} is {c}, [right|correct|isn't it|true]", "Is {c} the <color> of the {o}", "Is the <color> of the {o} {c}<in>", "Do you agree that the {o} is {c}"],
    "text": ["What does [the text|it|this|the writing|the word|the sign|<this> <img>] [say|read]<in>", "What [is|'s] [written|printed|spelled]<in>", "[Which|What] [text|word|letters|characters|string] [is|are|do you see|can you read|is written|is shown]<in>",
             "What [do|can] you read<in>", "What [is|'s] the [text|word|writing|inscription|string]<in>", "What [word|text] did I write<in>", "How [do|would] you read [this|it]", "What is it that is written<in>",
             "What do [the letters|the characters|these letters] say", "What letters are [there|these]", "What did [I|they|she|he] write<in>"],
    "char": ["What is the {n} [character|letter or digit|symbol]<in>", "Which [character|symbol] is the {n}[ one|]<in>", "Which [character|symbol] [comes|stands] {n}<in>", "What is the {n} [character|symbol] of the [text|word|string]",
             "What does the {n} [character|symbol] [look like|say]", "The {n} [character|symbol] is what", "What [character|symbol] [is|stands] at the {n} [position|place|spot]", "In {n} place, which character do you see"],
    "length": ["How many [characters|symbols] [are there|are|do you see|does the text have|does it have|can you count|make up the text]<in>", "How long is the [text|word|string|writing]<in>",
               "What is the length of the [text|word|string]<in>", "How many [characters|symbols] long is [it|the text|the word]", "What number of characters [is there|does the text have]", "How many letters and digits are there<in>"],
    "compare": ["What [is|'s] [different|the difference|not the same|unlike|changed|new]<two>", "Are [they|these|those|the two|these two|both|both <img>s|the two <img>s|these <img>s] [the same|identical|different|alike|equal]",
                "[How|In what way|In which way] [do|are] [they|the two|these|the two <img>s|the <img>s] [differ|different|unlike]", "Do [they|both|these|the two <img>s|the <img>s|these <img>s] [differ|match|show the same|look the same|show the same thing|agree]",
                "What [changed|has changed|did change|differs]<two>", "Is [there|there any|there some] [difference|change]<two>", "Is it [the same|a different|twice the same] <img>", "Same or not", "Can you see a difference<two>",
                "Which difference do you see<two>", "Did anything change<two>", "What distinguishes them", "Is <img> one the same as <img> two", "Were the <img>s changed"],
    "nth": ["What [is|'s] [shown |visible |there |]in the {n} [<img>|one]", "What does the {n} [<img>|one] [show|depict|have in it]", "What [do|can] you see in the {n} [<img>|one]", "The {n} [<img>|one] shows what",
            "What about the {n} [<img>|one]", "And the {n} [<img>|one]", "What is the {n} [<img>|one] of", "Which <objs> are in the {n} [<img>|one]"],
}
PARTS["two"] = ["", "", "", " between [them|the two|these two|the <img>s|the two <img>s|both <img>s|these <img>s]", " in the [second|other] <img>", " here"]

CLAUSE = {
    "what": ["what is [shown|visible|there|drawn|present]<in>", "what you [see|can see|notice|recognise]<in>", "what <this> <img> [shows|depicts|is of|has in it]", "which <objs> [there are|are there|you see|can be seen]<in>"],
    "color": ["[what|which] <color> the {o} [is|has]<in>", "[what|which] <color> the {o} is [drawn|painted|shown] in", "[what|which] the <color> of the {o} is", "how the {o} is colored"],
    "textcolor": ["[what|which] <color> the [text|writing|word|lettering] [is|has]<in>", "[what|which] <color> the [letters|characters] are", "in [what|which] <color> the [text|word] is [written|printed]"],
    "count": ["how many {os} [there are|you see|are there|you can find|are visible|are shown]<in>", "what number of {os} there is<in>", "how many {os} <this> <img> [has|shows]"],
    "where": ["where the {o} is<in>", "where [you see|I can find|I find|to find|to look for] the {o}<in>", "in [which|what] [part|corner|place|region] [of <this> <img> |]the {o} is", "where in <this> <img> the {o} is"],
    "relation": ["where the {a} is [relative to|compared to|in relation to|with respect to] the {b}", "on [which|what] side of the {b} the {a} is", "how the {a} is placed [relative to|compared to] the {b}", "where, from the {b}, the {a} is"],
    "exists": ["<check> there is {an}<in>", "<check> you [see|can see|find|spot] {an}<in>", "<check> {an} is [there|visible|shown|present]<in>", "<check> <this> <img> [shows|has] {an}"],
    "isrel": ["<check> the {a} is {r} the {b}", "<check> it is true that the {a} is {r} the {b}", "<check> you see the {a} {r} the {b}"],
    "iscolor": ["<check> the {o} is {c}", "<check> the <color> of the {o} is {c}", "<check> you would call the {o} {c}"],
    "text": ["what [the text|it|this|the writing|the word|<this> <img>] says", "what is [written|printed]<in>", "what you [read|can read]<in>", "[which|what] [text|word|letters|characters] [is|are] [written|shown]<in>", "what the [text|word|writing] is"],
    "char": ["what the {n} [character|symbol] is<in>", "which [character|symbol] [is the {n}|comes {n}|stands at {n} place]", "what the {n} [character|symbol] of the [text|word] is"],
    "length": ["how many characters [there are|you see|the text has|are there]<in>", "how long the [text|word|string] is", "what the length of the [text|word] is"],
    "compare": ["what is [different|not the same]<two>", "what the difference is<two>", "<check> [they|these|the two|both <img>s|the <img>s] [differ|are the same|are identical|match]", "how [they|the <img>s|these two] differ", "what [changed|has changed]<two>"],
    "nth": ["what is [shown |]in the {n} [<img>|one]", "what the {n} [<img>|one] shows", "what you see in the {n} [<img>|one]"],
}

NOUN = {
    "what": ["[a|a short|a brief|one] [description|caption|title] [of|for] <this> <img>", "the <objs><in>", "all [the |]<objs> [you see|you find]<in>", "everything you [see|find]<in>", "a list of [the|all] <objs><in>"],
    "color": ["the <color> of the {o}<in>", "the {o}'s <color>", "the <color> that the {o} has"],
    "textcolor": ["the <color> of the [text|letters|writing|word|characters|lettering|font]<in>", "the [text|font] <color>"],
    "count": ["the [number|count|total number|total] of {os}<in>", "the number of {os} [you see|shown]"],
    "where": ["the [position|place|location] of the {o}<in>", "the {o}'s [position|place|location]"],
    "relation": ["the [position|place|location] of the {a} [relative to|compared to|with respect to|as seen from] the {b}"],
    "text": ["the [text|word|writing|letters|string|inscription]<in>", "the [text|word] [that you see|you read|written]<in>", "the characters<in>"],
    "char": ["the {n} [character|symbol]<in>", "the {n} [character|symbol] of the [text|word|string]"],
    "length": ["the [number|count] of characters<in>", "the length of the [text|word|string]<in>"],
    "compare": ["the difference<two>", "[a|the] comparison of [the two|these|both] <img>s", "what differs<two>", "all differences<two>"],
    "nth": ["[a description of|a caption for] the {n} [<img>|one]", "what is in the {n} [<img>|one]"],
}

ORDER = {
    "what": ["[describe|caption|explain|summarise|summarize|interpret] <this> <img>", "[list|name|identify|enumerate|describe] [the|all|all the] <objs><in>", "describe what [you see|is there]<in>", "look at <this> <img> and describe it"],
    "color": ["name the <color> of the {o}", "identify the <color> of the {o}", "describe the <color> of the {o}"],
    "textcolor": ["name the <color> of the [text|letters|writing]", "identify the <color> of the [text|word]"],
    "count": ["count [the|all|all the|all of the] {os}<in>", "count {os}", "count how many {os} there are<in>", "add up the {os}<in>"],
    "where": ["[locate|find|spot] the {o}<in>", "describe where the {o} is<in>", "[show|point] me to the {o}"],
    "relation": ["describe where the {a} is [relative to|seen from] the {b}", "describe the position of the {a} [relative to|compared to] the {b}", "compare the position of the {a} with that of the {b}"],
    "exists": ["look for {an}<in>", "check <check> there is {an}<in>", "search for {an}<in>"],
    "isrel": ["check <check> the {a} is {r} the {b}", "verify that the {a} is {r} the {b}"],
    "iscolor": ["check <check> the {o} is {c}", "verify that the {o} is {c}"],
    "text": ["read [the text|it|this|the word|the writing|the letters|the sign|<this> <img>|what is written][ aloud| to me| out loud|]<in>", "[transcribe|copy|type|spell|extract|decipher|repeat|recognise] [the text|it|the word|the letters|what is written]<in>", "do OCR<in>"],
    "char": ["read [me |]the {n} [character|symbol]<in>", "find the {n} [character|symbol]", "pick the {n} [character|symbol] of the text"],
    "length": ["count [the|all] [characters|symbols]<in>", "count the characters of the [text|word]", "measure the length of the [text|word] in characters"],
    "compare": ["compare [the two|these|both|the|these two] <img>s", "compare them", "[spot|find|name|describe|look for] [the difference|a difference|any difference|what is different]<two>", "compare the first <img> [with|to|and] the second"],
    "nth": ["describe the {n} [<img>|one]", "look at the {n} [<img>|one] and describe it", "caption the {n} [<img>|one]"],
}

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SMALL_WORDS = {"the", "is", "a", "of", "are", "do", "you", "me", "in", "this", "please", "what's", "that"}


def expand(pattern: str, rng: random.Random) -> str:
    """Replace parts and alternatives until none is left."""
    while "<" in pattern or "[" in pattern:
        pattern = re.sub(r"<(\w+)>", lambda m: rng.choice(PARTS[m.group(1)]), pattern)
        pattern = re.sub(r"\[([^\[\]<>]*)\]", lambda m: rng.choice(m.group(1).split("|")), pattern)
    return re.sub(r" +", " ", re.sub(r" +([?.,'])", r"\1", pattern)).strip()


def lower_first(text: str) -> str:
    return text if text.startswith(("I ", "I'", "OCR")) else text[:1].lower() + text[1:]


def misspell(text: str, rng: random.Random) -> str:
    """One typing error or one dropped small word; braces and what they hold stay."""
    words = text.split(" ")
    i = rng.randrange(len(words))
    word = words[i]
    if "{" in word or "}" in word:
        return text
    if rng.random() < 0.5 and word.lower() in SMALL_WORDS and len(words) > 3:
        return " ".join(words[:i] + words[i + 1:])
    if len(word) < 4 or not word.isalpha():
        return text
    j = rng.randrange(1, len(word) - 1)
    kind = rng.random()
    word = (word[:j] + word[j + 1:] if kind < 0.4 else word[:j] + word[j + 1] + word[j] + word[j + 2:] if kind < 0.7
            else word[:j] + rng.choice(LETTERS) + word[j + 1:] if kind < 0.85 else word[:j] + word[j] + word[j:])
    return " ".join(words[:i] + [word] + words[i + 1:])


def sentence(task: str, rng: random.Random) -> str:
    """One question with its slots still open."""
    ways = [(DIRECT, 0.42), (CLAUSE, 0.26), (NOUN, 0.18), (ORDER, 0.14)]
    ways = [(table, weight) for table, weight in ways if task in table]
    table = rng.choices([t for t, _ in ways], [w for _, w in ways])[0]
    core, mark = rng.choice(table[task]), "."
    if table is DIRECT:
        mark = "?"
    elif table is CLAUSE:
        if rng.random() < 0.5:
            core = "<request><tell> " + core
        else:
            core, mark = "<wonder>" + core, rng.choice("?.")
    elif table is NOUN:
        core = rng.choice(["<give>", "<give>", "<give>", ""]) + core
        mark = rng.choice(".?")
    else:
        core = "<request>" + core
        mark = rng.choice("..?")
    opening, ending = expand(rng.choice(PARTS["open"]), rng), rng.choice(PARTS["end"])
    core = expand(core, rng)
    if not opening.endswith((".", "!", ":")) and opening:
        core = lower_first(core)
    core = core[:1].upper() + core[1:] if not opening or opening.endswith((".", "!")) else core
    tail = ending + mark if not ending or not ending.endswith((".", "!")) else mark + ending
    return f"{opening} {core}{tail}".strip()


def agree(text: str, slots: dict) -> str:
    """"is the grapes" -> "are the grapes", for names that are plural."""
    for name in slots.values():
        if name in PLURAL_ONLY:
            text = text.replace(f"'s the {name}", f" are the {name}")
            text = re.sub(rf"\b([Ii])s the {re.escape(name)}", lambda m: ("A" if m.group(1) == "I" else "a") + f"re the {name}", text)
            text = re.sub(rf"\b([Dd])oes the {re.escape(name)}", lambda m: m.group(1) + f"o the {name}", text)
    return text


def as_typed(text: str, rng: random.Random) -> str:
    """Sometimes without capitals or without the mark at the end."""
    if rng.random() < 0.22:
        text = text.lower() if rng.random() < 0.8 else text[:1].lower() + text[1:]
    return text.rstrip("?.") if rng.random() < 0.18 else text


def bare(text: str) -> str:
    """A pattern without capitals and marks, to tell whether two are the same."""
    return re.sub(r"[^a-z0-9{} ]", "", text.lower()).strip()


KEPT_BACK = {bare(text) for texts in wordings.HELD_OUT.values() for text in texts}


def ask(task: str, rng: random.Random, **slots: str) -> str:
    """A question of this task: from the plain lists of wordings.py, from what people wrote, or put together here."""
    kind = rng.random()
    if kind < 0.12:
        return wordings.ask(task, rng, **slots)
    text = rng.choice(wordings.WRITTEN[task]) if kind < 0.55 else sentence(task, rng)
    while bare(text) in KEPT_BACK:
        text = sentence(task, rng)
    if rng.random() < 0.3:
        text = noise.around(text, rng, EMOJI_NAMES)
    if rng.random() < 0.12:
        text = misspell(text, rng)
    return as_typed(agree(text.format(**slots), slots), rng)


def small_talk(openings: list[str], rng: random.Random) -> str:
    """One of the listed things to say, at times with an opening or an ending, or after another one of the same kind."""
    text = rng.choice(openings)
    kind = rng.random()
    if kind < 0.12:
        text = rng.choice(["Hello! ", "Hi, ", "Hey, ", "Okay, ", "Well, ", "So, ", "Please, "]) + lower_first(text)
    elif kind < 0.22:
        text = text.rstrip("?.!") + rng.choice([" please?", ", please.", ", my friend", " today?", " now?", "!", ", vlmd", ", model"])
    elif kind < 0.3:
        text = text + " " + rng.choice(openings)
    if rng.random() < 0.08:
        text = misspell(text, rng)
    return as_typed(text, rng)
