"""Answers that the shop's service team has approved, and the keywords of a naive routing rule.

Each row is an answer id, the needs that it fits, and the text. The keywords are those that a
service lead writes down in ten minutes, with the names of the needs before her and no text.
"""

from __future__ import annotations

from typing import Final

ANSWERS: Final[tuple[tuple[str, str, str], ...]] = (
    ("where_is_it", "delivery_problem", "I am sorry that your parcel is late. I have asked the "
     "courier where the delivery is and will write to you within one working day."),
    ("wrong_address", "delivery_problem", "I am sorry that the courier left your parcel at the "
     "wrong place. Please check with your neighbours; if it is not there we send the order again."),
    ("how_to_return", "refund_request", "You can send the item back within thirty days. Please "
     "print the return label in your account; we refund the amount when the item is here."),
    ("refund_on_its_way", "refund_request", "Your refund is on its way. Your bank shows the money "
     "within five working days after we have received the item that you returned."),
    ("charged_twice", "refund_request", "I am sorry that you were charged twice for an order. I "
     "have passed the second payment to our accounts team, who will pay it back."),
    ("broken_item", "refund_request,complaint", "I am sorry that the item came broken or stopped "
     "working. Please send us a picture; we replace it or give you the money back."),
    ("cancel_order", "cancel_intent", "You can cancel an order in your account until it is packed. "
     "After that please refuse the parcel, and we refund what you paid."),
    ("close_account", "cancel_intent", "We are sorry to see you go. You can close your account and "
     "end your membership under Settings; open orders are cancelled with it."),
    ("quality", "complaint", "I am sorry that the quality is not what you expected. Thank you for "
     "telling us; I have passed it to the buyers of this product."),
    ("no_reply_yet", "complaint", "I apologise that nobody has answered your messages. I have read "
     "all of them and stay with your case until it is solved."),
    ("sizes", "find_product", "You find sizes, colours and materials of each product on its page, "
     "under Details. Tell me whom it is for, and I suggest something."),
    ("difference", "compare", "To compare two products, put both on your list and press "
     "Compare; the table shows price, material and differences in quality."),
    ("in_stock", "ready_to_buy", "The product page shows whether the item is in stock and how fast "
     "we deliver. We gladly put one aside for you until tomorrow."),
    ("voucher", "ready_to_buy", "Vouchers and discount codes are entered in the basket before you "
     "pay. One code counts for an order."),
    ("thanks", "praise", "Thank you for your kind words. I have passed them to the team, who will "
     "be delighted that you are happy."),
)  # fmt: skip
# Not approved by anybody, so never suggested.
DRAFTS: Final = (("draft_gift", "complaint", "Here is a gift card of one hundred euro."),)

KEYWORDS: Final[dict[str, tuple[str, ...]]] = {
    "delivery_problem": ("parcel", "package", "delivery", "courier", "tracking", "arrived"),
    "refund_request": ("refund", "money back", "return", "charged"),
    "cancel_intent": ("cancel", "close my account", "membership"),
    "complaint": ("broken", "quality", "complaint", "disappointed", "rude", "stopped working"),
    "praise": ("thank", "great", "love", "well done"),
    "compare": ("difference", "better", "compare", "cheaper"),
    "find_product": ("looking for", "do you have", "suggest", "find"),
    "ready_to_buy": ("order", "buy", "in stock", "voucher", "discount"),
}
