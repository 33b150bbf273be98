//! JSON Schemas (draft 2020-12) of everything that is written as JSON, made from the types that write it.
//!
//! `deploy/schema` and `deploy/fields.md` are these, written out; `tests/schema.rs` sees to it that they are up to date. The
//! schemas are open: a field that they do not know is no error, since fields may be added at any time.

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::{Value, json};

use super::record::{
    AlertRecord, AnswerRecord, AuditRecord, CheckRecord, KeystrokeRecord, RefusalRecord, SessionRecord, SpoolRecord,
    SummaryRecord,
};

/// Every schema with the name of its record; `judge` is what `keywitness judge` answers, `check` what
/// `keywitness doctor` finds, `spool` how `keywitness spool status` says that a spool stands, `audit` what the
/// file of `--audit` holds.
#[must_use]
pub fn all() -> [(&'static str, Value); 8] {
    [
        ("session", record::<SessionRecord<'_>>("session")),
        ("keystroke", record::<KeystrokeRecord<'_>>("keystroke")),
        ("alert", record::<AlertRecord<'_>>("alert")),
        ("summary", record::<SummaryRecord<'_>>("summary")),
        ("judge", judge()),
        ("check", record::<CheckRecord<'_>>("check")),
        ("spool", record::<SpoolRecord<'_>>("spool")),
        ("audit", record::<AuditRecord<'_>>("audit")),
    ]
}

/// Of a record that begins with the head.
fn record<T: JsonSchema>(name: &str) -> Value {
    let mut schema = of::<T>();
    schema.insert("title".to_owned(), format!("keywitness {name} record").into());
    let mut schema = schema.to_value();
    if let Some(Value::Object(kind)) = schema.pointer_mut("/properties/record") {
        kind.insert("const".to_owned(), name.into());
    }
    schema
}

/// An answer, or what stands in its place.
fn judge() -> Value {
    let part = |mut schema: Schema, title: &str| {
        schema.remove("$schema");
        schema.insert("title".to_owned(), title.into());
        schema.to_value()
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "keywitness judge answer",
        "oneOf": [part(of::<AnswerRecord<'_>>(), "answer"), part(of::<RefusalRecord>(), "error")],
    })
}

/// As it is written, where all fields are there and null is written out; nothing is referred to, so that it can be read
/// from top to bottom.
fn of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>()
}
