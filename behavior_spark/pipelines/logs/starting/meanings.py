"""What the name of a kind of event means, in a dozen languages.

A name's meaning is the first of ``MEANINGS`` of which it has a word. The order is that of what
tells most: "order cancelled" is a cancellation, and "product added to cart" no view of a product.
Latin words are compared folded, as a whole or, where they end in ``*``, by their beginning; words
of several parts (``+``) need all of them, and a word after ``=`` must be the whole name. Words of
other scripts may be anywhere in the name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from behavior_spark.pipelines.logs.starting.words import snake


@dataclass(frozen=True)
class Meaning:
    """What an event is.

    Attributes:
        name: Its name where the log's own cannot be one.
        rank: Whose kinds are kept first: 0 before all.
        kind: Its kind in ``features.taxonomy``.
        sentiment: Likewise.
        words: Words that tell it.
    """

    name: str
    rank: int
    kind: str
    sentiment: str
    words: tuple[str, ...]


def _meaning(name: str, rank: int, kind: str, sentiment: str, words: str) -> Meaning:
    return Meaning(name, rank, kind, sentiment, tuple(w.strip() for w in words.split(",")))


# In the order in which they are tried.
MEANINGS = (
    _meaning("failure", 9, "other", "negative", """
        fail*, error*, declined, denied, abgelehnt*, fehler*, fehlgeschlagen, rechazad*, fallid*,
        echou*, echec, erreur, rifiutat*, falhou, erro, ошибк*, sikertelen*, 失败, 失敗, 错误, 錯誤,
        エラー, 실패, 오류, فشل, خطأ"""),
    _meaning("refund", 2, "cancel", "negative", """
        refund*, return+order, returned, chargeback, reembols*, devoluc*, devuelt*, rembours*,
        ruckerstatt*, erstattung*, ruckgabe*, zuruckge*, retour*, rimbors*, devolv*, estorno,
        возврат*,
        visszaterit*, visszakuld*, terugbetal*, zwrot*, 退款, 退货, 退貨, 返金, 返品, 환불, 반품,
        استرداد, إرجاع"""),
    _meaning("cancel", 2, "cancel", "negative", """
        cancel*, unsubscrib*, churn*, terminat*, deactivat*, delete+account, account+deleted,
        anular*, anulad*, annul*, resili*, desabonn*, storno*, storniert*, kundig*, abgemeldet*,
        cancell*, disdett*, disdire, отмен*, отписк*, lemond*, torol*, torles, leiratkoz*, anulow*,
        opzeg*, 取消, 退订, 退訂, 注销, 解約, キャンセル, 退会, 취소, 해지, 탈퇴, إلغاء"""),
    _meaning("sign_up", 2, "other", "positive", """
        signup, sign+up, signed+up, register*, registration*, registra*, account+created,
        create+account, cuenta+creada, inscri*, registrier*, angemeldet+neu, iscri*, регистрац*,
        зарегистр*, regisztr*, rejestrac*, aanmeld*, 注册, 註冊, 会員登録, 新規登録, 登録,
        회원가입, 가입,
        إنشاء حساب"""),
    _meaning("login", 6, "other", "neutral", """
        login*, log+in, logged+in, signin, sign+in, signed+in, inicio+sesion, iniciar+sesion,
        inicio+de+sesion, connexion*, connecte, anmeldung*, einloggen*, eingeloggt*, accesso,
        accedi*, вход*, вошел, авторизац*, bejelentkez*, zalogow*, inloggen, 登录, 登入, 登錄,
        ログイン,
        로그인, تسجيل الدخول"""),
    _meaning("logout", 8, "other", "neutral", """
        logout*, log+out, logged+out, signout, sign+out, signed+out, cerrar+sesion, deconnexion*,
        abmeldung*, ausloggen*, выход*, kijelentkez*, 退出, 登出, ログアウト, 로그아웃"""),
    _meaning("remove_from_cart", 7, "other", "negative", """
        remove*+cart, removed+product, product+removed, eliminar+carrito, eliminado+carrito,
        quitar+carrito, retirer+panier, supprim*+panier, entfernt*+warenkorb, rimoss*+carrello,
        移出购物车, 删除购物车"""),
    _meaning("wishlist", 6, "other", "positive", """
        wishlist*, wish+list, favorit*, favourit*, save+item, merkliste, wunschliste, deseos,
        favoris, preferiti, избранн*, kedvenc*, 收藏, お気に入り, 찜"""),
    _meaning("checkout", 3, "cart", "positive", """
        checkout*, check+out, begin+checkout, kasse, caisse, finalizar+compra, iniciar+compra,
        inicio+compra, оформлен*, penztar*, 结算, 結算, 结账, 結帳, レジ"""),
    _meaning("view", 5, "browse", "neutral", """
        view*, seen, pageview*, visit*, browse*, screen, page, impression*, vista, visto, vio, ver,
        visualiz*, consult*, vu, vue, voir, affich*, angesehen*, ansehen, ansicht*, aufgerufen*,
        seitenaufruf*, besuch*, просмотр*, megtekint*, megnez*, bekeken, 浏览, 瀏覽, 查看, 閲覧,
        表示,
        조회, 보기, مشاهدة, عرض"""),
    _meaning("add_to_cart", 3, "cart", "positive", """
        cart*, basket*, product+added, item+added, bag+add*, carrito*, cesta*, panier*,
        warenkorb*, carrello, carrinho, корзин*, kosar*, kosarba, koszyk*, winkelwagen*, 购物车,
        購物車, 加购, カート, 장바구니, سلة"""),
    _meaning("search", 5, "search", "neutral", """
        search*, searched, query, busqueda*, buscar, busca*, recherch*, such*, gesucht*, cerca*,
        ricerca*, pesquis*, поиск*, искал*, kereses*, keres, szukaj*, zoek*, 搜索, 搜尋, 検索, 검색,
        بحث"""),
    _meaning("message", 4, "contact", "neutral", """
        message*, contact*, ticket*, chat*, support, complain*, helpdesk, mensaje*, queja*,
        reclamac*, nachricht*, kontakt*, beschwerde*, messaggi*, contatt*, mensage*, reclam*,
        сообщен*, обращен*, жалоб*, uzenet*, panasz*, kapcsolat*, bericht*, 消息, 客服, 咨询,
        諮詢, 投诉,
        お問い合わせ, 問い合わせ, 문의, 메시지, رسالة, شكوى"""),
    _meaning("review", 5, "post", "neutral", """
        review*, rating*, rated, comment*, feedback, opinion*, valorac*, resena*, avis, bewert*,
        kommentar*, recension*, avaliac*, отзыв*, оцен*, ertekel*, velemeny*, 评价, 評價, 评论,
        評論,
        レビュー, 口コミ, 리뷰, 후기, تقييم"""),
    _meaning("purchase", 0, "purchase", "positive", """
        purchas*, bought, buy, buys, order+completed, completed+order, order+paid, order+placed,
        placed+order, transaction*, sale, sold, compra*, compro, venta*, achat*, achete*, kauf*,
        gekauft*, einkauf*, verkauf*, acquist*, comprar, pokup*, покуп*, куплен*, купил*,
        vasarl*, megvett*, zakup*, aankoop*, gekocht, 购买, 購買, 购入, 購入, 成交, 구매, 구입,
        شراء"""),
    _meaning("payment", 1, "purchase", "positive", """
        pay, paid, payment*, pays, invoice+paid, pago*, pagad*, paiement*, paye, zahlung*,
        bezahl*, gezahlt*, pagament*, pagat*, оплат*, платеж*, fizet*, kifizet*, platnos*,
        betaal*, betaling*, 支付, 付款, 缴费, 決済, 支払, 결제, دفع"""),
    _meaning("order", 1, "purchase", "positive", """
        order*, ordered, pedido*, commande*, bestell*, ordine*, ordinat*, encomenda*, заказ*,
        rendel*, megrendel*, zamow*, bestelling*, 下单, 下單, 订单, 訂單, 注文, 주문, طلب,
        =completed, =complete, =shipped, =delivered, =closed, =versendet, =abgeschlossen,
        =geliefert, =enviado, =entregado, =livre, =expedie, =spedito, =consegnato, =teljesitve"""),
    _meaning("subscribe", 1, "purchase", "positive", """
        subscri*, upgrade*, renew*, suscri*, suscrip*, abonn*, abonnement*, abbonament*, assin*,
        подписк*, elofizet*, 订阅, 訂閱, 续费, 購読, 구독, اشتراك"""),
    _meaning("trial", 3, "other", "positive", """
        trial*, install*, activat*, onboard*, 试用, 安装, 激活"""),
    _meaning("click", 6, "click", "neutral", """
        click*, tap, tapped, clic*, geklickt*, angeklickt*, klick*, нажат*, клик*, kattint*,
        kliknie*, 点击, 點擊, クリック, 클릭, نقر"""),
    _meaning("share", 7, "other", "positive", """
        share, shared, compart*, partag*, geteilt*, condivi*, поделил*, megoszt*, 分享, 共有,
        공유"""),
)  # fmt: skip
_LATIN = re.compile(r"[^\u0250-\U0010ffff]+")


def meaning_of(name: str) -> Meaning | None:
    """What a kind of event means, by its name; None if no word of it is known.

    >>> [meaning_of(n).name for n in ("Order Completed", "Order Cancelled", "Añadir al carrito")]
    ['purchase', 'cancel', 'add_to_cart']
    >>> [meaning_of(n).name for n in ("購買", "支付订单", "Просмотр товара", "product_viewed")]
    ['purchase', 'payment', 'view', 'view']
    >>> meaning_of("tooltip_shown") is None
    True
    """
    words = snake(name).split("_")
    return next((m for m in MEANINGS if any(_is_told(w, words, name) for w in m.words)), None)


def _is_told(told: str, words: list[str], name: str) -> bool:
    if told.startswith("="):
        return words == [told[1:]]
    if not _is_spelled(told):
        return told in name
    parts = told.split("+")
    return all(any(_is_word(part, word) for word in words) for part in parts)


def _is_word(pattern: str, word: str) -> bool:
    return word.startswith(pattern[:-1]) if pattern.endswith("*") else word == pattern


def _is_spelled(word: str) -> bool:
    """Whether the script puts blanks between words, and endings to them: Latin and Cyrillic."""
    return bool(_LATIN.fullmatch(word) or re.fullmatch(r"[\u0400-\u04ff*+]+", word))
