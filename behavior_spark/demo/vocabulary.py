"""Words and clauses that the shop's users write.

A name in braces is replaced by one of its `WORDS`, or by a fact of the text (`{item}` the item
that the text is about, `{other}` another item, `{cat}` the item's category, `{n}` a number).
"""

from __future__ import annotations

from typing import Final

INTENTS: Final = (
    "find_product",
    "compare",
    "ready_to_buy",
    "delivery_problem",
    "refund_request",
    "cancel_intent",
    "praise",
    "complaint",
    "other",
)
EMOTIONS: Final = ("joy", "anger", "sadness", "worry", "neutral")

WORDS: Final[dict[str, tuple[str, ...]]] = {
    "parcel": ("parcel", "package", "order", "delivery", "box", "shipment", "stuff"),
    "courier": ("the courier", "the driver", "your carrier", "the delivery guy", "whoever ships"),
    "money": ("my money", "a refund", "the amount", "what I paid", "the {n} euro", "my payment"),
    "broken": ("broken", "cracked", "faulty", "damaged", "in pieces", "defective", "scratched"),
    "late": ("late", "overdue", "delayed", "behind schedule", "not on time"),
    "good": ("great", "lovely", "excellent", "really nice", "spot on", "brilliant", "perfect"),
    "bad": ("poor", "flimsy", "cheap-looking", "disappointing", "useless", "shoddy", "awful"),
    "days": ("{n} days", "a week", "ages", "over {n} days", "two weeks", "since Monday"),
    "want": ("I want", "I'd like", "I need", "please", "could you", "can I", "is it possible to"),
    "thing": ("the {item}", "my {item}", "this {item}", "it", "the thing", "the item"),
    "leave": ("close my account", "stop the order", "call the whole thing off", "drop the order",
              "cancel", "cancel everything", "end my membership", "back out of it"),
    "buy": ("order", "buy", "get", "pick up", "take", "grab", "stock up on"),
    "look": ("looking for", "searching for", "after", "trying to find", "interested in"),
    "who": ("my sister", "my dad", "a friend", "the kids", "my flat", "the office", "myself"),
    "soon": ("today", "this week", "before Friday", "right away", "now", "by the weekend"),
}  # fmt: skip

# Clauses of chats by intent. Some share words with other intents on purpose.
CHAT: Final[dict[str, tuple[str, ...]]] = {
    "find_product": (
        "I'm {look} a {item} for {who}", "do you have a {item} in another size",
        "{want} see what you have in {cat}", "is there a {item} that comes in {adj}",
        "does the {item} come with instructions", "which {cat} would you suggest for {who}",
        "what is the {item} made of", "I can't find the {item} on the site",
        "do you ever sell a {adj} {item}", "just browsing, what is new in {cat}",
    ),
    "compare": (
        "what is the difference between the {item} and the {other}",
        "is the {adj} {item} better than the {other}",
        "not sure if I should take {item} or {other}",
        "the {other} costs less, is the {item} worth it",
        "how does the {item} compare with others",
        "another shop has a {item} for {n} less", "which lasts longer, {item} or {other}",
        "I'm torn, {other} or {item}", "are the two {item} models the same quality",
    ),
    "ready_to_buy": (
        "{want} {buy} another {item} {soon}", "is the {item} in stock, I would {buy} it {soon}",
        "does the voucher work on the {item}", "I ran out of mine and need a new {item}",
        "if I {buy} {n} of the {item} is there a discount",
        "my basket won't let me pay for the {item}",
        "can you put a {item} aside for me, I'll {buy} it {soon}",
        "same {item} as last time please",
        "how fast would a {item} get here if I {buy} it {soon}",
        "about to {buy} the {item} for {who}",
    ),
    "delivery_problem": (
        "where is my {parcel}", "my {parcel} has not arrived after {days}",
        "{courier} says delivered but nothing is here", "tracking has not moved for {days}",
        "the {item} is {late}, when does it come", "{courier} left the {parcel} in the rain",
        "my {parcel} went to the wrong address", "half of my {parcel} is missing",
        "waiting {days} for the {item}", "nobody rang, the {parcel} went back to the depot",
    ),
    "refund_request": (
        "{want} {money} back for the {item}", "how do I send the {item} back",
        "I returned the {item} and have not seen {money}",
        "{thing} came {broken}, {want} {money} back",
        "the {item} does not fit, can I return it", "you charged me twice for the {item}",
        "I was promised {money} {days} ago", "{want} a return label for {thing}",
        "the {item} is not as described so I am sending it back", "no replacement, just {money}",
    ),
    "cancel_intent": (
        "{want} {leave}", "please {leave}, I don't need the {item} any more",
        "if the {parcel} isn't here {soon} I'll {leave}", "how do I {leave}",
        "I have found the {item} elsewhere, {leave}", "I think I'm done with this shop",
        "I won't be ordering again, {leave}", "take the {item} off my order",
        "thinking about going to another shop", "forget the {item}, {leave}",
    ),
    "praise": (
        "just wanted to say the {item} is {good}", "thanks, {thing} came quickly and works",
        "your team sorted out my {parcel}", "{who} loves the {item}", "{good} service as ever",
        "the {item} was worth every cent", "the new {item} is {good}, well done",
        "the {parcel} was here before I expected it",
    ),
    "complaint": (
        "the {item} is {bad}", "{thing} stopped working after {days}", "{thing} came {broken}",
        "the quality has gone down a lot", "nobody answers my messages",
        "the photos are misleading",
        "the {item} smells of plastic", "I've asked {n} times about the {item}",
        "the last agent was rude to me", "not what I expected from a {n} euro {item}",
    ),
    "other": (
        "hello?", "are you a person", "ok", "never mind, found it", "what are your opening hours",
        "do you have a shop in town", "can I work for you", "how do I change my password", "test",
        "thanks, bye", "my cat walked over the keyboard", "is this the right chat",
    ),
}  # fmt: skip

