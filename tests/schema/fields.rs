//! The field reference: one table a record, made from its schema.

use std::fmt::Write;

use serde_json::Value;

/// One field of a record.
#[derive(Debug)]
pub(crate) struct Field {
    /// From the record's root: `rtt.client.floor_ms`, `tests[].id`.
    pub(crate) path: String,
    /// Type, or types.
    pub(crate) kind: String,
    pub(crate) description: String,
}

/// The page as Markdown.
pub(crate) fn page(schemas: &[(&str, Value)]) -> String {
    let mut page = "# Fields of the records\n\nMade from the types that write them; do not edit. After a change of a record: \
                    `KEYWITNESS_BLESS=1 cargo test --test schema`.\n\nTimes are RFC 3339 in UTC with nanoseconds. Durations carry \
                    their unit in the name. What was not measured is `null`, never 0. Texts from\nthe network are escaped and cut \
                    at 256 bytes. The same as JSON Schema (draft 2020-12): `schema/*.json` beside this page.\n"
        .to_owned();
    for (name, schema) in schemas {
        let what = match *name {
            "judge" => "The answer of `keywitness judge`".to_owned(),
            "check" => "`check`, what `keywitness doctor` finds".to_owned(),
            "spool" => "`spool`, what `keywitness spool status` says".to_owned(),
            "audit" => "`audit`, a line of the file of `--audit`".to_owned(),
            _ => format!("`{name}`"),
        };
        let _ = writeln!(page, "\n## {what}\n\n| field | type | meaning |\n|---|---|---|");
        for Field { path, kind, description } in of(schema) {
            let _ = writeln!(page, "| `{path}` | {kind} | {description} |");
        }
    }
    page
}

/// All fields in the order in which they are written.
pub(crate) fn of(schema: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    match schema["oneOf"].as_array() {
        Some(variants) => variants.iter().for_each(|variant| below(variant, "", &mut fields)),
        None => below(schema, "", &mut fields),
    }
    fields
}

fn below(schema: &Value, path: &str, fields: &mut Vec<Field>) {
    let order = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    for name in order.iter().filter_map(Value::as_str) {
        let field = &schema["properties"][name];
        let path = format!("{path}{name}");
        fields.push(Field { path: path.clone(), kind: kind(field), description: description(field) });
        let shapes = shapes(field);
        for shape in &shapes {
            let from = fields.len();
            below(shape, &format!("{path}."), fields);
            below(&shape["items"], &format!("{path}[]."), fields);
            if shapes.len() > 1 {
                let of = shape["description"].as_str().unwrap_or_default();
                fields.iter_mut().skip(from).for_each(|field| field.description.insert_str(0, &format!("{of} ")));
            }
        }
    }
}

/// The field itself where it can be null; all of them where it has several.
fn shapes(field: &Value) -> Vec<&Value> {
    match field["anyOf"].as_array() {
        Some(choices) => choices.iter().filter(|choice| choice["type"] != "null").flat_map(shapes).collect(),
        None => vec![field],
    }
}

fn kind(field: &Value) -> String {
    if let Some(value) = field["const"].as_str() {
        return format!("`{value}`");
    }
    if let Some(values) = field["enum"].as_array() {
        let names: Vec<String> =
            values.iter().map(|value| value.as_str().map_or_else(|| "null".to_owned(), |v| format!("`{v}`"))).collect();
        return names.join(", ");
    }
    let named = |kind: &Value| kind.as_str().unwrap_or("any").to_owned();
    if let Some(choices) = field["anyOf"].as_array() {
        let mut kinds: Vec<String> = choices.iter().map(kind).collect();
        kinds.dedup();
        return kinds.join(" or ");
    }
    match &field["type"] {
        Value::Array(kinds) => kinds.iter().map(named).collect::<Vec<_>>().join(" or "),
        one if one == "array" && !field["items"].is_null() => format!("array of {}", kind(&field["items"])),
        one => named(one),
    }
}

fn description(field: &Value) -> String {
    field["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}
