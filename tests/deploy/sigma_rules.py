"""Reads the Sigma rules with pySigma, and holds them against alerts in ECS (one JSON object a line on standard input).

Ends with 77 where pySigma is missing.
"""
import json
import pathlib
import sys

try:
    from sigma.collection import SigmaCollection
    from sigma.correlations import SigmaCorrelationRule
    from sigma.rule import SigmaRule
    from sigma.validation import SigmaValidator
    from sigma.validators.core import validators
except ImportError as error:
    print(error)
    sys.exit(77)


def value(event, field):
    for part in field.split("."):
        event = event[part]
    return event


def matches(item, event):
    return str(value(event, item.field)) in [str(wanted) for wanted in item.value]


events = [json.loads(line) for line in sys.stdin]
texts = [path.read_text() for path in sorted(pathlib.Path(sys.argv[1]).glob("*.yml"))]
rules = SigmaCollection.merge([SigmaCollection.from_yaml(text) for text in texts])
# Those that look names of techniques up would ask the Internet.
known = {name: check for name, check in validators.items() if not name.startswith(("attack", "d3_fend", "mitre", "tlptag", "tlpv"))}
issues = SigmaValidator({check for check in known.values()}).validate_rules(rules)
issues = [issue for issue in issues if type(issue).__name__ not in ("FilenameLengthIssue",)]
assert not issues, issues

fired, fields = {}, set()
for rule in rules:
    if isinstance(rule, SigmaCorrelationRule):
        fields.update(rule.group_by)
        fields.update([rule.condition.fieldref] if isinstance(rule.condition.fieldref, str) else rule.condition.fieldref)
        continue
    assert isinstance(rule, SigmaRule)
    fields.update(rule.fields or [])
    items = rule.detection.detections["selection"].detection_items
    fired[str(rule.title)] = sum(all(matches(item, event) for item in items) for event in events)
for field in fields:
    for event in events:
        value(event, field)
assert all(fired.values()), fired
print(json.dumps(fired))