REVIEW: Final[dict[str, tuple[str, ...]]] = {
    "praise": (
        "{good} {item}", "the {item} does just what it should", "{who} uses it every day",
        "bought a {item} for {who}, {good}", "sturdy and looks {good}",
        "better than the {other} I had",
        "I'd {buy} it again", "great product", "five stars", "exactly as in the pictures",
        "colour is {good} and it feels solid", "arrived fast and the {item} is {good}",
    ),
    "complaint": (
        "{bad} {item}", "{thing} came {broken}", "fell apart after {days}", "not worth {n} euro",
        "smaller than it looks", "the {other} I had was far better", "do not buy",
        "great, another {broken} {item}",
        "colour is nothing like the picture", "one star", "worked for {days} and then gave up",
        "wanted to love the {item} but it is {bad}",
    ),
    "refund_request": (
        "sent it back", "returned the {item}, still waiting for {money}",
        "{thing} came {broken}, {money} please",
        "two returns of a {item} in a month", "had to ask for {money}",
    ),
    "cancel_intent": (
        "my last order here", "will shop elsewhere from now on", "cancelled the rest of my order",
        "after this {item} I'm gone", "going to {leave} after this",
    ),
    "ready_to_buy": (
        "will {buy} {n} more {soon}", "need another {item} for {who}", "already on my list again",
        "about to {buy} the matching {other}", "liked it so much I'm getting a second {item}",
    ),
    "delivery_problem": (
        "item fine but {days} {late}", "the {parcel} took {days}", "box was crushed by {courier}",
        "came {late} and the {parcel} was open", "waited {days} for a {item}",
    ),
}  # fmt: skip

SEARCH: Final[dict[str, tuple[str, ...]]] = {
    "find_product": (
        "{item}", "{adj} {item}", "{item} {size}", "{adj} {item} {size}", "{cat} {adj}",
        "{item} for {who}",
        "{cat} gift ideas", "nice {item}", "{item} under {n}", "{adj} {cat}", "new {cat}",
        "{item} {adj} {size}",
    ),
    "compare": (
        "{item} vs {other}", "best {item}", "{item} or {other}", "{item} reviews", "cheap {item}",
        "{adj} {item} test", "top {n} {cat}", "{item} alternative", "{item} price",
        "{item} {size} or bigger",
    ),
    "ready_to_buy": (
        "{item} refill", "{item} voucher", "{item} in stock", "{adj} {item} next day",
        "{item} discount code",
        "{item} {size} pack of {n}", "order {item}", "{buy} {adj} {item}", "{item} again",
        "{item} delivery {soon}",
    ),
    "delivery_problem": ("where is my {parcel}", "track {parcel}", "{parcel} {late}",
                         "missing {item}"),
    "refund_request": ("return {item}", "return policy", "refund {item}",
                       "{broken} {item} return label"),
    "cancel_intent": ("cancel order", "{leave}", "delete account", "cancel {item}"),
    "complaint": ("complaint form", "{item} stopped working", "{broken} {item} help",
                  "{item} faulty"),
    "other": ("opening hours", "jobs", "asdf", "gift card", "newsletter", "{n}", "shop near me"),
}  # fmt: skip

