//! Session records as Parquet: the columns are those of the record's JSON Schema, so that none is forgotten.
//!
//! Objects are groups, dotted as in NDJSON (`rtt.client.floor_ms`); numbers, texts and booleans have their types; times are microseconds of
//! UTC, which is the finest that both DuckDB and Spark read. Lists, and `details`, whose fields depend on the protocol, are texts
//! of JSON.

use std::{io::Write, sync::Arc};

use jiff::Timestamp;
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{Type, TypePtr},
};
use serde_json::{Map, Value};

use super::{Context, record::SessionRecord, schema};
use crate::event::SessionEvent;

/// Sessions of one file, at most: a row group, which readers skip or read as one.
pub const MOST_ROWS: usize = 16_384;

/// Bytes of texts of one file, at most.
const MOST_TEXT: usize = 64 << 20;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    Number,
    Boolean,
    Text,
    Time,
    Json,
}

/// One column: where it stands in a record, and at which of the steps there may be nothing.
#[derive(Clone, Debug)]
struct Column {
    path: Vec<(String, bool)>,
    kind: Kind,
}

/// The columns of session records.
#[derive(Clone, Debug)]
pub struct Layout {
    columns: Vec<Column>,
    schema: TypePtr,
}

/// The values of one column, as far as there are any, and how deep each row goes on the way to it.
#[derive(Clone, Debug)]
enum Values {
    Integers(Vec<i64>),
    Numbers(Vec<f64>),
    Booleans(Vec<bool>),
    Texts(Vec<ByteArray>),
}

/// Sessions that become a file.
#[derive(Clone, Debug)]
pub struct Rows {
    columns: Vec<(Vec<i16>, Values)>,
    len: usize,
    text: usize,
    first: Option<(Timestamp, String)>,
}

impl Layout {
    /// That of this version's records.
    ///
    /// # Errors
    /// Where the schema has a name twice, which it has not.
    pub fn of_sessions() -> Result<Self, ParquetError> {
        let schemas = schema::all();
        let record = schemas.iter().find(|(name, _)| *name == "session").map_or(&Value::Null, |(_, schema)| schema);
        let mut columns = Vec::new();
        let fields = fields(record, &mut Vec::new(), &mut columns)?;
        let schema = Arc::new(Type::group_type_builder("session").with_fields(fields).build()?);
        Ok(Self { columns, schema })
    }

    /// Nothing, yet.
    #[must_use]
    pub fn rows(&self) -> Rows {
        let values = |column: &Column| match column.kind {
            Kind::Integer | Kind::Time => Values::Integers(Vec::new()),
            Kind::Number => Values::Numbers(Vec::new()),
            Kind::Boolean => Values::Booleans(Vec::new()),
            Kind::Text | Kind::Json => Values::Texts(Vec::new()),
        };
        let columns = self.columns.iter().map(|column| (Vec::new(), values(column))).collect();
        Rows { columns, len: 0, text: 0, first: None }
    }

    /// Adds a session.
    pub fn push(&self, rows: &mut Rows, session: &SessionEvent, context: &Context) {
        let Ok(record) = serde_json::to_value(SessionRecord::new(session, context)) else { return };
        for (column, (levels, values)) in self.columns.iter().zip(&mut rows.columns) {
            let (level, value) = column.find(&record);
            levels.push(level);
            if let Some(value) = value {
                rows.text += values.push(column.kind, value);
            }
        }
        let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
        if let (None, Ok(start)) = (&rows.first, text("start").parse()) {
            rows.first = Some((start, text("session_id").to_owned()));
        }
        rows.len += 1;
    }

    /// Writes them as one file.
    ///
    /// # Errors
    /// Those of writing to `out`.
    pub fn write(&self, rows: &Rows, out: impl Write + Send) -> Result<(), ParquetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("keywitness ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(vec![KeyValue::new("schema".to_owned(), "keywitness/1".to_owned())]));
        let mut file = SerializedFileWriter::new(out, Arc::clone(&self.schema), Arc::new(properties.build()))?;
        let mut group = file.next_row_group()?;
        for (levels, values) in &rows.columns {
            let Some(mut column) = group.next_column()? else { break };
            match values {
                Values::Integers(values) => write_column::<Int64Type>(&mut column, values, levels)?,
                Values::Numbers(values) => write_column::<DoubleType>(&mut column, values, levels)?,
                Values::Booleans(values) => write_column::<BoolType>(&mut column, values, levels)?,
                Values::Texts(values) => write_column::<ByteArrayType>(&mut column, values, levels)?,
            }
            column.close()?;
        }
        group.close()?;
        file.close().map(|_| ())
    }
}

impl Rows {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether they have to become a file before another one comes.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.len >= MOST_ROWS || self.text >= MOST_TEXT
    }

    /// A name for the file: when its first session began and which that is, and how many there are. The same sessions have the same name.
    #[must_use]
    pub fn name(&self) -> String {
        let (start, id) = self.first.clone().unwrap_or_default();
        format!("{}-{id}-{}.parquet", start.strftime("%Y%m%dT%H%M%S.%6fZ"), self.len)
    }
}

