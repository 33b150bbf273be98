"""Reads {"ocsf", "cef", "identity"} a line: the first against the published schema of OCSF, strictly (a field that it does not know is a
mistake), the second with pycef. Ends with 77 where these are not installed."""

import json
import sys

try:
    import jsonschema
    import ocsf_json_schema
    import pycef
except ImportError as error:
    print(error)
    sys.exit(77)

schema = ocsf_json_schema.OcsfJsonSchemaEmbedded(ocsf_json_schema.get_ocsf_schema("1.3.0"))
validator = jsonschema.Draft202012Validator(schema.get_class_schema("detection_finding"))
fine = 0
for line in sys.stdin:
    message = json.loads(line)
    for error in validator.iter_errors(json.loads(message["ocsf"])):
        sys.exit(f"{error.json_path}: {error.message}")
    cef = pycef.parse(message["cef"])
    # pycef leaves escapes as they are.
    identity = cef["suser"].replace("\\=", "=").replace("\\\\", "\\")
    if cef["DeviceVendor"] != "keywitness" or identity != message["identity"]:
        sys.exit(f"pycef: {cef}")
    fine += 1
print(f"{fine} fine")
