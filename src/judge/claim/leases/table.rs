//! Leases as CSV: `time,ip,identity[,end]`, columns in any order.

use std::net::IpAddr;

use super::{Lease, problem, time};
use crate::{
    judge::claim::{
        Problem,
        sheet::{Row, Sheet},
    },
    time::Timestamp,
};

pub(super) fn read(text: &str) -> Result<Vec<Lease>, Vec<Problem>> {
    let sheet = Sheet::read(text, &["time", "ip", "identity", "end"], &["time", "ip", "identity"])?;
    let (mut leases, mut problems) = (Vec::with_capacity(sheet.rows.len()), Vec::new());
    for row in &sheet.rows {
        match lease(&sheet, row) {
            Ok(lease) => leases.push(lease),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(leases) } else { Err(problems) }
}

fn lease(sheet: &Sheet, row: &Row) -> Result<Lease, Problem> {
    let cell = |column| sheet.cell(row, column);
    let ip: Result<IpAddr, _> = cell("ip").parse();
    let ip = ip.map_err(|_| problem(row.line, "ip", format!("\"{}\" is not an address such as 203.0.113.9", cell("ip"))))?;
    let start = moment(row.line, "time", cell("time"))?;
    let end = if cell("end").is_empty() { None } else { Some(moment(row.line, "end", cell("end"))?) };
    if end.is_some_and(|end| end <= start) {
        return Err(problem(row.line, "end", "is not after `time`"));
    }
    if cell("identity").is_empty() {
        return Err(problem(row.line, "identity", "is empty"));
    }
    Ok(Lease { ip: ip.to_canonical(), start, end, names: vec![cell("identity").to_owned()], line: row.line })
}

fn moment(line: usize, field: &str, text: &str) -> Result<Timestamp, Problem> {
    let wrong = || format!("\"{text}\" is neither a time such as 2026-11-20T09:00:00Z nor seconds since 1970");
    time(text).ok_or_else(|| problem(line, field, wrong()))
}