FEELING: Final[dict[str, tuple[str, ...]]] = {
    "joy": ("so happy with this", "thank you so much", "made my day", "love it", "can't wait",
            "yay",
            "what a pleasant surprise", "I'm delighted", "big smile here", "over the moon", "😊",
            "❤️❤️"),
    "anger": ("this is ridiculous", "I'm fed up", "unacceptable", "what a joke",
              "absolutely furious",
              "are you kidding me", "I've had enough", "worst shop ever", "sort it out!!", "😡",
              "how dare you", "this makes my blood boil"),
    "sadness": ("I'm really disappointed", "such a pity", "it was meant as a birthday gift",
                "what a letdown", "I had hoped for better", "this ruined the day", "sad to see",
                "feeling let down", "😢", "I used to like this place", "heartbroken, honestly"),
    "worry": ("I'm a bit worried", "is that normal", "hope nothing is wrong", "please hurry",
              "getting nervous here", "not sure what to do", "I'm afraid it got lost", "😟",
              "I need it in time", "does that sound safe", "should I be concerned"),
    "neutral": ("just asking", "for information", "let me know", "that's all", "no rush", "fyi"),
}  # fmt: skip

FILLER: Final = (
    "I ordered it {days} ago", "order number {order}", "it is for {who}",
    "I have been a customer for {n} years",
    "I also looked at the {other}", "as in my last mail", "using the app", "paid by card",
    "saw it in {cat}", "I live on the {n}th floor", "the site was slow", "size {size}",
)  # fmt: skip
GREETINGS: Final = ("hi", "hello", "hey there", "good morning", "Hi team,", "hola", "hallo",
                    "shalom שלום",
                    "dear shop", "bonjour", "مرحبا", "quick one:")  # fmt: skip
CLOSINGS: Final = (
    "thanks",
    "thx",
    "cheers",
    "regards",
    "merci",
    "danke",
    "תודה",
    "شكرا",
    "🙏",
    "bye",
    "...",
)
CONTACT: Final = (
    "my mail is {email}",
    "reach me at {email}",
    "call {phone}",
    "my number: {phone}",
    "card {card} was charged",
    "paid with {card}",
    "I connect from {ip}",
    "login from {ip} fails",
)
NAMES: Final = (
    "anna",
    "omar",
    "li.wei",
    "dana",
    "jonas",
    "fatima",
    "noa",
    "pedro",
    "kim",
    "eva",
    "yusuf",
)
DOMAINS: Final = ("example.com", "example.org", "mail.example.net")
# Published test numbers of card networks: valid by Luhn's rule, but of no real card.
TEST_CARDS: Final = ("4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005",
                     "4012888888881881", "6011 1111 1111 1117", "5105 1051 0510 5100")  # fmt: skip

SPAM: Final = (
    "{hook} {prize} {act} {link}", "{act} {link} {hook}", "{prize}!!! {link}",
    "{hook}, {act}: {link}",
    "my uncle made {n}00 a day, {act} {link}", "{prize} - dm me on telegram @{handle}{n}",
    "nice {item}. also {prize} at {link}", "{hook} {prize} {hook}",
    "is the {item} ok? {act} {link}",
)  # fmt: skip
SPAM_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "hook": ("work from home", "limited offer", "congratulations", "dear winner", "hot deal",
             "no risk",
             "you were selected", "l@st chance", "earn fast", "guaranteed profit"),
    "prize": ("free spins", "b1tcoin doubling", "crypto signals", "casino bonus", "c4sino jackpot",
              "cheap followers", "fake watches 90% off", "instant loan", "miracle diet pills",
              "ETH airdrop"),
    "act": ("click", "visit", "join now", "sign up here", "check", "claim at", "go to"),
    "link": ("http://win-{n}.example.net", "bit.example/{n}x", "www.lucky{n}.example.com",
             "t.example/{handle}",
             "hxxp://coin{n}.example.org/ref={n}"),
    "handle": ("cryptoking", "luckyjane", "profit_pro", "spinmaster", "dealz"),
}  # fmt: skip
