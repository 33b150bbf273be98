//! CSV files whose columns are known by name, whatever their order.

use std::collections::HashMap;

use csv::StringRecord;

use super::{Problem, value::Lines};

/// Rows that a file may have: each takes some 400 bytes of memory while it is read.
const MAX_ROWS: usize = 2_000_000;

/// A CSV file (RFC 4180) whose columns are known by name.
pub(super) struct Sheet {
    /// Position in a row of each column that there is.
    columns: HashMap<&'static str, usize>,
    pub(super) rows: Vec<Row>,
}

/// One row that is not empty.
pub(super) struct Row {
    /// Line of the file that it begins on, from 1.
    pub(super) line: usize,
    cells: StringRecord,
}

impl Sheet {
    /// Reads a text without byte order mark. Columns that are not in `known` are a problem, and so is the lack of one in `needed`.
    pub(super) fn read(text: &str, known: &[&'static str], needed: &[&str]) -> Result<Self, Vec<Problem>> {
        let mut rows = read_rows(text)?.into_iter();
        let problem = |line, message| vec![Problem { line, field: "header".to_owned(), message }];
        let header = rows.next().ok_or_else(|| problem(1, format!("is missing; the columns are {}", known.join(","))))?;
        let columns = header_columns(&header.cells, known, needed).map_err(|message| problem(header.line, message))?;
        let rows: Vec<Row> = rows.collect();
        let uneven: Vec<Problem> = rows.iter().filter_map(|row| row.unevenness(header.cells.len())).collect();
        if uneven.is_empty() { Ok(Self { columns, rows }) } else { Err(uneven) }
    }

    /// A cell, without spaces around it; empty where the column is missing.
    pub(super) fn cell<'a>(&self, row: &'a Row, column: &str) -> &'a str {
        self.columns.get(column).and_then(|at| row.cells.get(*at)).unwrap_or_default().trim()
    }
}

impl Row {
    fn unevenness(&self, columns: usize) -> Option<Problem> {
        let cells = self.cells.len();
        let message =
            || format!("has {cells} cells, the header {columns}; a cell with a comma needs quotes, as in \"Boise, US\"");
        (cells != columns).then(|| Problem { line: self.line, field: "row".to_owned(), message: message() })
    }
}

fn read_rows(text: &str) -> Result<Vec<Row>, Vec<Problem>> {
    let lines = Lines::of(text);
    // A row begins behind the end of the one before, which may leave a line feed or empty lines in front of it.
    let line_from = |offset: usize| {
        let rest = text.get(offset..).unwrap_or_default();
        lines.at(offset + (rest.len() - rest.trim_start_matches(['\r', '\n']).len()))
    };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let cells = record.map_err(|error| {
            let at = error.position().map_or(0, |position| position.byte() as usize);
            vec![Problem { line: line_from(at), field: "row".to_owned(), message: error.to_string() }]
        })?;
        let at = cells.position().map_or(0, |position| position.byte() as usize);
        if rows.len() > MAX_ROWS {
            let message = format!("is one too many: a file has {MAX_ROWS} at most");
            return Err(vec![Problem { line: line_from(at), field: "row".to_owned(), message }]);
        }
        if cells.iter().any(|cell| !cell.trim().is_empty()) {
            rows.push(Row { line: line_from(at), cells });
        }
    }
    Ok(rows)
}

fn header_columns(
    header: &StringRecord,
    known: &[&'static str],
    needed: &[&str],
) -> Result<HashMap<&'static str, usize>, String> {
    let mut columns = HashMap::new();
    let mut unknown = Vec::new();
    for (at, name) in header.iter().map(str::trim).enumerate() {
        match known.iter().find(|known| **known == name) {
            None => unknown.push(format!("\"{name}\"")),
            Some(known) if columns.insert(*known, at).is_some() => return Err(format!("has the column \"{name}\" twice")),
            Some(_) => {}
        }
    }
    if !unknown.is_empty() {
        return Err(format!("has columns that are not known: {}; the columns are {}", unknown.join(", "), known.join(",")));
    }
    match needed.iter().find(|needed| !columns.contains_key(**needed)) {
        Some(missing) => Err(format!("lacks the column \"{missing}\"")),
        None => Ok(columns),
    }
}
