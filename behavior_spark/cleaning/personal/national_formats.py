"""Find national identity numbers of persons, by format and check digits (python-stdnum).

A number with a strong check, or in a typical grouping, is masked anywhere; any other only after a
word that names it. Formats are from the modules of ``stdnum``; that of the United Kingdom's
national insurance number is from HMRC's manual, NIM39110.
"""

# ruff: noqa: RUF001

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from stdnum.ar import cuit as ar_cuit
from stdnum.ar import dni as ar_dni
from stdnum.at import vnr as at_vnr
from stdnum.au import tfn as au_tfn
from stdnum.be import ssn as be_ssn
from stdnum.bg import egn as bg_egn
from stdnum.bg import pnf as bg_pnf
from stdnum.br import cpf as br_cpf
from stdnum.ca import sin as ca_sin
from stdnum.ch import ssn as ch_ssn
from stdnum.cl import rut as cl_rut
from stdnum.cn import ric as cn_ric
from stdnum.co import nit as co_nit
from stdnum.cr import cpf as cr_cpf
from stdnum.cu import ni as cu_ni
from stdnum.cz import rc as cz_rc
from stdnum.de import idnr as de_idnr
from stdnum.dk import cpr as dk_cpr
from stdnum.do import cedula as do_cedula
from stdnum.ec import ci as ec_ci
from stdnum.ee import ik as ee_ik
from stdnum.es import dni as es_dni
from stdnum.es import nie as es_nie
from stdnum.exceptions import ValidationError
from stdnum.fi import hetu as fi_hetu
from stdnum.fr import nif as fr_nif
from stdnum.fr import nir as fr_nir
from stdnum.gb import nhs as gb_nhs
from stdnum.gr import amka as gr_amka
from stdnum.hr import oib as hr_oib
from stdnum.id import nik as id_nik
from stdnum.ie import pps as ie_pps
from stdnum.il import idnr as il_idnr
from stdnum.in_ import aadhaar as in_aadhaar
from stdnum.in_ import epic as in_epic
from stdnum.in_ import pan as in_pan
from stdnum.is_ import kennitala as is_kennitala
from stdnum.it import codicefiscale as it_codice
from stdnum.jp import in_ as jp_in
from stdnum.kr import rrn as kr_rrn
from stdnum.lt import asmens as lt_asmens
from stdnum.lv import pvn as lv_pvn
from stdnum.mu import nid as mu_nid
from stdnum.mx import curp as mx_curp
from stdnum.my import nric as my_nric
from stdnum.nl import bsn as nl_bsn
from stdnum.no import fodselsnummer as no_fodselsnummer
from stdnum.nz import ird as nz_ird
from stdnum.pe import cui as pe_cui
from stdnum.pk import cnic as pk_cnic
from stdnum.pl import pesel as pl_pesel
from stdnum.pt import cc as pt_cc
from stdnum.pt import nif as pt_nif
from stdnum.ro import cnp as ro_cnp
from stdnum.ru import inn as ru_inn
from stdnum.se import personnummer as se_personnummer
from stdnum.si import emso as si_emso
from stdnum.sk import rc as sk_rc
from stdnum.th import pin as th_pin
from stdnum.tr import tckimlik as tr_tckimlik
from stdnum.ua import rntrc as ua_rntrc
from stdnum.us import itin as us_itin
from stdnum.us import ssn as us_ssn
from stdnum.za import idnr as za_idnr

from behavior_spark.cleaning.personal.context import label


@dataclass(frozen=True)
class IdFormat:
    """Format of one kind of national number.

    Attributes:
        form: Pattern of the number, without or with separators.
        is_valid: Checks its check digits.
        named: Words that name it; the number is masked after one of them.
        alone: Pattern of numbers that are masked without such a word; None: none.
    """

    form: re.Pattern[str]
    is_valid: Callable[[str], bool]
    named: re.Pattern[str]
    alone: re.Pattern[str] | None = None


