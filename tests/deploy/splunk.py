"""Applies the expressions of Splunk's transforms.conf to messages (JSON on standard input) and says what fields they find.

Splunk's are PCRE; the ones that are used here mean the same in Python, but for how a group is named.
"""
import configparser
import json
import re
import sys

files = {}
for name in ("props", "transforms"):
    files[name] = configparser.RawConfigParser(strict=True, delimiters=("=",), comment_prefixes=("#",))
    files[name].optionxform = str
    with open(f"{sys.argv[1]}/{name}.conf", encoding="utf-8") as file:
        files[name].read_file(file)


def extract(transform, text):
    section = files["transforms"][transform]
    expression = re.compile(re.sub(r"\(\?<(?=[a-z])", "(?P<", section["REGEX"]))
    if "FORMAT" in section:
        return {key: value for key, value in expression.findall(text)}
    found = expression.search(text)
    return found.groupdict() if found else {}


def fields(sourcetype, text):
    props, found = files["props"][sourcetype], {}
    for key, names in props.items():
        if key.startswith("REPORT-"):
            for name in names.split(","):
                found.update({k: v for k, v in extract(name.strip(), text).items() if k not in found})
    for key, alias in props.items():
        if key.startswith("FIELDALIAS-"):
            source, target = alias.split(" AS ")
            found[target] = found[source]
    return found


for line in sys.stdin:
    message = json.loads(line)
    print(json.dumps(fields(message["sourcetype"], message["text"])))