impl Column {
    /// How deep a record goes on the way to it, in steps that may hold nothing, and what is there.
    fn find<'a>(&self, record: &'a Value) -> (i16, Option<&'a Value>) {
        let (mut level, mut at) = (0, record);
        for (name, may_be_nothing) in &self.path {
            at = at.get(name).unwrap_or(&Value::Null);
            if at.is_null() {
                return (level, None);
            }
            level += i16::from(*may_be_nothing);
        }
        (level, Some(at))
    }
}

impl Values {
    /// Adds one, which is of this kind; bytes of text that it takes.
    fn push(&mut self, kind: Kind, value: &Value) -> usize {
        match self {
            Self::Integers(values) if kind == Kind::Time => {
                let time = value.as_str().and_then(|time| time.parse::<Timestamp>().ok());
                values.push(time.map_or(0, Timestamp::as_microsecond));
            }
            Self::Integers(values) => {
                values.push(value.as_i64().unwrap_or(i64::MAX)); // of counters nothing comes near it
            }
            Self::Numbers(values) => values.push(value.as_f64().unwrap_or_default()),
            Self::Booleans(values) => values.push(value.as_bool().unwrap_or_default()),
            Self::Texts(values) => {
                let text = match value {
                    Value::String(text) if kind == Kind::Text => text.clone(),
                    other => other.to_string(),
                };
                let len = text.len();
                values.push(text.into_bytes().into());
                return len;
            }
        }
        0
    }
}

fn write_column<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    values: &[T::T],
    levels: &[i16],
) -> Result<(), ParquetError> {
    column.typed::<T>().write_batch(values, Some(levels), None).map(|_| ())
}

/// The fields of an object's schema, whose columns are added in the same order.
fn fields(schema: &Value, path: &mut Vec<(String, bool)>, columns: &mut Vec<Column>) -> Result<Vec<TypePtr>, ParquetError> {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    properties.iter().map(|(name, field)| self::field(name, field, path, columns)).collect()
}

fn field(name: &str, schema: &Value, path: &mut Vec<(String, bool)>, columns: &mut Vec<Column>) -> Result<TypePtr, ParquetError> {
    let (kinds, may_be_nothing) = kinds(schema);
    let repetition = if may_be_nothing { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    path.push((name.to_owned(), may_be_nothing));
    let built = if kinds == ["object"] && schema.get("properties").is_some() {
        let fields = fields(schema, path, columns)?;
        Type::group_type_builder(name).with_fields(fields).with_repetition(repetition).build()
    } else {
        let kind = match (kinds.as_slice(), schema.get("format").and_then(Value::as_str)) {
            (["integer"], _) => Kind::Integer,
            (["number"], _) => Kind::Number,
            (["boolean"], _) => Kind::Boolean,
            (["string"], Some("date-time")) => Kind::Time,
            (["string"], _) => Kind::Text,
            _ => Kind::Json,
        };
        columns.push(Column { path: path.clone(), kind });
        let (physical, logical) = match kind {
            Kind::Integer => (Physical::INT64, None),
            Kind::Number => (Physical::DOUBLE, None),
            Kind::Boolean => (Physical::BOOLEAN, None),
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
            Kind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        };
        Type::primitive_type_builder(name, physical).with_logical_type(logical).with_repetition(repetition).build()
    };
    path.pop();
    built.map(Arc::new)
}

/// The types of a field besides null, and whether it may be null. What names none may be anything.
fn kinds(schema: &Value) -> (Vec<&str>, bool) {
    let all: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec!["null"],
    };
    let kinds = all.iter().copied().filter(|kind| *kind != "null").collect();
    (kinds, all.contains(&"null"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_record_has_its_column() {
        let layout = Layout::of_sessions().unwrap();
        let kind = |path: &str| {
            let column =
                layout.columns.iter().find(|column| column.path.iter().map(|(name, _)| name.as_str()).eq(path.split('.')));
            column.map(|column| column.kind)
        };
        for (path, expected) in [
            ("session_id", Kind::Text),
            ("start", Kind::Time),
            ("duration_ms", Kind::Number),
            ("server.port", Kind::Integer),
            ("midstream", Kind::Boolean),
            ("rtt.client.floor_ms", Kind::Number),
            ("keystrokes.interval_ms.p50", Kind::Number),
            ("details", Kind::Json),
            ("findings", Kind::Json),
        ] {
            assert_eq!(kind(path), Some(expected), "{path}");
        }
        assert_eq!(layout.schema.get_fields().len(), schema::all()[0].1["properties"].as_object().unwrap().len());
    }

    #[test]
    fn how_deep_a_record_goes_is_told() {
        let path = [("a", true), ("b", false), ("c", true)].map(|(name, optional)| (name.to_owned(), optional));
        let column = Column { path: path.to_vec(), kind: Kind::Integer };
        let level = |record: Value| column.find(&record).0;
        assert_eq!(level(serde_json::json!({"a": null})), 0);
        assert_eq!(level(serde_json::json!({"a": {"b": {"c": null}}})), 1);
        assert_eq!(level(serde_json::json!({"a": {"b": {"c": 7}}})), 2);
    }
}