def _snils(number: str) -> bool:
    """Russia's SNILS: weighted sum modulo 101."""
    digits = re.sub(r"\D", "", number)
    total = sum(int(c) * weight for c, weight in zip(digits[:9], range(9, 0, -1), strict=True))
    return total % 101 % 100 == int(digits[9:])


def _nric(number: str) -> bool:
    """Singapore's NRIC and FIN: weighted sum modulo 11."""
    number = number.upper()
    total = sum(int(c) * w for c, w in zip(number[1:8], (2, 7, 6, 5, 4, 3, 2), strict=True))
    total += {"T": 4, "G": 4, "M": 3}.get(number[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK",
               "M": "XWUTRQPNJLK"}[number[0]]  # fmt: skip
    index = total % 11 if number[0] != "M" else 10 - total % 11
    return letters[index] == number[8]


def _taiwan(number: str) -> bool:
    """Taiwan's identity number: the letter counts as two digits; weights 1, 9, 8 ... 1, 1."""
    number = number.upper()
    first = 10 + "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(number[0])
    digits = [first // 10, first % 10, *map(int, number[1:])]
    weights = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)
    return sum(d * w for d, w in zip(digits, weights, strict=True)) % 10 == 0


def _taj(number: str) -> bool:
    """Hungary's health insurance number: weights 3 and 7 by turns, modulo 10."""
    digits = [int(c) for c in number if c.isdigit()]
    return (sum(digits[0:8:2]) * 3 + sum(digits[1:8:2]) * 7) % 10 == digits[8]


def _hungarian_tax_id(number: str) -> bool:
    """Hungary's tax number of a person: the place times the digit, modulo 11."""
    return sum(place * int(c) for place, c in enumerate(number[:9], 1)) % 11 == int(number[9])


def _latvian(number: str) -> bool:
    """Latvia's: python-stdnum checks it among the tax numbers; those from 2017 on have no check."""
    return number.startswith("32") or bool(lv_pvn.is_valid(number))


def _china(number: str) -> bool:
    """China's identity number: check digit and date; old counties are allowed."""
    number = cn_ric.compact(number)
    try:
        cn_ric.get_birth_date(number)
    except ValidationError:
        return False
    return bool(cn_ric.calc_check_digit(number) == number[-1])


def _is_korean_date(number: str) -> bool:
    """Its date alone: numbers given since October 2020 have no check digit."""
    try:
        kr_rrn.get_birth_date(number)
    except ValidationError:
        return False
    return True


def _always(number: str) -> bool:
    """For numbers without check digits: any with two different digits."""
    return len(set(re.sub(r"\D", "", number))) > 1


def _format(
    form: str, is_valid: Callable[[str], bool], named: re.Pattern[str], alone: str | None = None
) -> IdFormat:
    return IdFormat(
        re.compile(form, re.I), is_valid, named, re.compile(alone) if alone is not None else None
    )


_KOREAN = label("rrn", glyphs="주민등록번호|주민번호")
_S = r"[ .\-/]?"
ID_WORDS = r"id(?:entity|entification)?(?: ?(?:card|no|nr|number))?"

NATIONAL_FORMATS: tuple[IdFormat, ...] = (
    # Nine digits.
    _format(rf"\d{{3}}{_S}\d\d{_S}\d{{4}}", us_ssn.is_valid,
            label("ssn", "social", r"social security\w*", r"soc\.? sec\.?", "ss#?", "ss ?no")),
    _format(rf"9\d\d{_S}\d\d{_S}\d{{4}}", us_itin.is_valid, label("itin", "taxpayer")),
    _format(rf"\d{{3}}{_S}\d{{3}}{_S}\d{{3}}", ca_sin.is_valid,
            label("sin", "social insurance", "nas", "assurance sociale")),
    _format(rf"\d{{4}}{_S}\d\d{_S}\d{{3}}|\d{{8,9}}|\d{{3}}{_S}\d{{3}}{_S}\d{{3}}", nl_bsn.is_valid,
            label("bsn", r"burgerservicenummer\w*", "sofi(?:nummer)?")),
    _format(rf"\d{{3}}{_S}\d{{3}}{_S}\d{{2,3}}", au_tfn.is_valid, label("tfn", "tax file")),
    _format(rf"\d{{3}}{_S}\d{{3}}{_S}\d{{3}}", pt_nif.is_valid,
            label("nif", "contribuinte", "n[úu]mero fiscal")),
    _format(rf"\d{{8}}{_S}\d|\d{{9}}", il_idnr.is_valid,
            label("teudat", "israeli id", glyphs="תעודת זהות|ת\\.ז|ת״ז")),
    _format(rf"\d{{3}}{_S}\d{{3}}{_S}\d{{3}}", _taj, label("taj\\w*", "társadalombiztosítás\\w*")),
    _format(rf"\d{{2,3}}{_S}\d{{3}}{_S}\d{{3}}", nz_ird.is_valid, label("ird")),
    _format(r"\d-?\d{4}-?\d{4}", cr_cpf.is_valid, label("c[ée]dula", "cpf")),
    # Ten.
    _format(r"8\d{9}", _hungarian_tax_id, label("adóazonosító\\w*", "adószám\\w*")),
    _format(r"\d{10}", bg_pnf.is_valid, label("лнч", "lnch")),
    _format(r"\d{10}", ec_ci.is_valid, label("c[ée]dula", "ci")),
    _format(r"[\d.]{8,12}-?\d", co_nit.is_valid, label("nit", "c[ée]dula")),
    _format(rf"\d{{3}}{_S}\d{{3}}{_S}\d{{4}}", gb_nhs.is_valid, label("nhs", "nhs (?:no|number)")),
    _format(r"(?:19|20)?\d{6}[-+]?\d{4}", se_personnummer.is_valid,
            label("personnummer", r"person ?n(?:umme)?r\w*", "pnr"), r"(?:19|20)\d{6}[-+]\d{4}"),
    _format(rf"\d{{6}}{_S}\d{{4}}", dk_cpr.is_valid, label(r"cpr(?:[ \-]?n\w+)?", "personnummer")),
    _format(r"\d{6}-?\d{4}", is_kennitala.is_valid, label("kennitala\\w*", "kt")),
    _format(r"\d{10}", bg_egn.is_valid, label("егн", "egn")),
    _format(rf"\d{{4}}{_S}\d{{6}}|\d{{10}}", at_vnr.is_valid,
            label(r"sozialversicherung\w*", "svnr", "sv-?nr", "sv-?nummer")),
    _format(r"\d{6}/?\d{3,4}", lambda n: cz_rc.is_valid(n) or sk_rc.is_valid(n),
            label(r"rodn[ée]\w*", "rč", "r\\.č\\."), r"\d{6}/\d{4}"),
    _format(r"\d{10}", ua_rntrc.is_valid, label("рнокпп", "іпн", "ідентифікаційний\\w*")),
    # Eleven.
    _format(rf"\d\d{_S}\d{{3}}{_S}\d{{3}}{_S}\d{{3}}", de_idnr.is_valid,
            label(r"steuer\w*(?:[ \-]?id\w*)?", r"id[ \-]?nr", r"idnr", "tin", "tax id\\w*")),
    _format(rf"\d{{3}}{_S}\d{{3}}{_S}\d{{3}}{_S}\d\d", br_cpf.is_valid, label("cpf"),
            r"\d{3}\.\d{3}\.\d{3}-\d\d"),
    _format(r"\d{11}", pl_pesel.is_valid, label(r"pesel\w*")),
    _format(rf"\d{{6}}{_S}\d{{5}}", no_fodselsnummer.is_valid,
            label(r"f[øo]dselsn\w+", "fnr", "personnummer"), r"\d{6} ?\d{5}"),
    _format(rf"\d\d{_S}\d\d{_S}\d\d{_S}\d{{3}}{_S}\d\d", be_ssn.is_valid,
            label(r"rijksregister\w*", "registre national", "nn", "insz", "niss"),
            r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d"),
    _format(r"\d{11}", tr_tckimlik.is_valid, label(r"t\.?c\.?", r"kimlik\w*", "tckn")),
    _format(r"\d{11}", hr_oib.is_valid, label("oib")),
    _format(r"\d{11}", gr_amka.is_valid, label("αμκα", "amka")),
    _format(r"\d{11}", ee_ik.is_valid, label("isikukood\\w*")),
    _format(r"\d{11}", lt_asmens.is_valid, label(r"asmens\w*")),
    _format(rf"\d{{3}}{_S}\d{{3}}{_S}\d{{3}}{_S}\d\d", _snils, label("снилс", "snils"),
            r"\d{3}-\d{3}-\d{3} \d\d"),
    _format(r"\d{11}", cu_ni.is_valid, label("carn[ée]\\w*", "identidad")),
    _format(r"\d{3}-?\d{7}-?\d", do_cedula.is_valid, label("c[ée]dula")),
    _format(r"\d\d-?\d{8}-?\d", ar_cuit.is_valid, label("cuit", "cuil"), r"(?:2[0347])-\d{8}-\d"),
    _format(r"\d{6}-?\d{5}", _latvian, label(r"personas kod\w+", "p\\.k\\.")),
    # Twelve and more.
    _format(rf"\d{{4}}{_S}\d{{4}}{_S}\d{{4}}", in_aadhaar.is_valid,
            label(r"aadh?aar\w*", "uidai", "uid", "आधार")),
    _format(rf"\d{{4}}{_S}\d{{4}}{_S}\d{{4}}", jp_in.is_valid,
            label("my ?number", glyphs="マイナンバー|個人番号")),
    _format(r"\d{12}", ru_inn.is_valid, label("инн", "inn")),
    _format(r"\d{6}-?\d\d-?\d{4}", my_nric.is_valid,
            label("nric", "mykad", r"no\.? k\.?p\.?", "ic"), r"\d{6}-\d\d-\d{4}"),
    _format(rf"\d{{13}}|\d\d{_S}\d\d{_S}\d{{3}}{_S}\d{{3}}{_S}\d{{3}}",
            fr_nif.is_valid, label("spi", "num[ée]ro fiscal", "nif")),
    _format(rf"\d{{6}}{_S}\d{{4}}{_S}\d{{3}}", za_idnr.is_valid,
            label(ID_WORDS, "sa id", "rsa id")),
    _format(r"\d{13}", ro_cnp.is_valid, label("cnp")),
    _format(r"\d{13}", si_emso.is_valid, label("em[šs]o", "jmbg", "matičn\\w+")),
    _format(r"\d{6}-?\d{7}", kr_rrn.is_valid, _KOREAN, r"\d{6}-\d{7}"),
    _format(r"\d{6}-?[1-8]\d{6}", _is_korean_date, _KOREAN),
    _format(r"\d-?\d{4}-?\d{5}-?\d\d-?\d", th_pin.is_valid,
            label("thai id", glyphs="เลขประจำตัว|บัตรประชาชน"), r"\d-\d{4}-\d{5}-\d\d-\d"),
    _format(r"\d{5}-?\d{7}-?\d", pk_cnic.is_valid, label("cnic", "nadra"), r"\d{5}-\d{7}-\d"),
    _format(r"756\.?\d{4}\.?\d{4}\.?\d\d", ch_ssn.is_valid, label("ahv\\w*", "avs"),
            r"756\.?\d{4}\.?\d{4}\.?\d\d"),
    _format(rf"[12]{_S}\d\d{_S}\d\d{_S}\d[\dAB]{_S}\d{{3}}{_S}\d{{3}}{_S}\d\d", fr_nir.is_valid,
            label("nir", r"s[ée]curit[ée] sociale", "num[ée]ro de s[ée]cu", "sécu"),
            r"[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d"),
    _format(r"\d{16}", id_nik.is_valid, label("nik", "ktp")),
    _format(r"\d{6} ?(?:19|20)\d{6} ?\d{3}[\dX]", _china,
            label("ric", glyphs="身份证|身份證"), r"\d{6} ?(?:19|20)\d{6} ?\d{3}[\dXx]"),
    # Letters and digits.
    _format(rf"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]{_S}\d\d{_S}\d\d{_S}\d\d{_S}[A-D]", _always,
            label("ni", "nino", "n\\.i\\.", r"national insurance\w*"),
            r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] \d\d \d\d \d\d [A-D]"),
    _format(r"\d{2}\.?\d{3}\.?\d{3}[ \-]?[A-Z]", lambda n: es_dni.is_valid(n.replace(".", "")),
            label("dni", "nif", "documento\\w*", "identidad", ID_WORDS)),
    _format(r"[XYZ][ \-]?\d{7}[ \-]?[A-Z]", es_nie.is_valid,
            label("nie", "nif", "extranjero", "documento\\w*", ID_WORDS)),
    _format(r"[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]",
            it_codice.is_valid, label("codice fiscale", "c\\.?f\\.?"),
            r"(?:[A-Z]{6}|[a-z]{6})[0-9A-Za-z]{10}"),
    _format(r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d", mx_curp.is_valid, label("curp"),
            r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d"),
    _format(r"[A-Z]{5}\d{4}[A-Z]", in_pan.is_valid, label("pan", "permanent account\\w*")),
    _format(r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Z]", fi_hetu.is_valid, label("hetu", "henkilötunnus"),
            r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Z]"),
    _format(r"[A-Z]{3}\d{7}", in_epic.is_valid, label("voter\\w*", "epic")),
    _format(r"[A-Z]\d{12}[0-9A-Z]", mu_nid.is_valid, label("nid", ID_WORDS)),
    _format(r"\d{8}-?[0-9A-Z]", pe_cui.is_valid, label("cui", "dni", "documento\\w*")),
    _format(r"[STFGM]\d{7}[A-Z]", _nric, label("nric", "fin", "ic", ID_WORDS)),
    _format(r"[A-Z][1289]\d{8}", _taiwan, label(ID_WORDS, glyphs="身分證|身份證")),
    _format(r"\d{7}[A-W][A-IW]?", ie_pps.is_valid, label("pps\\w*", "ppsn")),
    _format(r"\d{8} ?\d ?[A-Z0-9]{2}\d", pt_cc.is_valid, label("cc", "cart[ãa]o de cidad\\w+")),
    _format(r"\d{1,2}\.?\d{3}\.?\d{3}-?[\dK]", cl_rut.is_valid, label("rut", "run"),
            r"\d{1,2}\.\d{3}\.\d{3}-[\dKk]"),
    _format(r"\d{1,2}\.?\d{3}\.?\d{3}", ar_dni.is_valid, label("dni", "documento")),
    # No check digit at all.
    _format(r"\d\d ?\d\d ?\d{6}", _always, label("паспорт\\w*")),
    _format(r"(?=(?:[A-Z]*\d){4})[A-Z0-9]{7,9}|[A-Z]{1,2} ?\d{6,7}", _always,
            label(r"passports?(?: ?(?:no|nr|number|#))?", r"reisepass\w*", "passeport\\w*",
                  "pasaporte\\w*", "passaporto", "passaporte", "paspoort\\w*", "paszport\\w*",
                  "pasaport\\w*", "útlevél\\w*", "паспорт\\w*", "διαβατ[ήη]ρ\\w*",
                  glyphs="护照号?码?|護照|旅券番号|パスポート|여권")),
)  # fmt: skip
